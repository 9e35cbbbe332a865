//! `egret verdict -f PATH…`: flows on standard input, verdicts on standard output.

use std::io::{BufReader, stdin, stdout};
use std::path::PathBuf;

use egret_core::fqdn::Names;
use egret_core::judge;

use super::DialectWord;
use crate::cluster;
use crate::error::Error;
use crate::exit::Exit;
use crate::verdict::{answer_lines, learned};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Manifests of the cluster and its policies: files or folders; may be given several times
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Whose reading of the policies holds; without it Cilium's where any policy is Cilium's own
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
    /// What was learned from DNS: `api.github.com: [140.82.121.6]`
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    if arguments.files.iter().any(|path| path.as_os_str() == "-") {
        return Err(Error::FlowsOnInput);
    }
    let cluster = cluster::read(&arguments.files, arguments.dialect.map(Into::into)).map_err(Error::Input)?;
    super::say_odd(&cluster);
    let names = match &arguments.names {
        Some(path) => learned(path).map_err(Error::Input)?,
        None => Names::default(),
    };
    let compiled = judge::Cluster::new(&cluster.desired, &names);
    let input = BufReader::with_capacity(1 << 16, stdin().lock());
    match answer_lines(&compiled, &cluster.policies, input, stdout().lock()) {
        Ok(counts) if counts.bad == 0 => Ok(Exit::Passed),
        Ok(_) => Ok(Exit::Usage),
        // Who stops reading, as `head` does, has what he wanted.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Passed),
        Err(error) => Err(Error::Flows(error)),
    }
}
