//! What is wrong with an input, for a person: the place, the line with a marker, and what to do about it.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::source::{Location, line_of};

/// Longest line that a message shows, in bytes.
const LONGEST_LINE: usize = 4096;
/// Most messages that are drawn; a person reads fewer, and programs ask for JSON.
const MOST: usize = 100;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The input is refused.
    Error,
    /// The input is accepted and probably does not mean what its author thinks.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Short name of the rule that was broken, by which it can be looked for; warnings have one.
    pub code: Option<&'static str>,
    /// What is wrong: a fragment in lower case, user input in backticks.
    pub message: String,
    /// Where; `None` when no file is to blame.
    pub location: Option<Location>,
    /// A few words beside the marker.
    pub label: Option<String>,
    /// What to do instead.
    pub help: Option<String>,
    /// What one should know beside it.
    pub notes: Vec<String>,
}

/// How messages are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Without colours: for files, logs and comparisons.
    #[default]
    Plain,
    /// With colours, for a terminal.
    Coloured,
}

// === impl Diagnostic ===

impl Diagnostic {
    /// An error without place.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            message: message.into(),
            location: None,
            label: None,
            help: None,
            notes: Vec::new(),
        }
    }

    /// A warning without place.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code: Some(code), ..Self::error(message) }
    }

    /// The same at a place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// The same with a few words beside the marker.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with what to do instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with something to know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same with the valid word nearest to `word`, or with all of them when none is near.
    #[must_use]
    pub fn nearest<T: AsRef<str>>(self, word: &str, valid: &[T]) -> Self {
        match nearest(word, valid) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None if valid.is_empty() => self,
            None => {
                let words: Vec<_> = valid.iter().map(|word| format!("`{}`", word.as_ref())).collect();
                self.help(format!("valid here: {}", words.join(", ")))
            }
        }
    }

    /// The message as text, with the line of the file in question.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut title = level.primary_title(self.message.as_str());
        if let Some(code) = self.code {
            title = title.id(code);
        }
        let mut groups = vec![match &self.location {
            Some(at) => {
                let path = at.source.path.display().to_string();
                // Only the line in question is handed on: the file may have a million.
                let line = line_of(&at.source.text, at.span.start);
                let text = at.source.text.get(line.clone()).unwrap_or_default();
                if text.len() > LONGEST_LINE {
                    title.element(Origin::path(path).line(at.line).char_column(at.column))
                } else {
                    let start = at.span.start - line.start;
                    let end = (at.span.end.min(line.end) - line.start).max(start);
                    let end = start + text.get(start..end).unwrap_or_default().trim_end().len();
                    let mark = AnnotationKind::Primary.span(start..end).label(self.label.as_deref());
                    title.element(Snippet::source(text).path(path).line_start(at.line).annotation(mark))
                }
            }
            None => Group::with_title(title),
        }];
        let help = self.help.iter().map(|help| Group::with_title(Level::HELP.secondary_title(help.as_str())));
        let notes =
            self.notes.iter().map(|note| Group::with_title(Level::NOTE.secondary_title(note.as_str())));
        groups.extend(help.chain(notes));
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        renderer.render(&groups)
    }
}

/// As JSON: the place as `file`, `line` and `column`, without the text of the file.
impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            severity: Severity,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: Option<&'static str>,
            message: &'a str,
            file: Option<String>,
            line: Option<usize>,
            column: Option<usize>,
            label: Option<&'a str>,
            help: Option<&'a str>,
            notes: &'a [String],
        }

        let at = self.location.as_ref();
        Shape {
            severity: self.severity,
            code: self.code,
            message: &self.message,
            file: at.map(|at| at.source.path.display().to_string()),
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            label: self.label.as_deref(),
            help: self.help.as_deref(),
            notes: &self.notes,
        }
        .serialize(serializer)
    }
}

/// Puts messages into the order of their files and places, those without place first; messages of one place keep
/// their order.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    let place = |diagnostic: &Diagnostic| {
        diagnostic.location.as_ref().map(|at| (at.source.path.clone(), at.span.start))
    };
    diagnostics.sort_by_cached_key(place);
}

/// Several messages as one text, a blank line between them, a line break at the end.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], style: Style) -> String {
    let texts: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.render(style)).collect();
    if texts.is_empty() { String::new() } else { texts.join("\n\n") + "\n" }
}

/// The first hundred messages as [`render_all`] draws them, and how many more there are.
#[must_use]
pub fn render_first(diagnostics: &[Diagnostic], style: Style) -> String {
    let (shown, rest) = diagnostics.split_at(diagnostics.len().min(MOST));
    let mut text = render_all(shown, style);
    if !rest.is_empty() {
        text += &format!("\n… and {} more\n", rest.len());
    }
    text
}

/// The valid word that a person most likely meant: at most a third of its letters differ, and not all of them.
#[must_use]
pub fn nearest<'a, T: AsRef<str>>(word: &str, valid: &'a [T]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let is_near =
        |distance: usize, other: usize| distance <= other.div_ceil(3).max(1) && distance < other.max(length);
    valid
        .iter()
        .map(AsRef::as_ref)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| is_near(*distance, candidate.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
