//! What is wrong with a document, as data: path, place and kind, so that a message can show and help.

use std::fmt;
use std::sync::Arc;

use serde::de;
use serde_saphyr::budget::BudgetBreach;

use super::MOST_PARSED;
use super::chunk::Chunk;
use super::node::place_of;
use super::path::{Path, Segment};
use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source, line_of};

/// A part of a document that does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// Path of the value, or of the mapping that holds the key in question; innermost segment last.
    pub path: Path,
    /// Place of the offending text.
    pub at: Option<Place>,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A key that the mapping does not have.
    UnknownField {
        /// The key.
        field: String,
        /// The keys that it has.
        expected: &'static [&'static str],
    },
    /// A word that is none of the possible ones.
    UnknownVariant {
        /// The word.
        variant: String,
        /// The possible words.
        expected: &'static [&'static str],
    },
    /// A key that the mapping must have.
    MissingField(&'static str),
    /// Another type of value.
    Type {
        /// What is there.
        found: String,
        /// What must be there.
        expected: String,
    },
    /// A value that is impossible.
    Value(String),
}

/// The parser's own error, with its place.
pub(super) fn of_parser(source: &Arc<Source>, chunk: &Chunk, error: &serde_saphyr::Error) -> Diagnostic {
    let place = match error.location() {
        Some(location) => {
            let mut place = place_of(location);
            if location.span().byte_offset().is_none() {
                let read = chunk.text(&source.text);
                place.start = offset_of(read, place.line, place.column);
                let first = read[place.start..].chars().next();
                place.end = place.start + first.map_or(0, char::len_utf8);
            }
            place
        }
        None => Place { line: 1, column: 1, start: 0, end: 0 },
    };
    words(error.without_snippet()).at(chunk.in_file(place).in_source(source))
}

/// A document with more values than may be.
pub(super) fn too_many(most: usize) -> Diagnostic {
    Diagnostic::error(format!("this document has more than {most} values"))
        .help("give its objects in several documents, with a line `---` between them")
}

/// What the parser found.
fn words(error: &serde_saphyr::Error) -> Diagnostic {
    let text = error.to_string();
    let too_deep = || {
        Diagnostic::error("too many lists and mappings stand inside each other here")
            .help("no object is that deep: look for a bracket or an indentation that is not meant")
    };
    let too_large = || {
        Diagnostic::error("the aliases of this document stand for too much")
            .help("write out what they stand for, and only where it is needed")
    };
    if let serde_saphyr::Error::Budget { breach, .. } = error {
        return if matches!(breach, BudgetBreach::Depth { .. }) {
            too_deep()
        } else if matches!(breach, BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. }) {
            too_many(MOST_PARSED)
        } else if matches!(breach, BudgetBreach::Documents { .. }) {
            Diagnostic::error("too many documents of this file end with `...`")
                .help("take these lines out: `---` alone begins a document")
        } else {
            // All further limits are on what anchors, aliases and merge keys bring.
            too_large()
        };
    }
    if text.contains("recursion limit exceeded") {
        return too_deep();
    }
    // Where an alias is read, the parser wraps the reason into a text.
    if text.contains("budget breached") || text.contains("alias replay") {
        return too_large();
    }
    // The parser repeats the place behind its message and names its own options; both say nothing here.
    let text = text.split(" at line ").next().unwrap_or_default();
    let text = text.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
    match text.strip_prefix("duplicate mapping key: ") {
        Some(key) => key_twice(key),
        None => Diagnostic::error(format!("this is not YAML: {text}")),
    }
}

/// A key that stands twice in one mapping.
pub(super) fn key_twice(key: &str) -> Diagnostic {
    Diagnostic::error(format!("the key `{key}` stands twice in one mapping"))
}

/// Byte offset of a line and a column of characters, both from 1.
pub(super) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        let end = line_of(text, start).end;
        start = end + if text[end..].starts_with("\r\n") { 2 } else { 1 };
        if start >= text.len() {
            return text.len();
        }
    }
    let inside = text[start..].char_indices().nth(column.saturating_sub(1));
    inside.map_or(text.len(), |(offset, _)| start + offset)
}

// === impl ReadError ===

impl ReadError {
    fn new(wrong: Wrong) -> Self {
        Self { path: Path::default(), at: None, wrong }
    }

    /// The error inside one more collection.
    pub(super) fn below(mut self, segment: Segment) -> Self {
        self.path.0.insert(0, segment);
        self
    }

    /// The error of a value that stands at this path.
    pub(super) fn inside(mut self, outer: &Path) -> Self {
        self.path.0.splice(0..0, outer.0.iter().cloned());
        self
    }

    /// The error at this place, unless it already has one.
    pub(super) fn or_at(mut self, place: Place) -> Self {
        self.at.get_or_insert(place);
        self
    }

    /// The part to leave out so that the rest can be read.
    pub(super) fn culprit(&self) -> Path {
        let mut path = self.path.clone();
        if let Wrong::UnknownField { field, .. } = &self.wrong {
            path.0.push(Segment::Key(field.clone()));
        }
        path
    }

    /// Path of the field that is missing.
    pub(super) fn missing(&self) -> Option<Path> {
        let Wrong::MissingField(field) = self.wrong else { return None };
        let mut path = self.path.clone();
        path.0.push(Segment::Key(field.to_owned()));
        Some(path)
    }

    /// The message for a person, with the nearest valid word where there is one.
    #[must_use]
    pub fn diagnostic(&self, source: &Arc<Source>) -> Diagnostic {
        let place = self.at.unwrap_or(Place { line: 1, column: 1, start: 0, end: 0 });
        let inside = if self.path.is_root() { String::new() } else { format!(" in `{}`", self.path) };
        let problem = match &self.wrong {
            Wrong::UnknownField { field, expected } => {
                Diagnostic::error(format!("unknown key `{field}`{inside}"))
                    .label("not a key here")
                    .nearest(field, expected)
            }
            Wrong::UnknownVariant { variant, expected } => {
                Diagnostic::error(format!("unknown word `{variant}`{inside}"))
                    .label("not a word here")
                    .nearest(variant, expected)
            }
            Wrong::MissingField(field) => Diagnostic::error(format!("the key `{field}` is missing{inside}")),
            Wrong::Type { found, expected } => {
                Diagnostic::error(format!("expected {expected}, found {found}{inside}"))
            }
            Wrong::Value(message) => Diagnostic::error(format!("{message}{inside}")),
        };
        problem.at(place.in_source(source))
    }
}

impl std::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.wrong)
    }
}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Wrong::Value(message.to_string()))
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = match expected.to_string().as_str() {
            "u8" => "a number from 0 to 255".to_owned(),
            "u16" => "a number from 0 to 65535".to_owned(),
            "u32" | "u64" | "usize" => "a number from 0 on".to_owned(),
            "i32" | "i64" => "a whole number".to_owned(),
            "a boolean" => "`true` or `false`".to_owned(),
            other => other.to_owned(),
        };
        Self::new(Wrong::Type { found: name_of(unexpected), expected })
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Wrong::UnknownVariant { variant: variant.to_owned(), expected })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Wrong::UnknownField { field: field.to_owned(), expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Wrong::MissingField(field))
    }
}

/// What was found, in the words of YAML.
fn name_of(unexpected: de::Unexpected<'_>) -> String {
    match unexpected {
        de::Unexpected::Bool(value) => format!("`{value}`"),
        de::Unexpected::Unsigned(value) => format!("the number `{value}`"),
        de::Unexpected::Signed(value) => format!("the number `{value}`"),
        de::Unexpected::Float(value) => format!("the number `{value}`"),
        de::Unexpected::Str(value) => format!("the text `{value}`"),
        de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Map => "a mapping".to_owned(),
        de::Unexpected::Char(_)
        | de::Unexpected::Bytes(_)
        | de::Unexpected::NewtypeStruct
        | de::Unexpected::Enum
        | de::Unexpected::UnitVariant
        | de::Unexpected::NewtypeVariant
        | de::Unexpected::TupleVariant
        | de::Unexpected::StructVariant
        | de::Unexpected::Other(_) => unexpected.to_string(),
    }
}
