//! Text with a name, and places in it.

use std::path::PathBuf;
use std::sync::Arc;

/// One file as it was read, kept for messages that quote it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Path as the user would write it, relative to the working directory where possible.
    pub path: PathBuf,
    /// Whole text.
    pub text: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub source: Arc<Source>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Byte range of the text in question.
    pub span: std::ops::Range<usize>,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.source.path.display(), self.line, self.column)
    }
}
