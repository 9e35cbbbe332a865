//! Text with a name, and places in it.

use std::ops::Range;
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
    pub span: Range<usize>,
}

/// A place in a file that the reader knows from the context: [`Location`] without the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte.
    pub start: usize,
    /// One behind the last byte.
    pub end: usize,
}

// === impl Source ===

impl Source {
    /// A source of its own.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }
}

// === impl Location ===

impl Location {
    /// A part of this place, when it holds exactly `text`; the whole place when it does not, as with quoted
    /// or folded text, whose bytes in the file differ from what they mean.
    #[must_use]
    pub fn part(&self, text: &str, part: Range<usize>) -> Self {
        let whole = self.source.text.get(self.span.clone());
        match text.get(..part.start) {
            Some(before) if whole == Some(text) && !before.contains('\n') => Self {
                source: Arc::clone(&self.source),
                line: self.line,
                column: self.column + before.chars().count(),
                span: self.span.start + part.start..self.span.start + part.end,
            },
            _ => self.clone(),
        }
    }

    /// The text in question.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.source.path.display(), self.line, self.column)
    }
}

// === impl Place ===

impl Place {
    /// The place in this file.
    #[must_use]
    pub fn in_source(self, source: &Arc<Source>) -> Location {
        Location {
            source: Arc::clone(source),
            line: self.line,
            column: self.column,
            span: self.start..self.end.max(self.start),
        }
    }
}
