//! Files and standard input as text: bounded, in UTF-8, or one message that says what is wrong with them.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source, line_breaks, line_of};

/// Largest text that is read, in bytes: what is longer would take more time and memory than an answer is worth.
const LARGEST: u64 = 64 << 20;
/// Most documents in one file.
const MOST_DOCUMENTS: usize = 500_000;
/// Longest line of flows, in bytes; a flow with everything that Hubble knows of it has a few thousand.
pub(crate) const LONGEST_LINE: u64 = 1 << 20;

/// The text of a file, which messages call `shown`.
///
/// # Errors
/// It cannot be read, is too large or is not text.
pub(crate) fn open(path: &Path, shown: &Path) -> Result<Arc<Source>, Box<Diagnostic>> {
    let cannot = |error| Box::new(cannot_read(shown, &error));
    let file = std::fs::File::open(path).map_err(cannot)?;
    // What says its size is refused without a look; what lies about it, as devices do, is refused below.
    let size = file.metadata().map_err(cannot)?.len();
    if size > LARGEST { Err(too_large(shown)) } else { text_of(shown, file, size) }
}

/// The text of standard input.
///
/// # Errors
/// As for [`open`].
pub(crate) fn standard_input() -> Result<Arc<Source>, Box<Diagnostic>> {
    text_of("<standard input>".as_ref(), io::stdin().lock(), 0)
}

/// The text of a reader; not a byte more than [`LARGEST`] is taken from it.
fn text_of(shown: &Path, reader: impl Read, size: u64) -> Result<Arc<Source>, Box<Diagnostic>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let read = reader.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Box::new(cannot_read(shown, &error)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large(shown));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let column = text[line_of(&text, valid).start..].chars().count() + 1;
        let place = Place { line: line_breaks(&text) + 1, column, start: valid, end: valid };
        Box::new(Diagnostic::error("this is not UTF-8 text").at(place.in_source(&Source::new(shown, text))))
    })?;
    if text.matches("\n---").count() > MOST_DOCUMENTS {
        let problem = format!("`{}` has more than {MOST_DOCUMENTS} documents", shown.display());
        return Err(Box::new(
            Diagnostic::error(problem).help("give its objects in several files, or as a `List`"),
        ));
    }
    Ok(Source::new(shown, text))
}

fn too_large(shown: &Path) -> Box<Diagnostic> {
    let problem = format!("`{}` is larger than {} MiB", shown.display(), LARGEST >> 20);
    Box::new(Diagnostic::error(problem).help("give its objects in several files, or fewer of them"))
}

fn cannot_read(shown: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error(format!("cannot read `{}`: {}", shown.display(), reason(error)))
}

/// The reason without the number that the operating system adds.
pub(crate) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return "there is no such file".to_owned();
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A line that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineRead {
    /// There is none any more.
    None,
    /// The whole line, its end included where it has one.
    Whole,
    /// Its first [`LONGEST_LINE`] bytes; the rest was passed over.
    Cut,
}

/// The next line, into `line`, whose content is replaced.
///
/// # Errors
/// Reading failed.
pub(crate) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<LineRead> {
    line.clear();
    if input.by_ref().take(LONGEST_LINE).read_until(b'\n', line)? == 0 {
        return Ok(LineRead::None);
    }
    if (line.len() as u64) < LONGEST_LINE || line.last() == Some(&b'\n') {
        return Ok(LineRead::Whole);
    }
    loop {
        let (used, has_ended) = match input.fill_buf()? {
            [] => return Ok(LineRead::Cut),
            bytes => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (bytes.len(), false),
            },
        };
        input.consume(used);
        if has_ended {
            return Ok(LineRead::Cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_cut() {
        let long = "x".repeat(LONGEST_LINE as usize);
        let text = format!("a\n{long}\nb\n{long}y\nc");
        let mut input = text.as_bytes();
        let (mut line, mut read) = (Vec::new(), Vec::new());
        loop {
            let what = read_line(&mut input, &mut line).unwrap();
            if what == LineRead::None {
                break;
            }
            read.push((what, line.len()));
        }
        let most = long.len();
        let expected = [
            (LineRead::Whole, 2),
            (LineRead::Cut, most),
            (LineRead::Whole, 2),
            (LineRead::Cut, most),
            (LineRead::Whole, 1),
        ];
        assert_eq!(read, expected);
    }
}
