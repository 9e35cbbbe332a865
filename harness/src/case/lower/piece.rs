//! A part of a text in a file, which knows where it stands.

use std::net::IpAddr;

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

    /// `name` and `port` of `name:port`; the colons inside of brackets are an address's.
    pub(super) fn split_port(&self) -> Option<(Self, Self)> {
        let text = self.text();
        let behind = if text.starts_with('[') { text.find(']')? } else { 0 };
        let (name, port) = self.split_at(behind + text[behind..].rfind(':')?);
        Some((name, port.split_at(1).1))
    }

    /// The address that this is, with or without the brackets that IPv6 has before a port.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.text().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside.parse().ok().map(IpAddr::V6),
            None => self.text().parse().ok(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn with<T>(text: &str, take: impl FnOnce(&Piece<'_>) -> T) -> T {
        let source = Source::new("case.yaml", text);
        let at = Location { source, line: 1, column: 1, span: 0..text.len() };
        take(&Piece::whole(text, &at))
    }

    #[test]
    fn the_last_colon_outside_of_brackets_stands_before_the_port() {
        let cases = [
            ("x/a:80", Some(("x/a", "80"))),
            ("203.0.113.7:443", Some(("203.0.113.7", "443"))),
            ("[2001:db8::7]:443", Some(("[2001:db8::7]", "443"))),
            ("[2001:db8::7]:53/UDP", Some(("[2001:db8::7]", "53/UDP"))),
            ("[2001:db8::7]", None),
            ("[2001:db8::7", None),
            ("x/a", None),
        ];
        for (text, expected) in cases {
            let found = with(text, |piece| {
                piece.split_port().map(|(name, port)| (name.text().to_owned(), port.text().to_owned()))
            });
            assert_eq!(found, expected.map(|(name, port)| (name.to_owned(), port.to_owned())), "{text}");
        }
    }

    #[test]
    fn brackets_are_for_ipv6_alone() {
        let cases = [
            ("203.0.113.7", true),
            ("2001:db8::7", true),
            ("[2001:db8::7]", true),
            ("[203.0.113.7]", false),
            ("[2001:db8::7", false),
            ("x/a", false),
        ];
        for (text, expected) in cases {
            assert_eq!(with(text, |piece| piece.address().is_some()), expected, "{text}");
        }
    }
}
