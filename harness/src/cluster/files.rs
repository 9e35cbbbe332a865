//! Paths to texts: files, folders with everything in them, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::case::reason;
use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source};

/// Largest text that is read, in bytes: what is longer would take more time and memory than an answer is worth.
const LARGEST: u64 = 64 << 20;

/// Reads every file under the paths, in the order of the arguments, folders in the order of their names.
///
/// # Errors
/// Every path that cannot be read, is too large or is not text.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Arc<Source>>, Vec<Diagnostic>> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            take(text_of("<standard input>".as_ref(), std::io::stdin().lock()), &mut sources, &mut problems);
        } else if path.is_dir() {
            let mut found = Vec::new();
            if let Err(error) = walk(path, &mut found) {
                problems.push(cannot_read(path, &error));
            }
            found.iter().for_each(|file| take(open(file), &mut sources, &mut problems));
        } else {
            take(open(path), &mut sources, &mut problems);
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn take(
    read: Result<Arc<Source>, Box<Diagnostic>>,
    sources: &mut Vec<Arc<Source>>,
    problems: &mut Vec<Diagnostic>,
) {
    match read {
        Ok(source) => sources.push(source),
        Err(problem) => problems.push(*problem),
    }
}

/// Manifest files below a folder; hidden folders, such as a repository's own, are passed over.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() {
            if !is_hidden {
                walk(&path, found)?;
            }
        } else if path
            .extension()
            .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known))
        {
            found.push(path);
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Arc<Source>, Box<Diagnostic>> {
    let file = std::fs::File::open(path).map_err(|error| Box::new(cannot_read(path, &error)))?;
    text_of(path, file)
}

/// The text of a reader; not a byte more than [`LARGEST`] is taken from it.
fn text_of(path: &Path, reader: impl Read) -> Result<Arc<Source>, Box<Diagnostic>> {
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| Box::new(cannot_read(path, &error)))?;
    if bytes.len() as u64 > LARGEST {
        let problem = format!("`{}` is larger than {} MiB", path.display(), LARGEST >> 20);
        let problem = Diagnostic::error(problem).help("give its objects in several files, or fewer of them");
        return Err(Box::new(problem));
    }
    String::from_utf8(bytes).map(|text| Source::new(path, text)).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = text.matches('\n').count() + 1;
        let column = text[text.rfind('\n').map_or(0, |at| at + 1)..].chars().count() + 1;
        let place = Place { line, column, start: valid, end: valid };
        Box::new(Diagnostic::error("this is not UTF-8 text").at(place.in_source(&Source::new(path, text))))
    })
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error(format!("cannot read `{}`: {}", path.display(), reason(error)))
}
