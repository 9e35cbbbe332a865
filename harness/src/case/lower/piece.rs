//! A part of a text in a file, which knows where it stands.

use crate::source::Location;

/// A part of a text.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    whole: &'a str,
    at: &'a Location,
    start: usize,
    end: usize,
}

// === impl Piece ===

impl<'a> Piece<'a> {
    /// The whole text, whose place is `at`.
    pub(super) fn whole(whole: &'a str, at: &'a Location) -> Self {
        Self { whole, at, start: 0, end: whole.len() }
    }

    /// The text.
    pub(super) fn text(&self) -> &'a str {
        &self.whole[self.start..self.end]
    }

    /// Where it stands.
    pub(super) fn location(&self) -> Location {
        self.at.part(self.whole, self.start..self.end)
    }

    /// Without blanks at both ends.
    pub(super) fn trim(&self) -> Self {
        let text = self.text();
        let start = self.start + (text.len() - text.trim_start().len());
        Self { start, end: start + text.trim().len(), ..self.clone() }
    }

    /// What stands behind a prefix.
    pub(super) fn strip_prefix(&self, prefix: &str) -> Option<Self> {
        self.text().starts_with(prefix).then(|| Self { start: self.start + prefix.len(), ..self.clone() })
    }

    /// The bytes before and from `offset` on.
    pub(super) fn split_at(&self, offset: usize) -> (Self, Self) {
        let middle = self.start + offset;
        (Self { end: middle, ..self.clone() }, Self { start: middle, ..self.clone() })
    }

    /// What stands before and behind the first `separator`.
    pub(super) fn split_once(&self, separator: &str) -> Option<(Self, Self)> {
        let offset = self.text().find(separator)?;
        let (before, rest) = self.split_at(offset);
        Some((before, rest.split_at(separator.len()).1))
    }

    /// What stands before and behind the last `separator`.
    pub(super) fn rsplit_once(&self, separator: &str) -> Option<(Self, Self)> {
        let offset = self.text().rfind(separator)?;
        let (before, rest) = self.split_at(offset);
        Some((before, rest.split_at(separator.len()).1))
    }

    /// The parts between commas, without blanks. A comma inside a URL belongs to it unless a blank follows.
    pub(super) fn list(&self) -> Vec<Self> {
        let mut items = Vec::new();
        let mut rest = self.clone();
        let mut from = 0;
        while let Some(offset) = rest.text()[from..].find(',').map(|offset| from + offset) {
            let (item, behind) = rest.split_at(offset);
            let behind = behind.split_at(1).1;
            if item.text().contains("://") && !behind.text().starts_with(' ') {
                from = offset + 1;
                continue;
            }
            items.push(item.trim());
            rest = behind;
            from = 0;
        }
        items.push(rest.trim());
        items
    }

    /// The words between blanks.
    pub(super) fn words(&self) -> Vec<Self> {
        let mut words = Vec::new();
        let mut rest = self.trim();
        while !rest.text().is_empty() {
            let end = rest.text().find(char::is_whitespace).unwrap_or(rest.text().len());
            let (word, behind) = rest.split_at(end);
            words.push(word);
            rest = behind.trim();
        }
        words
    }
}
