//! Regular expressions of HTTP rules: RE2's language, matched against whole strings in linear time.
//!
//! Cilium hands them to Envoy, whose engine is RE2. The engine here is another one with almost the same
//! language; [`translated`] goes through the text once and takes care of the rest:
//!
//! 1. what both read differently is rewritten to what RE2 means;
//! 2. what only RE2 takes is refused by name, so that nobody believes the policy itself to be wrong;
//! 3. what only the engine here takes is refused, since Cilium would refuse it.

use alloc::string::{String, ToString};
use core::iter::Peekable;
use core::str::CharIndices;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// A regular expression that must match a whole string; as data the text, which is compiled again when read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    // INVARIANT: compiled from `text`, anchored at both ends.
    regex: Regex,
}

/// Why a text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// No engine takes it.
    #[error("is not a regular expression: {0}")]
    Syntax(String),
    /// Only other engines take it.
    #[error("has {0}, which RE2 does not know")]
    NotRe2(&'static str),
    /// Envoy takes it.
    #[error("has {0}, which Envoy takes and Egret cannot simulate")]
    OnlyRe2(&'static str),
    /// A count above RE2's limit.
    #[error("repeats something more than 1000 times, which RE2 refuses")]
    Repetition,
    /// The compiled form is larger than a policy may need.
    #[error("is too large")]
    TooLarge,
}

// === impl Pattern ===

impl Pattern {
    /// Longest text that is looked at, in bytes.
    const MAX_LENGTH: usize = 16 * 1024;
    /// Bytes that the compiled form may take.
    const MAX_SIZE: usize = 1024 * 1024;
    /// Groups inside groups.
    const MAX_NESTING: u32 = 100;

    /// Compiles a regular expression.
    ///
    /// # Errors
    /// RE2 would refuse it, or it cannot be simulated.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidPattern::TooLarge);
        }
        let translated = translated(text)?;
        // Alone first: inside the group, `a)(b` would be an expression.
        for whole in [translated.clone(), alloc::format!(r"\A(?:{translated})\z")] {
            let built = RegexBuilder::new(&whole)
                .unicode(false)
                .size_limit(Self::MAX_SIZE)
                .nest_limit(Self::MAX_NESTING)
                .build();
            match built {
                Ok(regex) if whole != translated => return Ok(Self { text: text.to_string(), regex }),
                Ok(_) => {}
                Err(regex::Error::CompiledTooBig(_)) => return Err(InvalidPattern::TooLarge),
                Err(error) => {
                    let error = error.to_string();
                    let reason = error.rsplit("error: ").next().unwrap_or_default();
                    return Err(InvalidPattern::Syntax(reason.trim().to_string()));
                }
            }
        }
        Err(InvalidPattern::TooLarge)
    }

    /// The text as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the whole of a text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

// === translation ===

type Characters<'a> = Peekable<CharIndices<'a>>;

/// The same expression in the language of the engine here.
fn translated(text: &str) -> Result<String, InvalidPattern> {
    let mut characters = text.char_indices().peekable();
    let mut out = String::with_capacity(text.len());
    while let Some((at, character)) = characters.next() {
        let rest = text.get(at..).unwrap_or_default();
        match character {
            '\\' => escape(&mut characters, rest, &mut out, false)?,
            '[' => class(text, &mut characters, &mut out)?,
            '(' if rest.starts_with("(?") => {
                check_group(rest)?;
                out.push('(');
            }
            // RE2 takes a brace that begins no repetition as itself.
            '{' => match repetition(rest) {
                Some(counts) if counts.iter().any(|count| *count > 1000) => {
                    return Err(InvalidPattern::Repetition);
                }
                Some(_) => out.push('{'),
                None => out.push_str(r"\{"),
            },
            other => out.push(other),
        }
    }
    Ok(out)
}

/// What follows a backslash; `rest` begins with the backslash.
fn escape(
    characters: &mut Characters<'_>,
    rest: &str,
    out: &mut String,
    in_class: bool,
) -> Result<(), InvalidPattern> {
    let Some((_, character)) = characters.next() else {
        return Err(InvalidPattern::Syntax("it ends with a backslash".into()));
    };
    match character {
        'Q' if !in_class => {
            let quoted = rest.get(2..).unwrap_or_default();
            let quoted = quoted.split(r"\E").next().unwrap_or_default();
            out.push_str(&regex::escape(quoted));
            let length = quoted.chars().count();
            characters.by_ref().take(length).for_each(drop);
            if characters.peek().is_some() {
                characters.by_ref().take(2).for_each(drop);
            }
        }
        'C' if !in_class => out.push_str("(?s:.)"),
        'p' | 'P' => return Err(InvalidPattern::OnlyRe2("a Unicode class such as `\\pL`")),
        '0'..='7' => return Err(InvalidPattern::OnlyRe2("an octal escape or a back-reference")),
        'u' | 'U' => return Err(InvalidPattern::NotRe2("the escape `\\u`")),
        'b' | 'B' if !in_class && rest.get(2..).is_some_and(|rest| rest.starts_with('{')) => {
            return Err(InvalidPattern::NotRe2("a word boundary with a brace"));
        }
        // Punctuation stands for itself; in this engine `\<` and `\>` would be boundaries of words.
        '<' | '>' => out.push(character),
        other => {
            out.push('\\');
            out.push(other);
        }
    }
    Ok(())
}

/// A class after its opening bracket.
fn class(text: &str, characters: &mut Characters<'_>, out: &mut String) -> Result<(), InvalidPattern> {
    out.push('[');
    if characters.next_if(|(_, next)| *next == '^').is_some() {
        out.push('^');
    }
    if characters.next_if(|(_, next)| *next == ']').is_some() {
        out.push_str(r"\]");
    }
    while let Some((at, character)) = characters.next() {
        let rest = text.get(at..).unwrap_or_default();
        match character {
            ']' => {
                out.push(']');
                return Ok(());
            }
            '\\' => escape(characters, rest, out, true)?,
            '[' if rest.starts_with("[:") => {
                let name = rest.split_inclusive(":]").next().unwrap_or_default();
                out.push_str(name);
                let length = name.chars().count().saturating_sub(1);
                characters.by_ref().take(length).for_each(drop);
            }
            // Sets inside sets and their operators are of the engine here; RE2 takes the characters.
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(character);
            }
            '-' if rest.starts_with("--") => {
                return Err(InvalidPattern::OnlyRe2("`--` inside a class"));
            }
            other => out.push(other),
        }
    }
    Err(InvalidPattern::Syntax("unclosed character class".into()))
}

/// Checks what follows `(?`; `rest` begins with the parenthesis.
fn check_group(rest: &str) -> Result<(), InvalidPattern> {
    let after = rest.get(2..).unwrap_or_default();
    if after.starts_with('P')
        || after.starts_with('<') && !after.starts_with("<=") && !after.starts_with("<!")
    {
        return Ok(());
    }
    for character in after.chars() {
        match character {
            ':' | ')' => return Ok(()),
            'i' | 'm' | 's' | 'U' | '-' => {}
            '=' | '!' | '<' => return Err(InvalidPattern::NotRe2("a look-around")),
            _ => return Err(InvalidPattern::NotRe2("a group or flag")),
        }
    }
    Ok(())
}

/// The counts of `{n}`, `{n,}` or `{n,m}` at the beginning of `rest`.
fn repetition(rest: &str) -> Option<alloc::vec::Vec<u32>> {
    let (inside, _) = rest.strip_prefix('{')?.split_once('}')?;
    let (first, last) = match inside.split_once(',') {
        Some((first, last)) => (first, last),
        None => (inside, inside),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(first) || !(last.is_empty() || is_number(last)) {
        return None;
    }
    let count = |text: &str| text.parse().unwrap_or(u32::MAX);
    Some([first, last].into_iter().filter(|text| !text.is_empty()).map(count).collect())
}

#[cfg(test)]
mod tests;
