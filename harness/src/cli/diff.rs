//! `egret diff OLD NEW`: which flows a change changes.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use egret_core::fqdn::Names;
use egret_core::judge;
use egret_core::matrix::Traffic;
use egret_core::rule::Dialect;

use super::DialectWord;
use crate::cluster;
use crate::diff::{Difference, Effect, Version, compare, read_record};
use crate::error::Error;
use crate::exit::Exit;
use crate::matrix::parse_traffic;
use crate::verdict::learned;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Manifests before the change: a file, a folder, or `-`
    old: PathBuf,
    /// Manifests after the change
    new: PathBuf,
    /// Exit with 1 when a flow changes in this way
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
    /// Recorded flows to ask about in the place of all: lines as for `verdict`, or Hubble's JSON export
    #[arg(long, value_name = "FILE")]
    flows: Option<PathBuf>,
    /// Ports such as `80,53/UDP,8/ICMP`; without it all that pods serve and policies name
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = parse_traffic)]
    ports: Vec<Traffic>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Whose reading of the policies holds; without it Cilium's where any policy is Cilium's own
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
    /// What was learned from DNS: `api.github.com: [140.82.121.6]`
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// More passes
    Loosened,
    /// Less passes
    Tightened,
    /// Either
    Any,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Paragraphs for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// Tables in GitHub's Markdown
    Markdown,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let read = |path: &PathBuf| {
        let cluster = cluster::read(std::slice::from_ref(path), arguments.dialect.map(Into::into));
        cluster.map_err(Error::Input).inspect(super::say_ignored)
    };
    let (mut old, mut new) = (read(&arguments.old)?, read(&arguments.new)?);
    // One reading for both: what an added policy's kind would switch is no change of what the others say.
    if [&old, &new].iter().any(|cluster| cluster.desired.dialect != Dialect::Kubernetes) {
        let dialect = if old.desired.dialect == Dialect::Kubernetes {
            new.desired.dialect
        } else {
            old.desired.dialect
        };
        old.desired.dialect = dialect;
        new.desired.dialect = dialect;
    }
    let names = match &arguments.names {
        Some(path) => learned(path).map_err(Error::Input)?,
        None => Names::default(),
    };
    let (before, after) =
        (judge::Cluster::new(&old.desired, &names), judge::Cluster::new(&new.desired, &names));
    let old = Version { cluster: &before, places: &old.policies };
    let new = Version { cluster: &after, places: &new.policies };
    let difference = match &arguments.flows {
        None => compare(old, new, &arguments.ports),
        Some(path) => {
            let file = File::open(path).map_err(|source| Error::Record { path: path.clone(), source })?;
            let record = read_record(BufReader::new(file))
                .map_err(|source| Error::InvalidRecord { path: path.clone(), source })?;
            Difference::of_record(old, new, &record)
        }
    };
    super::print(&match arguments.format {
        Format::Text => difference.text(),
        Format::Json => super::json(&difference),
        Format::Markdown => difference.markdown(),
    });
    let fails = match arguments.fail_on {
        None => false,
        Some(FailOn::Loosened) => difference.has(Effect::Loosened),
        Some(FailOn::Tightened) => difference.has(Effect::Tightened),
        Some(FailOn::Any) => difference.has(Effect::Loosened) || difference.has(Effect::Tightened),
    };
    Ok(if fails { Exit::Failed } else { Exit::Passed })
}
