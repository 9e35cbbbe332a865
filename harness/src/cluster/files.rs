//! Paths to texts: files, folders with everything in them, standard input.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::input::{open, reason, standard_input};
use crate::source::Source;

/// Reads every file under the paths, in the order of the arguments, folders in the order of their names.
///
/// # Errors
/// Every path that cannot be read, is too large or is not text.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Arc<Source>>, Vec<Diagnostic>> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            take(standard_input(), &mut sources, &mut problems);
        } else if path.is_dir() {
            let mut found = Vec::new();
            if let Err(error) = walk(path, &mut found) {
                problems.push(Diagnostic::error(format!(
                    "cannot read `{}`: {}",
                    path.display(),
                    reason(&error)
                )));
            }
            found.iter().for_each(|file| take(open(file, file), &mut sources, &mut problems));
        } else {
            take(open(path, path), &mut sources, &mut problems);
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
