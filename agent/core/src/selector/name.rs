//! DNS names and patterns of `toFQDNs` and DNS rules (policy semantics 4.2).

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

/// A `matchName` or `matchPattern`, normalised: lower-case, no blanks around it, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern {
    // INVARIANT: normalised; a literal name holds no star.
    text: String,
}

/// Why a name or pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing is left after trimming.
    #[error("is empty")]
    Empty,
    /// More than 255 characters.
    #[error("is longer than 255 characters")]
    Long,
    /// A character that DNS names in policies cannot have.
    #[error("has characters other than letters, digits, `-`, `_` and `.`")]
    NameCharacter,
    /// As for names, except for the star.
    #[error("has characters other than letters, digits, `-`, `_`, `.` and `*`")]
    PatternCharacter,
    /// Two dots in a row, or a dot in front.
    #[error("has an empty label")]
    EmptyLabel,
}

impl NamePattern {
    /// Longest text that Cilium accepts.
    const MAX_LENGTH: usize = 255;

    /// Understands a `matchName`.
    ///
    /// # Errors
    /// The text is not a name.
    pub fn name(text: &str) -> Result<Self, InvalidName> {
        if text.contains('*') {
            return Err(InvalidName::NameCharacter);
        }
        Self::pattern(text).map_err(|error| match error {
            InvalidName::PatternCharacter => InvalidName::NameCharacter,
            InvalidName::Empty | InvalidName::Long | InvalidName::NameCharacter | InvalidName::EmptyLabel => {
                error
            }
        })
    }

    /// Understands a `matchPattern`.
    ///
    /// # Errors
    /// The text is not a pattern.
    pub fn pattern(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidName::Long);
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*')) {
            return Err(InvalidName::PatternCharacter);
        }
        let text = normalise(text);
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.split('.').any(str::is_empty) {
            return Err(InvalidName::EmptyLabel);
        }
        Ok(Self { text })
    }

    /// The pattern that every name matches.
    #[must_use]
    pub fn every() -> Self {
        Self { text: "*".to_string() }
    }

    /// The normalised text, which is also the key of the label of addresses learned through it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a name matches; the name may be in any case and with or without trailing dot.
    ///
    /// 1. Stars alone match every name.
    /// 2. Two or more stars before the first dot stand for one or more whole labels.
    /// 3. Any other run of stars stands for any number of characters inside one label.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_normal(&normalise(name))
    }

    /// As [`NamePattern::matches`], for a name that is normalised.
    pub(crate) fn matches_normal(&self, name: &str) -> bool {
        let pattern = self.text.as_str();
        if pattern.bytes().all(|byte| byte == b'*') {
            return true;
        }
        match pattern.split_once('.') {
            Some((first, rest)) if first.len() >= 2 && first.bytes().all(|byte| byte == b'*') => {
                name.match_indices('.').any(|(dot, _)| {
                    let (labels, after) = name.split_at(dot);
                    labels.split('.').all(is_label)
                        && matches_in_labels(rest, after.strip_prefix('.').unwrap_or(after))
                })
            }
            Some(_) | None => matches_in_labels(pattern, name),
        }
    }
}

impl TryFrom<String> for NamePattern {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::pattern(&text)
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.text
    }
}

/// Lower-case, without blanks around it and without trailing dot.
#[must_use]
pub fn normalise(name: &str) -> String {
    let name = name.trim();
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Compares label by label, since no star here crosses a dot.
fn matches_in_labels(pattern: &str, name: &str) -> bool {
    let mut names = name.split('.');
    pattern.split('.').all(|pattern| names.next().is_some_and(|label| matches_label(pattern, label)))
        && names.next().is_none()
}

/// One label against one label's pattern.
///
/// The text before the first star must begin the label and the text after the last must end it; what stands
/// between stars is looked for from left to right, and taking its first place is enough.
fn matches_label(pattern: &str, label: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == label };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(inner) = label.strip_prefix(begin).and_then(|label| label.strip_suffix(end)) else {
        return false;
    };
    let mut left = inner;
    for part in middle.split('*') {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    inner.bytes().all(is_label_byte)
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(is_label_byte)
}

const fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("cilium.io", &["cilium.io", "CILIUM.io."], &["www.cilium.io"])]
    #[case("*.cilium.io", &["www.cilium.io", "sub.cilium.io"], &["cilium.io", "a.b.cilium.io"])]
    #[case("*cilium.io", &["cilium.io", "subcilium.io", "sub-cilium.io"], &["www.cilium.io"])]
    #[case("sub*.cilium.io", &["sub.cilium.io", "subdomain.cilium.io"], &["www.cilium.io", "cilium.io"])]
    #[case("part*ial.com", &["partial.com", "part-extra-ial.com"], &["part.x.ial.com", "partia.com"])]
    #[case("**.cilium.io", &["app.cilium.io", "test.app.cilium.io"], &["cilium.io", ".cilium.io"])]
    #[case("**.*", &["a.b", "a.b.c"], &["a", "a..b", "a.b..c"])]
    #[case("a.**.b", &["a.x.b"], &["a.x.y.b"])]
    #[case("*.*.svc.cluster.local.", &["x.y.svc.cluster.local"], &["y.svc.cluster.local"])]
    #[case("*", &["everything", "a.b.c", "."], &[])]
    #[case("**", &["a.b.c"], &[])]
    #[case("*.", &["a.b.c"], &[])]
    #[case("**.", &["a.b.c"], &[])]
    #[case("a*b*c.x", &["abc.x", "a-b-b-c.x"], &["acb.x", "ab.x"])]
    #[case(" API.GitHub.com. ", &["api.github.com"], &["apiXgithub.com"])]
    fn patterns(#[case] pattern: &str, #[case] matching: &[&str], #[case] other: &[&str]) {
        let parsed = NamePattern::pattern(pattern).unwrap();
        for name in matching {
            assert!(parsed.matches(name), "{pattern} ought to match {name}");
        }
        for name in other {
            assert!(!parsed.matches(name), "{pattern} must not match {name}");
        }
    }

    #[rstest]
    #[case("a?b", InvalidName::NameCharacter)]
    #[case("*.x", InvalidName::NameCharacter)]
    #[case("", InvalidName::Empty)]
    #[case(".", InvalidName::Empty)]
    #[case("a..b", InvalidName::EmptyLabel)]
    #[case(".a", InvalidName::EmptyLabel)]
    fn refused_names(#[case] text: &str, #[case] error: InvalidName) {
        assert_eq!(NamePattern::name(text), Err(error));
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[ A-Za-z0-9.*_-]{0,20}") {
            if let Ok(pattern) = NamePattern::pattern(&text) {
                assert_eq!(NamePattern::pattern(pattern.text()), Ok(pattern.clone()));
            }
        }

        #[test]
        fn a_name_matches_itself_in_any_case(name in "[A-Za-z0-9_-]{1,8}(\\.[A-Za-z0-9_-]{1,8}){0,3}\\.?") {
            assert!(NamePattern::name(&name).unwrap().matches(&name.to_ascii_uppercase()));
        }
    }
}
