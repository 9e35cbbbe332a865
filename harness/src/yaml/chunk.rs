//! A file cut at its document marks, so that each document is read, and read again, alone.

use std::ops::Range;

use crate::source::Place;

/// A part of a file that holds whole documents, mostly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Bytes of the file.
    pub(super) bytes: Range<usize>,
    /// Lines of the file before it.
    pub(super) lines: usize,
}

/// The chunks of a text, in order.
///
/// A line that begins with `---` is a mark wherever it stands: YAML forbids it inside every scalar (YAML 1.2
/// production 206, `c-forbidden`). A file with directives or `...` marks stays whole, since these belong to
/// the document before or behind them.
pub(super) fn chunks(text: &str) -> Vec<Chunk> {
    let mut cut = Cut { text, chunks: Vec::new(), start: 0, first_line: 0, offset: 0, lines: 0 };
    // Few texts have carriage returns, and one letter is looked for much faster than one of two.
    let can_be_cut = if text.contains('\r') {
        text.split_inclusive(['\n', '\r']).all(|line| cut.pass(line))
    } else {
        text.split_inclusive('\n').all(|line| cut.pass(line))
    };
    if !can_be_cut {
        return vec![Chunk::whole(text)];
    }
    let Cut { mut chunks, start, first_line, .. } = cut;
    chunks.push(Chunk { bytes: start..text.len(), lines: first_line });
    chunks
}

/// A pass over the lines of a text.
struct Cut<'a> {
    text: &'a str,
    chunks: Vec<Chunk>,
    /// Where the chunk that is open begins, and how many lines stand before it.
    start: usize,
    first_line: usize,
    /// The same of the next line.
    offset: usize,
    lines: usize,
}

impl Cut<'_> {
    /// Takes one line, its end included; false when the text cannot be cut.
    fn pass(&mut self, line: &str) -> bool {
        if line.starts_with('%') || is_mark(line, "...") {
            return false;
        }
        if self.offset > self.start && is_mark(line, "---") {
            self.chunks.push(Chunk { bytes: self.start..self.offset, lines: self.first_line });
            (self.start, self.first_line) = (self.offset, self.lines);
        }
        self.offset += line.len();
        // A carriage return and a line feed end one line together.
        if !(line.ends_with('\r') && self.text[self.offset..].starts_with('\n')) {
            self.lines += 1;
        }
        true
    }
}

fn is_mark(line: &str, mark: &str) -> bool {
    line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

// === impl Chunk ===

impl Chunk {
    /// The whole of a file.
    pub(super) fn whole(file: &str) -> Self {
        Self { bytes: 0..file.len(), lines: 0 }
    }

    /// Its text.
    pub(super) fn text<'a>(&self, file: &'a str) -> &'a str {
        file.get(self.bytes.clone()).unwrap_or_default()
    }

    /// A place in the chunk as a place in the file.
    pub(super) fn in_file(&self, place: Place) -> Place {
        Place {
            line: place.line + self.lines,
            start: place.start + self.bytes.start,
            end: place.end + self.bytes.start,
            ..place
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        chunks(text).iter().map(|chunk| chunk.text(text)).collect()
    }

    #[test]
    fn a_mark_begins_a_chunk() {
        assert_eq!(texts("a: 1\n---\nb: 2\n--- # c\nc: 3"), ["a: 1\n", "---\nb: 2\n", "--- # c\nc: 3"]);
        assert_eq!(texts("---\na: 1\n"), ["---\na: 1\n"]);
        assert_eq!(texts("a: |\n  ---\n  x\n----\n"), ["a: |\n  ---\n  x\n----\n"]);
        assert_eq!(texts(""), [""]);
    }

    #[test]
    fn directives_and_ends_keep_a_file_whole() {
        for whole in ["%YAML 1.2\n---\na: 1\n", "a: 1\n...\n---\nb: 2\n"] {
            assert_eq!(texts(whole), [whole]);
        }
    }

    #[test]
    fn places_are_of_the_file() {
        let text = "a: 1\n---\nb: 2\n";
        let place = chunks(text)[1].in_file(Place { line: 2, column: 1, start: 4, end: 5 });
        assert_eq!(place, Place { line: 3, column: 1, start: 9, end: 10 });
        assert_eq!(&text[place.start..place.end], "b");
    }
}
