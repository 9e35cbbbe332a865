//! Objects of manifests, with the trees that they are read from.

use std::sync::{Arc, OnceLock};

use serde::Deserializer;

use super::chunk::{Chunk, chunks};
use super::node::{Node, Value};
use super::path::Path;
use super::reader::Reader;
use super::{diagnostics_of, trees};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Place, Source, line_of};

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
    /// Path of the object below its origin; empty when it is the origin.
    path: String,
}

/// What objects come from. The tree is read when somebody asks for a value or a place.
#[derive(Debug)]
struct Origin {
    chunk: Chunk,
    /// Number of the document in its chunk, from 0, documents without content not counted.
    document: usize,
    /// Path of the tree in the document: that of an object in a case.
    above: String,
    tree: OnceLock<Result<Node, Vec<Diagnostic>>>,
}

/// The objects of a manifest file.
///
/// # Errors
/// Every document that is not YAML.
pub fn manifests(source: &Arc<Source>) -> Result<Vec<Manifest>, Vec<Diagnostic>> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for chunk in chunks(&source.text) {
        match of_chunk(source, &chunk) {
            Ok(objects) => manifests.extend(objects),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

/// Takes the objects of these files into sums, in their order: one sum for each core that has a share.
/// What a part cannot be read for is handed to `add` in its place.
pub(crate) fn sum_manifests<T: Default + Send>(
    sources: &[Arc<Source>],
    add: impl Fn(&mut T, Result<Vec<Manifest>, Vec<Diagnostic>>) + Sync,
) -> Vec<T> {
    let parts: Vec<_> = sources
        .iter()
        .flat_map(|source| chunks(&source.text).into_iter().map(move |chunk| (source, chunk)))
        .collect();
    let sum = |parts: &[(&Arc<Source>, Chunk)]| {
        let mut sum = T::default();
        parts.iter().for_each(|(source, chunk)| add(&mut sum, of_chunk(source, chunk)));
        sum
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread costs more than a few documents do.
    if parts.len() < 64 || threads == 1 {
        return vec![sum(&parts)];
    }
    std::thread::scope(|scope| {
        let shares = parts.chunks(parts.len().div_ceil(threads));
        let workers: Vec<_> = shares.map(|share| scope.spawn(|| sum(share))).collect();
        let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|sum| sum.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn of_chunk(source: &Arc<Source>, chunk: &Chunk) -> Result<Vec<Manifest>, Vec<Diagnostic>> {
    let numbered = trees(source, chunk)?.into_iter().enumerate();
    let manifest = |(document, root)| Manifest {
        source: Arc::clone(source),
        origin: Arc::new(Origin {
            chunk: chunk.clone(),
            document,
            above: String::new(),
            tree: OnceLock::from(Ok(root)),
        }),
        path: String::new(),
    };
    Ok(numbered.map(manifest).collect())
}

// === impl Manifest ===

impl Manifest {
    /// An object inside a case file, at this path.
    #[must_use]
    pub fn inline(source: &Arc<Source>, path: String, node: &Node) -> Self {
        let tree = OnceLock::from(Ok(node.clone()));
        let origin = Origin { chunk: Chunk::whole(&source.text), document: 0, above: path, tree };
        Self { source: Arc::clone(source), origin: Arc::new(origin), path: String::new() }
    }

    /// The same object without its tree, which is read again when somebody asks for it: of ten thousand
    /// documents hardly one is asked.
    pub(crate) fn unread(self) -> Self {
        let Origin { chunk, document, above, tree: _ } = &*self.origin;
        // Items of a list share one tree, and an object of a case cannot be read without the case.
        if !self.path.is_empty() || !above.is_empty() {
            return self;
        }
        let origin =
            Origin { chunk: chunk.clone(), document: *document, above: String::new(), tree: OnceLock::new() };
        Self { origin: Arc::new(origin), ..self }
    }

    /// The text at a path of keys, for example `["metadata", "name"]`.
    #[must_use]
    pub fn text(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().try_fold(self.node().ok()?, |node, key| node.get(key)).and_then(Node::text)
    }

    /// The items under a key of the object, for example of a `List`; `None` when there is no list.
    #[must_use]
    pub fn items(&self, key: &str) -> Option<Vec<Self>> {
        let Value::Sequence(items) = &self.node().ok()?.get(key)?.value else { return None };
        let dot = if self.path.is_empty() { "" } else { "." };
        let item = |index| Self {
            source: Arc::clone(&self.source),
            origin: Arc::clone(&self.origin),
            path: format!("{}{dot}{key}[{index}]", self.path),
        };
        Some((0..items.len()).map(item).collect())
    }

    /// Whether it is a mapping, as every object is.
    #[must_use]
    pub fn is_mapping(&self) -> bool {
        self.node().is_ok_and(|node| matches!(node.value, Value::Mapping(_)))
    }

    /// Reads the object.
    ///
    /// # Errors
    /// One diagnostic for each part that does not fit.
    pub fn read<S: Shape>(&self, shape: S) -> Result<S::Output, Vec<Diagnostic>> {
        let node = self.node()?;
        shape.deserialize(Reader::of(node)).map_err(|first| {
            let errors = node.every_error(first, &|node| shape.deserialize(Reader::of(node)).err());
            let mut outer = Path::parse(&self.origin.above);
            outer.0.extend(Path::parse(&self.path).0);
            diagnostics_of(&self.source, errors.into_iter().map(|error| error.inside(&outer)))
        })
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
        let start = line_of(&self.source.text, start).start;
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

    /// The object's part of the tree.
    fn node(&self) -> Result<&Node, Vec<Diagnostic>> {
        let Origin { chunk, document, above: _, tree } = &*self.origin;
        let tree = tree.get_or_init(|| {
            let root = trees(&self.source, chunk)?.into_iter().nth(*document);
            root.ok_or_else(|| vec![Diagnostic::error("a document was there and is not there any more")])
        });
        let root = tree.as_ref().map_err(Clone::clone)?;
        Ok(Path::parse(&self.path).walk(root).1)
    }
}
