//! `cargo xtask tidy`: the rules of the tree that no lint can check.
//!
//! | rule | module |
//! | --- | --- |
//! | length, first line, place and name of a source file; nothing is left out of the build | `source` |
//! | the crates' edges are those that ARCHITECTURE.md lists | `edges` |
//! | paths that documents name exist; no path of somebody's machine | `text` |

mod edges;
mod source;
mod text;

use std::fmt;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// One file of the tree as every rule sees it.
#[derive(Debug)]
struct File {
    /// Relative to the root, with `/` between the parts.
    path: String,
    /// The bytes, read as UTF-8 where they are; other bytes are replaced.
    text: String,
}

/// One breach of a rule, with the line where that helps.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    path: String,
    line: Option<usize>,
    problem: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.problem),
            None => write!(formatter, "{}: {}", self.path, self.problem),
        }
    }
}

/// Prints every breach in the order of the files and fails when there is one.
pub(crate) fn run() -> Result<()> {
    let files = workspace::files()?.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut breaches = source::check(&files);
    breaches.extend(text::check(&files, &machine()));
    breaches.extend(edges::check(&files, &workspace::packages()?));
    breaches.sort_by(|a, b| (&a.path, a.line, &a.problem).cmp(&(&b.path, b.line, &b.problem)));
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("tidy: {} breaches in {} files", breaches.len(), files.len());
    }
    eprintln!("tidy: {} files in order", files.len());
    Ok(())
}

fn read(path: String) -> Result<File> {
    let bytes =
        std::fs::read(workspace::root().join(&path)).with_context(|| format!("cannot read `{path}`"))?;
    Ok(File { path, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// The folders of this machine that must not be written down: the checkout's and its user's.
fn machine() -> Vec<String> {
    let home = std::env::home_dir();
    let folders = [Some(workspace::root().to_owned()), home].into_iter().flatten();
    folders.map(|folder| format!("{}/", folder.display())).filter(|folder| folder.len() > 2).collect()
}
