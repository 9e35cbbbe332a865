//! `egret validate PATH…`: cases and policy files, read and judged, never run.

use std::path::{Path, PathBuf};

use crate::case;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, count};
use crate::exit::Exit;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Case files, policy files, or folders of cases
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let mut problems = Vec::new();
    let mut right = 0;
    for path in &arguments.paths {
        match check(path) {
            Ok(number) => right += number,
            Err(wrong) => problems.extend(wrong),
        }
    }
    if !problems.is_empty() {
        return Err(Error::Input(problems));
    }
    super::print(&format!("{} right\n", count(right, "document")));
    Ok(Exit::Passed)
}

/// The number of cases and policies that are right.
fn check(path: &Path) -> Result<usize, Vec<Diagnostic>> {
    if path.is_dir() {
        return case::find(path, &[]).and_then(|found| case::load(&found)).map(|cases| cases.len());
    }
    case::check(path)
}
