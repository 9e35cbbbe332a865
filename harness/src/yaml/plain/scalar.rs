//! Scalars on one line: where they end, and what they mean in YAML's core schema.

use super::Pass;
use crate::source::Place;
use crate::yaml::node::{Node, Value};

/// Longest key, in bytes; far below YAML's own limit, which is 1024.
const LONGEST_KEY: usize = 256;
/// Digits of a number that fits whatever its value.
const DIGITS: usize = 18;

/// A scalar that may turn out to be a key.
pub(super) struct Token {
    value: Value,
    at: Place,
    pub(super) is_quoted: bool,
}

// === impl Token ===

impl Token {
    pub(super) fn node(self) -> Node {
        Node { value: self.value, at: self.at }
    }

    /// Text and place of a key.
    pub(super) fn key(self) -> Option<(String, Place)> {
        let Self { value, at, is_quoted: _ } = self;
        match value {
            Value::Text(text) if text.len() <= LONGEST_KEY => Some((text, at)),
            // Numbers stand as text in keys.
            Value::Integer(number) => Some((number.to_string(), at)),
            Value::Text(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Negative(_)
            | Value::Float(_)
            | Value::Sequence(_)
            | Value::Mapping(_)
            | Value::LeftOut => None,
        }
    }
}

// === impl Pass: scalars ===

impl Pass<'_> {
    /// A scalar; behind it the pass stands at what follows, blanks passed over where a colon does.
    pub(super) fn token(&mut self, is_flow: bool) -> Option<Token> {
        let (start, line) = (self.at, self.line);
        let quote = self.byte()?;
        let is_quoted = matches!(quote, b'"' | b'\'');
        let value = match quote {
            b'"' => Value::Text(self.double_quoted()?),
            b'\'' => Value::Text(self.single_quoted()?),
            _ => meaning(self.unquoted(is_flow)?)?,
        };
        debug_assert_eq!(line, self.line, "a token stands on one line");
        let at = self.place(start, self.at);
        let end = self.at;
        self.skip_blanks();
        if self.byte() != Some(b':') {
            // A comment needs the blank before it.
            self.at = end;
        }
        Some(Token { value, at, is_quoted })
    }

    fn single_quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            self.at += 1;
            let rest = self.text.get(self.at..)?;
            let length = rest.iter().position(|byte| matches!(byte, b'\'' | b'\n'))?;
            text += utf8(rest.get(..length)?)?;
            self.at += length;
            if self.byte() == Some(b'\n') {
                return None;
            }
            self.at += 1;
            if self.byte() != Some(b'\'') {
                return Some(text);
            }
            text.push('\'');
        }
    }

    fn double_quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..)?;
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
            text += utf8(rest.get(..length)?)?;
            self.at += length + 1;
            match rest.get(length)? {
                b'"' => return Some(text),
                b'\\' => {
                    text.push(match self.byte()? {
                        b'n' => '\n',
                        b't' => '\t',
                        b'"' => '"',
                        b'\\' => '\\',
                        b'/' => '/',
                        _ => return None,
                    });
                    self.at += 1;
                }
                _ => return None,
            }
        }
    }

    /// Up to a colon, a comment, the end of the line, or in brackets what separates items there.
    fn unquoted(&mut self, is_flow: bool) -> Option<&str> {
        let rest = self.text.get(self.at..)?;
        match rest {
            [
                b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@'
                | b'`',
                ..,
            ] => {
                return None;
            }
            [b'-' | b'?' | b':', next, ..] if !next.is_ascii_alphanumeric() => return None,
            [b'-' | b'?' | b':'] | [b'?' | b':', ..] => return None,
            _ => {}
        }
        let mut length = rest.len();
        for (at, byte) in rest.iter().enumerate() {
            let next = rest.get(at + 1);
            match byte {
                b'\n' => {}
                b':' if matches!(next, None | Some(b' ' | b'\n')) => {}
                b':' if is_flow && matches!(next, Some(b',' | b'[' | b']' | b'{' | b'}')) => return None,
                b'#' if at > 0 && rest.get(at - 1) == Some(&b' ') => {
                    if is_flow {
                        return None;
                    }
                }
                b',' | b'[' | b']' | b'{' | b'}' if is_flow => {}
                _ => continue,
            }
            length = at;
            break;
        }
        let text = utf8(rest.get(..length)?)?.trim_end_matches(' ');
        self.at += text.len();
        Some(text)
    }
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What a scalar without quotes means, where nobody could doubt it.
fn meaning(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    let is_text = match first {
        b'0'..=b'9' if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let is_usual = text.len() <= DIGITS && (text == "0" || first != b'0');
            return is_usual.then(|| text.parse().map(Value::Integer).ok())?;
        }
        // Addresses, prefixes, durations: no number has a slash, two points, or a letter but for an exponent's,
        // a hexadecimal digit or a mark of the base behind a 0.
        b'0'..=b'9' => {
            let is_foreign = |byte: u8| match byte.to_ascii_lowercase() {
                b'e' => false,
                b'a'..=b'f' | b'o' | b'x' => first != b'0',
                b'g'..=b'z' => true,
                _ => false,
            };
            text.contains('/') || text.matches('.').count() > 1 || text.bytes().any(is_foreign)
        }
        b'-' => !text.as_bytes().get(1).is_none_or(|byte| byte.is_ascii_digit() || b"iInN".contains(byte)),
        b'a'..=b'z' | b'A'..=b'Z' => match text {
            "true" => return Some(Value::Bool(true)),
            "false" => return Some(Value::Bool(false)),
            "null" => return Some(Value::Null),
            _ => !["true", "false", "null", "nan", "inf", "infinity"]
                .iter()
                .any(|word| text.eq_ignore_ascii_case(word)),
        },
        b'/' | b'_' | b'$' | b'(' | b'^' | 0x80.. => true,
        _ => false,
    };
    is_text.then(|| Value::Text(text.to_owned()))
}
