//! `egret matrix -f PATH…`: who can talk to whom, and who decides it.

use std::path::PathBuf;

use egret_core::fqdn::Names;
use egret_core::judge;
use egret_core::matrix::Traffic;

use super::DialectWord;
use crate::cluster;
use crate::error::Error;
use crate::exit::Exit;
use crate::matrix::{Filter, Wanted, page, parse_traffic};
use crate::verdict::learned;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Manifests of the cluster and its policies: files, folders or `-`; may be given several times
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Ports such as `80,53/UDP,8/ICMP`; without it all that pods serve and policies name
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = parse_traffic)]
    ports: Vec<Traffic>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Who opens connections: `ns/pod` with `*`, a namespace, a prefix, or world, host, remote-node
    #[arg(long, value_name = "WHO")]
    from: Vec<String>,
    /// Who is asked, as for --from
    #[arg(long, value_name = "WHO")]
    to: Vec<String>,
    /// Print below the table which rules decide
    #[arg(long)]
    why: bool,
    /// Whose reading of the policies holds; without it Cilium's where any policy is Cilium's own
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
    /// What was learned from DNS: `api.github.com: [140.82.121.6]`
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One line for each flow
    Csv,
    /// A table in GitHub's Markdown
    Markdown,
    /// A graph for Graphviz
    Dot,
    /// One file for a browser
    Html,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let cluster = cluster::read(&arguments.files, arguments.dialect.map(Into::into)).map_err(Error::Input)?;
    super::say_ignored(&cluster);
    let names = match &arguments.names {
        Some(path) => learned(path).map_err(Error::Input)?,
        None => Names::default(),
    };
    let filters = |words: &[String]| words.iter().map(|word| Filter::new(word)).collect();
    let wanted = Wanted {
        traffic: arguments.ports.clone(),
        from: filters(&arguments.from),
        to: filters(&arguments.to),
    };
    let page = page(&judge::Cluster::new(&cluster.desired, &names), &cluster.policies, &wanted);
    super::print(&match arguments.format {
        Format::Text => page.text(arguments.why),
        Format::Json => super::json(&page),
        Format::Csv => page.csv(),
        Format::Markdown => page.markdown(),
        Format::Dot => page.dot(),
        Format::Html => page.html(),
    });
    Ok(Exit::Passed)
}
