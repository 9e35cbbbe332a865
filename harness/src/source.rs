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

/// How many lines end in a text. A line ends as in YAML: at a line feed, at a carriage return, or at both in one.
pub(crate) fn line_breaks(text: &str) -> usize {
    let bytes = text.as_bytes();
    let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
    // Few texts have any.
    if !bytes.contains(&b'\r') {
        return feeds;
    }
    let alone = |(at, byte): (usize, &u8)| *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    feeds + bytes.iter().enumerate().filter(|(at, byte)| alone((*at, byte))).count()
}

/// The line that a byte stands in, without its end.
pub(crate) fn line_of(text: &str, byte: usize) -> Range<usize> {
    let is_break = |letter: char| matches!(letter, '\n' | '\r');
    let start = text.get(..byte).and_then(|before| before.rfind(is_break)).map_or(0, |at| at + 1);
    let end = text.get(byte..).and_then(|behind| behind.find(is_break)).map_or(text.len(), |at| byte + at);
    start..end
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
            Some(before) if whole == Some(text) && !before.contains(['\n', '\r']) => Self {
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
