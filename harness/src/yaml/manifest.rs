//! Objects of manifests: read without places while they are right, and with places once they are not.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer};

use super::chunk::{Chunk, chunks};
use super::node::{Node, Value};
use super::path::Path;
use super::reader::Reader;
use super::{diagnostics_of, trees};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Place, Source};

/// How an object is read: a type that is known only at run time, such as a policy of one of several kinds.
pub trait Shape: Copy {
    /// What comes out.
    type Output;

    /// Reads it.
    ///
    /// # Errors
    /// The reader's, when the content does not fit.
    fn deserialize<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Output, D::Error>;
}

/// One object: a document of a manifest file, an item of a list in one, or an object inside a case.
#[derive(Clone, Debug)]
pub struct Manifest {
    source: Arc<Source>,
    origin: Arc<Origin>,
    /// Path of the object in the document; empty when it is the document.
    path: String,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Plain(serde_yaml::Value),
    Tree(Node),
}

/// The document that objects come from, which is read with places once somebody asks for one.
#[derive(Debug)]
struct Origin {
    chunk: Chunk,
    /// Number of the document in its chunk, from 0, documents without content not counted.
    document: usize,
    tree: OnceLock<Result<Node, Vec<Diagnostic>>>,
}

/// The objects of a manifest file.
///
/// # Errors
/// Every document that is not YAML.
pub fn manifests(source: &Arc<Source>) -> Result<Vec<Manifest>, Vec<Diagnostic>> {
    let chunks = chunks(&source.text);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |chunks: &[Chunk]| chunks.iter().map(|chunk| of_chunk(source, chunk)).collect::<Vec<_>>();
    // A thread costs more than a few documents do.
    let parts: Vec<_> = if chunks.len() < 64 || threads == 1 {
        read(&chunks)
    } else {
        std::thread::scope(|scope| {
            let parts = chunks.chunks(chunks.len().div_ceil(threads));
            let workers: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
            let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    };
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Ok(objects) => manifests.extend(objects),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

fn of_chunk(source: &Arc<Source>, chunk: &Chunk) -> Result<Vec<Manifest>, Vec<Diagnostic>> {
    let text = chunk.text(&source.text);
    // The plain reader would let a small text with many aliases become a large value.
    let read = (!has_aliases(text)).then(|| {
        serde_yaml::Deserializer::from_str(text)
            .map(|document| {
                let mut value = serde_yaml::Value::deserialize(document)?;
                value.apply_merge()?;
                Ok(value)
            })
            .filter(|value| !matches!(value, Ok(serde_yaml::Value::Null)))
            .collect::<Result<Vec<_>, serde_yaml::Error>>()
    });
    let contents: Vec<_> = match read {
        Some(Ok(values)) if !values.iter().any(has_empty_item) => {
            values.into_iter().map(Content::Plain).collect()
        }
        // The tree's reader says what is wrong and where; if it finds nothing wrong, its reading holds.
        Some(Ok(_) | Err(_)) | None => trees(source, chunk)?.into_iter().map(Content::Tree).collect(),
    };
    let numbered = contents.into_iter().enumerate();
    Ok(numbered
        .map(|(document, content)| {
            let origin = Origin { chunk: chunk.clone(), document, tree: OnceLock::new() };
            Manifest { source: Arc::clone(source), origin: Arc::new(origin), path: String::new(), content }
        })
        .collect())
}

/// Whether a list in it has an item that is nothing, which the plain reader would take for an empty mapping: in a
/// policy that is a rule which allows everything.
fn has_empty_item(value: &serde_yaml::Value) -> bool {
    match value {
        serde_yaml::Value::Sequence(items) => items.iter().any(|item| item.is_null() || has_empty_item(item)),
        serde_yaml::Value::Mapping(mapping) => mapping.values().any(has_empty_item),
        serde_yaml::Value::Tagged(tagged) => has_empty_item(&tagged.value),
        serde_yaml::Value::Null
        | serde_yaml::Value::Bool(_)
        | serde_yaml::Value::Number(_)
        | serde_yaml::Value::String(_) => false,
    }
}

/// Whether a text could hold an alias: a star where a value may begin.
fn has_aliases(text: &str) -> bool {
    text.match_indices('*').any(|(star, _)| {
        text[..star].ends_with([' ', '\t', '\n', '[', '{', ',', ':'])
            && text[star + 1..].starts_with(|next: char| !next.is_whitespace())
    })
}

// === impl Manifest ===

impl Manifest {
    /// An object inside a case file, at this path.
    #[must_use]
    pub fn inline(source: &Arc<Source>, path: String, node: &Node) -> Self {
        let chunk = Chunk::whole(&source.text);
        let origin = Origin { chunk, document: 0, tree: OnceLock::new() };
        let content = Content::Tree(node.clone());
        Self { source: Arc::clone(source), origin: Arc::new(origin), path, content }
    }

    /// The text at a path of keys, for example `["metadata", "name"]`.
    #[must_use]
    pub fn text(&self, keys: &[&str]) -> Option<&str> {
        match &self.content {
            Content::Plain(value) => {
                keys.iter().try_fold(value, |value, key| value.get(*key)).and_then(serde_yaml::Value::as_str)
            }
            Content::Tree(node) => keys.iter().try_fold(node, |node, key| node.get(key)).and_then(Node::text),
        }
    }

    /// The items under a key of the object, for example of a `List`; `None` when there is no list.
    #[must_use]
    pub fn items(&self, key: &str) -> Option<Vec<Self>> {
        let contents: Vec<_> = match &self.content {
            Content::Plain(value) => {
                value.get(key)?.as_sequence()?.iter().cloned().map(Content::Plain).collect()
            }
            Content::Tree(node) => match &node.get(key)?.value {
                Value::Sequence(items) => items.iter().cloned().map(Content::Tree).collect(),
                Value::Null
                | Value::Bool(_)
                | Value::Negative(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Text(_)
                | Value::Mapping(_)
                | Value::LeftOut => return None,
            },
        };
        let dot = if self.path.is_empty() { "" } else { "." };
        let items = contents.into_iter().enumerate().map(|(index, content)| Self {
            source: Arc::clone(&self.source),
            origin: Arc::clone(&self.origin),
            path: format!("{}{dot}{key}[{index}]", self.path),
            content,
        });
        Some(items.collect())
    }

    /// Whether it is a mapping, as every object is.
    #[must_use]
    pub fn is_mapping(&self) -> bool {
        match &self.content {
            Content::Plain(value) => value.is_mapping(),
            Content::Tree(node) => matches!(node.value, Value::Mapping(_)),
        }
    }

    /// Reads the object.
    ///
    /// # Errors
    /// One diagnostic for each part that does not fit.
    pub fn read<S: Shape>(&self, shape: S) -> Result<S::Output, Vec<Diagnostic>> {
        let plain = match &self.content {
            Content::Plain(value) => match shape.deserialize(value) {
                Ok(read) => return Ok(read),
                Err(error) => Some(error),
            },
            Content::Tree(_) => None,
        };
        let node = self.node()?;
        match (shape.deserialize(Reader::of(node)), plain) {
            (Ok(read), None) => Ok(read),
            (Err(first), _) => {
                let errors = node.every_error(first, &|node| shape.deserialize(Reader::of(node)).err());
                let outer = Path::parse(&self.path);
                Err(diagnostics_of(&self.source, errors.into_iter().map(|error| error.inside(&outer))))
            }
            // The two readers differ, which a test over all cases denies: the stricter one holds.
            (Ok(_), Some(error)) => Err(vec![Diagnostic::error(error.to_string()).at(self.locate(""))]),
        }
    }

    /// Place of a path below the object, for example `spec.egress[0]`; where the path leaves the object, the
    /// place of the last value on the way.
    #[must_use]
    pub fn locate(&self, path: &str) -> Location {
        self.place(path, Path::place)
    }

    /// Place of a field: its value, or its key where the value is a list or a mapping.
    #[must_use]
    pub fn locate_field(&self, path: &str) -> Location {
        self.place(path, Path::field_place)
    }

    /// The lines of a value with everything below it, without the line break at the end.
    #[must_use]
    pub fn lines(&self, path: &str) -> Location {
        let Ok(node) = self.node() else { return self.locate(path) };
        let (key, value) = Path::parse(path).walk(node);
        let start = key.start.min(value.at.start);
        let line = if key.start < value.at.start { key.line } else { value.at.line };
        let start =
            self.source.text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        Place { line, column: 1, start, end: value.end() }.in_source(&self.source)
    }

    fn place(&self, path: &str, find: fn(&Path, &Node) -> Place) -> Location {
        let place = match self.node() {
            Ok(node) => find(&Path::parse(path), node),
            Err(_) => Place { line: 1, column: 1, start: 0, end: 0 },
        };
        place.in_source(&self.source)
    }

    /// The file that it stands in.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The object with places.
    fn node(&self) -> Result<&Node, Vec<Diagnostic>> {
        if let Content::Tree(node) = &self.content {
            return Ok(node);
        }
        let Origin { chunk, document, tree } = &*self.origin;
        let tree = tree.get_or_init(|| {
            trees(&self.source, chunk)?.into_iter().nth(*document).ok_or_else(|| {
                vec![
                    Diagnostic::error("the readers count the documents of this file differently")
                        .at(chunk.in_file(Place::default()).in_source(&self.source)),
                ]
            })
        });
        let root = tree.as_ref().map_err(Clone::clone)?;
        Ok(Path::parse(&self.path).walk(root).1)
    }
}
