//! One file on its own, a case or policies: is it right?

use std::path::{Path, PathBuf};

use super::load_file;
use super::lower::{Files, check_policy};
use crate::diagnostic::Diagnostic;
use crate::yaml::manifests;

/// Checks a file without a run: policies where its objects have an `apiVersion`, else a case with all that it
/// refers to. Gives the number of policies, or of cases.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(path: &Path) -> Result<usize, Vec<Diagnostic>> {
    let source = Files { base: PathBuf::new(), root: PathBuf::new() }.read(path)?;
    let objects = manifests(&source)?;
    if objects.iter().all(|object| object.text(&["apiVersion"]).is_none()) {
        return load_file(path).map(|_| 1);
    }
    let problems: Vec<Diagnostic> = objects.iter().flat_map(check_policy).collect();
    if problems.is_empty() { Ok(objects.len()) } else { Err(problems) }
}
