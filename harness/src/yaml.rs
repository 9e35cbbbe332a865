//! The one door for YAML: text to located trees, and trees to types with errors that know their place.
//!
//! Every text becomes a tree that knows the place of every value (`node`). One pass reads the plain part of
//! YAML, which is nearly all of every manifest (`plain`); the full parser reads the rest, and finds every error.
//! Both read the core schema of YAML 1.2: `y`, `no` and `on` are strings, and a key that stands twice is an
//! error.

mod chunk;
mod error;
mod located;
mod manifest;
mod node;
mod path;
mod plain;
mod reader;
#[cfg(test)]
mod tests;

pub use error::{ReadError, Wrong};
pub use located::{Entries, Located, Short};
pub(crate) use manifest::sum_manifests;
pub use manifest::{Manifest, Shape, manifests};
pub use node::{Node, Value};
pub use path::Path;

use std::sync::Arc;

use serde::de::DeserializeOwned;

use chunk::{Chunk, chunks};
use plain::Quick;

use crate::diagnostic::Diagnostic;
use crate::source::{Location, Source};

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file.
    pub source: Arc<Source>,
    /// Its content.
    pub root: Node,
}

/// The documents of a file in their order; documents without content are left out.
///
/// # Errors
/// The text is not YAML, or a key stands twice in one mapping.
pub fn documents(source: &Arc<Source>) -> Result<Vec<Document>, Vec<Diagnostic>> {
    documents_by(source, trees)
}

/// The same by the full parser alone: what tests hold the quick pass against.
///
/// # Errors
/// As for [`documents`].
pub fn documents_by_parser(source: &Arc<Source>) -> Result<Vec<Document>, Vec<Diagnostic>> {
    documents_by(source, parsed)
}

/// One of the two ways to read a chunk.
type ReadChunk = fn(&Arc<Source>, &Chunk) -> Result<Vec<Node>, Vec<Diagnostic>>;

fn documents_by(source: &Arc<Source>, read: ReadChunk) -> Result<Vec<Document>, Vec<Diagnostic>> {
    let mut documents = Vec::new();
    for chunk in chunks(&source.text) {
        let roots = read(source, &chunk)?;
        documents.extend(roots.into_iter().map(|root| Document { source: Arc::clone(source), root }));
    }
    Ok(documents)
}

/// Most values in one document of the plain part, so that memory is bounded: a dump of ten thousand pods has fewer.
const MOST_VALUES: usize = 3_000_000;
/// Most values in one document that the full parser reads, which takes ten times as long.
const MOST_PARSED: usize = 1_000_000;
/// Most values that the aliases of one document stand for.
const MOST_ALIASED: usize = 100_000;

/// The documents of one chunk, with their places in the file.
fn trees(source: &Arc<Source>, chunk: &Chunk) -> Result<Vec<Node>, Vec<Diagnostic>> {
    match plain::read(&source.text, chunk) {
        Quick::Document(root) => Ok(vec![root]),
        Quick::Nothing => Ok(Vec::new()),
        Quick::TooMany(place) => Err(vec![error::too_many(MOST_VALUES).at(place.in_source(source))]),
        Quick::Other => parsed(source, chunk),
    }
}

/// The documents of one chunk as the full parser reads them.
///
/// The limit on depth is the parser's own, those on size keep a small text from becoming a large tree.
fn parsed(source: &Arc<Source>, chunk: &Chunk) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let text = chunk.text(&source.text);
    let budget = serde_saphyr::budget! {
        max_events: 2 * MOST_PARSED,
        max_nodes: MOST_PARSED,
        max_recorded_anchor_events: MOST_ALIASED,
        max_recorded_anchor_bytes: 4 << 20,
    };
    let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: MOST_ALIASED };
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false, budget: budget, alias_limits: aliases };
    let mut roots = serde_saphyr::from_multiple_with_options::<Node>(text, options)
        .map_err(|error| vec![error::of_parser(source, chunk, &error)])?;
    roots.iter_mut().for_each(|root| root.each_place(&|place| *place = chunk.in_file(*place)));
    // To the parser, keys that differ in their tags or in how they are quoted are different ones.
    match roots.iter().find_map(Node::key_twice) {
        Some((key, place)) => Err(vec![error::key_twice(key).at(place.in_source(source))]),
        None => Ok(roots),
    }
}

// === impl Document ===

impl Document {
    /// Place of the value at this path, for example `spec.egress[0].toCIDR[1]`; where the path leaves the
    /// tree, the place of the last value on the way.
    #[must_use]
    pub fn locate(&self, path: &str) -> Location {
        Path::parse(path).place(&self.root).in_source(&self.source)
    }

    /// Reads the whole document as a type, and reports everything that is wrong with it.
    ///
    /// After an error the part in question is left out and the rest is read again, so that one misspelt key
    /// does not hide the next.
    ///
    /// # Errors
    /// One diagnostic for each part that does not fit the type, in the order of the file.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Diagnostic>> {
        self.root.read().map_err(|first| {
            let errors = self.root.every_error(first, &|node| node.read::<T>().err());
            diagnostics_of(&self.source, errors.into_iter())
        })
    }
}

/// Messages in the order of the file.
fn diagnostics_of(source: &Arc<Source>, errors: impl Iterator<Item = ReadError>) -> Vec<Diagnostic> {
    let mut found: Vec<_> = errors.map(|error| error.diagnostic(source)).collect();
    found.sort_by_key(|problem| problem.location.as_ref().map(|at| at.span.start));
    found
}
