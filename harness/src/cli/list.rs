//! `egret list`: the cases, without running or opening anything but their files.

use std::path::PathBuf;

use serde::Serialize;

use super::{TableFormat, select};
use crate::case::Loaded;
use crate::error::Error;
use crate::exit::Exit;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Paths, or parts of names; all cases without one
    filters: Vec<String>,
    /// Folder of the cases
    #[arg(long, default_value = select::DEFAULT_FOLDER)]
    cases: PathBuf,
    /// Table for people, or JSON
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    title: &'a str,
    file: Option<String>,
    requires: Vec<&'static str>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let cases = select::load(&arguments.cases, &arguments.filters)?;
    let rows: Vec<Row<'_>> = cases.iter().map(row).collect();
    super::print(&match arguments.format {
        TableFormat::Text => {
            let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
            rows.iter().map(|row| format!("{:<width$}  {}\n", row.name, row.title)).collect()
        }
        TableFormat::Json => super::json(&rows),
    });
    Ok(Exit::Passed)
}

fn row(loaded: &Loaded) -> Row<'_> {
    match loaded {
        Loaded::Case(case) => Row {
            name: &case.name,
            title: &case.title,
            file: Some(case.source.path.display().to_string()),
            requires: case.requires.iter().map(|word| word.word()).collect(),
        },
        Loaded::Refused { name, .. } => {
            Row { name, title: "must be refused", file: None, requires: Vec::new() }
        }
    }
}
