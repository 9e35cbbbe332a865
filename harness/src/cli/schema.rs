//! `egret schema`: the JSON Schema of case files, for editors; the definitions of policy kinds, for API servers.

use std::path::PathBuf;

use crate::error::Error;
use crate::exit::Exit;
use crate::{case, crds};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Write the custom resource definitions of the policy kinds into this folder instead
    #[arg(long, value_name = "DIR")]
    crds: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.crds {
        None => super::print(&super::json(&case::json_schema())),
        Some(folder) => {
            for (name, text) in crds::files() {
                let path = folder.join(name);
                std::fs::write(&path, text).map_err(|source| Error::Write { path, source })?;
            }
        }
    }
    Ok(Exit::Passed)
}
