//! The plain part of YAML, of which manifests consist: read in one pass into the located tree.
//!
//! What is read here, the full parser reads alike, value for value and place for place; tests and a fuzz target
//! hold the two against each other. Everything else is left to it: anchors, tags, block scalars, texts over
//! several lines, tabs, odd letters, whatever is a matter of interpretation, and every error.

mod scalar;
#[cfg(test)]
mod tests;

use super::MOST_VALUES;
use super::chunk::Chunk;
use super::node::{Node, Value, twice};
use crate::source::Place;
use scalar::Token;

/// Collections inside each other; what is deeper is the full parser's business, which has a limit of its own.
const DEEPEST: usize = 48;

/// What the quick pass makes of a chunk.
pub(super) enum Quick {
    /// Its only document.
    Document(Node),
    /// A chunk without content.
    Nothing,
    /// There are more than [`MOST_VALUES`] values; the place of the first that is too many.
    TooMany(Place),
    /// The chunk is not of the plain part.
    Other,
}

/// Reads a chunk that holds at most one document.
pub(super) fn read(file: &str, chunk: &Chunk) -> Quick {
    let own = chunk.text(file);
    let text = file.get(..chunk.bytes.end).unwrap_or_default().as_bytes();
    if own.bytes().any(|byte| byte < b' ' && byte != b'\n' || byte == 0x7f)
        || (!own.is_ascii() && own.contains(is_odd))
    {
        return Quick::Other;
    }
    let (at, line) = (chunk.bytes.start, chunk.lines + 1);
    let is_ascii = own.is_ascii();
    let mut pass =
        Pass { text, is_ascii, counted: (0, 0), at, line, start: at, indent: None, depth: 0, values: 0 };
    let begun = if own.starts_with("---") {
        pass.at += 3;
        pass.end_line()
    } else {
        pass.next_content()
    };
    match (begun, pass.byte()) {
        (None, _) => Quick::Other,
        (Some(()), None) => Quick::Nothing,
        (Some(()), Some(_)) => match pass.document() {
            Some(root) => Quick::Document(root),
            None if pass.values > MOST_VALUES => Quick::TooMany(pass.place(pass.at, pass.at + 1)),
            None => Quick::Other,
        },
    }
}

/// Letters that YAML refuses, or that some take for a line's end.
fn is_odd(letter: char) -> bool {
    matches!(letter, '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A pass over one document. Every function gives `None` where the plain part ends.
struct Pass<'a> {
    text: &'a [u8],
    /// Every letter is one byte.
    is_ascii: bool,
    /// Where letters were counted last, and how many of that line stand before.
    counted: (usize, usize),
    /// Next byte.
    at: usize,
    /// Line of the next byte, from 1.
    line: usize,
    /// First byte of that line.
    start: usize,
    /// Behind a block node: how far the next line with content is indented, at whose first byte the pass then
    /// stands; `None` at the end.
    indent: Option<usize>,
    /// Collections around the next byte.
    depth: usize,
    /// Items and entries so far.
    values: usize,
}

// === impl Pass: lines ===

impl Pass<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// At this byte with a blank, a line's end or nothing behind it.
    fn is_mark(&self, mark: u8) -> bool {
        self.byte() == Some(mark) && matches!(self.text.get(self.at + 1), None | Some(b' ' | b'\n'))
    }

    fn column(&self) -> usize {
        self.at - self.start
    }

    /// The bytes from `start`, on this line, up to `end`. Places of one line are asked for in their order.
    fn place(&mut self, start: usize, end: usize) -> Place {
        if self.is_ascii {
            return Place { line: self.line, column: start - self.start + 1, start, end };
        }
        let (counted, letters) = if self.counted.0 < self.start { (self.start, 0) } else { self.counted };
        let more = self.text.get(counted..start).unwrap_or_default();
        // Every byte but those that go on with a letter.
        let letters = letters + more.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        self.counted = (start, letters);
        Place { line: self.line, column: letters + 1, start, end }
    }

    /// The whole document, at its first byte.
    fn document(&mut self) -> Option<Node> {
        let root = if matches!(self.byte()?, b'{' | b'[') {
            let root = self.flow(None)?;
            self.end_line()?;
            root
        } else {
            self.block()?
        };
        self.indent.is_none().then_some(root)
    }

    fn skip_blanks(&mut self) {
        while self.byte() == Some(b' ') {
            self.at += 1;
        }
    }

    fn new_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.start = self.at;
    }

    /// Whether nothing but blanks and a comment is left of this line, which is then passed.
    fn is_line_over(&mut self) -> bool {
        let behind = self.at;
        self.skip_blanks();
        let is_comment = self.byte() == Some(b'#') && (self.at > behind || self.column() == 0);
        if is_comment {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        }
        match self.byte() {
            None => true,
            Some(b'\n') => {
                self.new_line();
                true
            }
            Some(_) => false,
        }
    }

    /// Ends a line, and goes on to the next that has content.
    fn end_line(&mut self) -> Option<()> {
        if self.is_line_over() { self.next_content() } else { None }
    }

    /// From a line's beginning to the next content.
    fn next_content(&mut self) -> Option<()> {
        while self.at < self.text.len() {
            if self.is_line_over() {
                continue;
            }
            let rest = self.text.get(self.start..)?;
            self.indent = Some(self.column());
            let is_mark = rest.starts_with(b"---") || rest.starts_with(b"...") || rest.starts_with(b"%");
            return (!is_mark).then_some(());
        }
        self.indent = None;
        Some(())
    }
}

// === impl Pass: block style ===

impl Pass<'_> {
    /// A sequence or mapping, at its first byte.
    fn block(&mut self) -> Option<Node> {
        let column = self.column();
        if self.is_mark(b'-') {
            return self.sequence(column);
        }
        let key = self.token(false)?;
        self.mapping(column, key)
    }

    /// What stands behind a dash or colon: on the same line, or below it and further right. `beside` reads a
    /// scalar, which may turn out to be something else.
    fn behind_mark(&mut self, column: usize, is_item: bool) -> Option<Node> {
        self.at += 1;
        let mark = self.at;
        self.skip_blanks();
        let node = match self.byte() {
            None | Some(b'\n' | b'#') => {
                self.at = mark;
                self.end_line()?;
                // Nothing at all is for the full parser: in most lists it is an error.
                let indent = self.indent?;
                if indent > column {
                    self.block()?
                } else if !is_item && indent == column && self.is_mark(b'-') {
                    return self.sequence(column);
                } else {
                    return None;
                }
            }
            Some(b'{' | b'[') => {
                let node = self.flow(Some(column))?;
                self.end_line()?;
                node
            }
            Some(_) if is_item && self.is_mark(b'-') => self.block()?,
            Some(_) => {
                let inner = self.column();
                let token = self.token(false)?;
                if is_item && self.byte() == Some(b':') {
                    self.mapping(inner, token)?
                } else {
                    self.end_line()?;
                    token.node()
                }
            }
        };
        // Further right, a text would go on.
        (self.indent.unwrap_or(0) <= column).then_some(node)
    }

    fn sequence(&mut self, column: usize) -> Option<Node> {
        self.enter()?;
        let mut items = Vec::new();
        loop {
            self.count()?;
            items.push(self.behind_mark(column, true)?);
            if self.indent != Some(column) || !self.is_mark(b'-') {
                break;
            }
        }
        self.depth -= 1;
        let at = items.first()?.at;
        Some(Node { value: Value::Sequence(items), at })
    }

    /// Behind the first key.
    fn mapping(&mut self, column: usize, first: Token) -> Option<Node> {
        self.enter()?;
        let mut entries = Vec::new();
        let mut key = first;
        loop {
            if !self.is_mark(b':') {
                return None;
            }
            let (name, at) = key.key()?;
            self.count()?;
            entries.push((name, at, self.behind_mark(column, false)?));
            if self.indent != Some(column) {
                break;
            }
            key = self.token(false)?;
        }
        self.depth -= 1;
        of_entries(entries)
    }

    /// Counts an item or an entry; the full parser says when there are too many.
    fn count(&mut self) -> Option<()> {
        self.values += 1;
        (self.values <= MOST_VALUES).then_some(())
    }

    fn enter(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= DEEPEST).then_some(())
    }
}

// === impl Pass: flow style ===

impl Pass<'_> {
    /// A list or mapping in brackets; every further line of it stands further right than `around`.
    fn flow(&mut self, around: Option<usize>) -> Option<Node> {
        self.enter()?;
        let open = self.place(self.at, self.at + 1);
        let is_list = self.byte() == Some(b'[');
        let close = if is_list { b']' } else { b'}' };
        let (mut items, mut entries) = (Vec::new(), Vec::new());
        self.at += 1;
        self.flow_blanks(around)?;
        if self.byte() == Some(close) {
            self.at += 1;
            self.depth -= 1;
            let value = if is_list { Value::Sequence(items) } else { Value::Mapping(entries) };
            return Some(Node { value, at: open });
        }
        loop {
            self.count()?;
            if is_list {
                items.push(self.flow_value(around)?);
            } else {
                let token = self.token(true)?;
                // Behind a quoted key the colon may stand alone.
                if self.byte() != Some(b':') || !(token.is_quoted || self.is_mark(b':')) {
                    return None;
                }
                let (name, at) = token.key()?;
                self.at += 1;
                self.flow_blanks(around)?;
                entries.push((name, at, self.flow_value(around)?));
            }
            self.flow_blanks(around)?;
            let next = self.byte()?;
            self.at += 1;
            if next == close {
                break;
            }
            if next != b',' {
                return None;
            }
            self.flow_blanks(around)?;
        }
        self.depth -= 1;
        if !is_list {
            return of_entries(entries);
        }
        let at = items.first()?.at;
        Some(Node { value: Value::Sequence(items), at })
    }

    fn flow_value(&mut self, around: Option<usize>) -> Option<Node> {
        match self.byte()? {
            b'{' | b'[' => self.flow(around),
            _ => self.token(true).map(Token::node),
        }
    }

    /// Over blanks and line ends.
    fn flow_blanks(&mut self, around: Option<usize>) -> Option<()> {
        let line = self.line;
        loop {
            self.skip_blanks();
            if self.byte() != Some(b'\n') {
                break;
            }
            self.new_line();
        }
        (self.line == line || around.is_none_or(|column| self.column() > column)).then_some(())
    }
}

/// A mapping, unless a key stands twice.
fn of_entries(entries: Vec<(String, Place, Node)>) -> Option<Node> {
    let at = entries.first()?.1;
    twice(&entries).is_none().then_some(Node { value: Value::Mapping(entries), at })
}
