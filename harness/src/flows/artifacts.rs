//! The files that a case leaves: `packets.pcapng`, `flows.jsonl` and `monitor.txt` in a folder of its name.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use egret_core::flow::Flow;

use super::{hubble, monitor, pcapng};
use crate::case::PolicyLocations;
use crate::error::Error;

/// Where cases leave their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Artifacts {
    /// Every case, in this folder.
    All(PathBuf),
    /// Only cases that did not pass, in this folder.
    Failed(PathBuf),
}

impl Artifacts {
    /// The folder for failed cases when nobody names one.
    pub const DEFAULT: &'static str = "target/egret";

    /// The folder that a case must leave its files in, if it must.
    #[must_use]
    pub fn folder(&self, case: &str, passed: bool) -> Option<PathBuf> {
        match self {
            Self::All(root) => Some(root.join(case)),
            Self::Failed(root) => (!passed).then(|| root.join(case)),
        }
    }
}

/// Writes the three files; what an earlier run left under their names is replaced.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn write(folder: &Path, flows: &[Flow], policies: &PolicyLocations) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_path_buf(), source })?;
    let file = |name: &str, fill: &dyn Fn(&mut dyn Write) -> std::io::Result<()>| {
        let path = folder.join(name);
        let written = File::create(&path).map(BufWriter::new).and_then(|mut out| {
            fill(&mut out)?;
            out.flush()
        });
        written.map_err(|source| Error::Write { path, source })
    };
    file("packets.pcapng", &|out| pcapng::write(flows, policies, out))?;
    file("flows.jsonl", &|out| {
        flows.iter().try_for_each(|flow| out.write_all(hubble::lines(flow).as_bytes()))
    })?;
    file("monitor.txt", &|out| {
        flows.iter().flat_map(monitor::typed_lines).try_for_each(|(_, line)| writeln!(out, "{line}"))
    })
}
