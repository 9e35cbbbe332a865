//! Objects of manifests: read without places while they are right, and with places once they are not.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::node::{Node, Value};
use super::path::Path;
use super::reader::Reader;
use super::{diagnostics_of, documents};
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

/// One object: a document of a manifest file, or an object inside a case.
#[derive(Clone, Debug)]
pub struct Manifest {
    source: Arc<Source>,
    /// Number of the document in its file, from 0, documents without content not counted.
    document: usize,
    /// Path of the object in the document; empty when it is the document.
    path: String,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Plain(serde_yaml::Value),
    Tree(Node),
}

/// The objects of a manifest file.
///
/// # Errors
/// The text is not YAML.
pub fn manifests(source: &Arc<Source>) -> Result<Vec<Manifest>, Vec<Diagnostic>> {
    let read = serde_yaml::Deserializer::from_str(&source.text)
        .map(|document| {
            let mut value = serde_yaml::Value::deserialize(document)?;
            value.apply_merge()?;
            Ok(value)
        })
        .filter(|value| !matches!(value, Ok(serde_yaml::Value::Null)))
        .collect::<Result<Vec<_>, serde_yaml::Error>>();
    let contents: Vec<_> = match read {
        Ok(values) => values.into_iter().map(Content::Plain).collect(),
        // The tree's reader says what is wrong and where; if it finds nothing wrong, its reading holds.
        Err(_) => documents(source)?.into_iter().map(|document| Content::Tree(document.root)).collect(),
    };
    let numbered = contents.into_iter().enumerate();
    Ok(numbered
        .map(|(document, content)| Manifest {
            source: Arc::clone(source),
            document,
            path: String::new(),
            content,
        })
        .collect())
}

// === impl Manifest ===

impl Manifest {
    /// An object inside a case file, at this path.
    #[must_use]
    pub fn inline(source: &Arc<Source>, path: String, node: &Node) -> Self {
        Self { source: Arc::clone(source), document: 0, path, content: Content::Tree(node.clone()) }
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
        match (shape.deserialize(Reader::of(&node)), plain) {
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

    fn place(&self, path: &str, find: fn(&Path, &Node) -> Place) -> Location {
        let place = match self.node() {
            Ok(node) => find(&Path::parse(path), &node),
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
    fn node(&self) -> Result<Node, Vec<Diagnostic>> {
        match &self.content {
            Content::Tree(node) => Ok(node.clone()),
            Content::Plain(_) => {
                let document = documents(&self.source)?.into_iter().nth(self.document);
                document.map(|document| document.root).ok_or_else(|| {
                    vec![
                        Diagnostic::error("the readers count the documents of this file differently")
                            .at(Place { line: 1, column: 1, start: 0, end: 0 }.in_source(&self.source)),
                    ]
                })
            }
        }
    }
}
