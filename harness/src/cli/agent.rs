//! `egret agent …`: the agent of a cluster's node, and questions to the one that runs on this machine.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use egret_agent::control::client::Client;
use egret_agent::control::{self, ControlError, Reply, Request, Status};
use egret_agent::kubernetes::{self, Settings};
use egret_core::rule::Dialect;
use egret_shared::Verdict;
use ipnet::IpNet;

use crate::error::Error;
use crate::exit::Exit;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Be the agent of this machine as a node of a cluster, until told to end
    Run(Run),
    /// Print what is in force on this node, as one JSON document
    Status(At),
    /// Print the flows that the agent has kept, one JSON document a line
    Flows(Flows),
    /// Make the agent forget learned names and connections
    Forget(At),
    /// Make every packet a flow, or only new and dropped ones
    Capture(Capture),
    /// Say whose reading of policies holds on this node
    Dialect(DialectOf),
    /// Lead prefixes outside the cluster to a neighbour of this node, in place of those before; none: no more
    Outside(Outside),
    /// Return when versions of policies, pods or other objects are in force on this node
    Wait(Wait),
}

#[derive(clap::Args)]
pub(super) struct At {
    /// The agent's socket
    #[arg(long, default_value = control::SOCKET)]
    socket: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    at: At,
    /// Name of this node in the cluster
    #[arg(long, env = "NODE_NAME")]
    node: String,
    /// The container runtime's folder of plugins
    #[arg(long, default_value = "/opt/cni/bin")]
    plugins: PathBuf,
    /// The container runtime's folder of configurations
    #[arg(long, default_value = "/etc/cni/net.d")]
    configurations: PathBuf,
    /// Where the kubelet asks for `/healthz` and `/readyz`
    #[arg(long, default_value = "127.0.0.1:9234")]
    health: SocketAddr,
}

#[derive(clap::Args)]
pub(super) struct Flows {
    #[command(flatten)]
    at: At,
    /// Only flows that were observed under this revision or a later one
    #[arg(long, default_value_t)]
    since: u64,
    /// Go on with new ones
    #[arg(long)]
    follow: bool,
    /// Only those whose packets were dropped
    #[arg(long)]
    dropped: bool,
    /// End when standard input does, so that nothing is left in a pod when the other side goes
    #[arg(long, requires = "follow")]
    bound: bool,
}

#[derive(clap::Args)]
pub(super) struct Capture {
    #[command(flatten)]
    at: At,
    /// Every packet, or only new and dropped ones
    #[arg(value_enum)]
    switch: Switch,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Every packet
    On,
    /// Only new and dropped ones
    Off,
}

#[derive(clap::Args)]
pub(super) struct DialectOf {
    #[command(flatten)]
    at: At,
    /// `cilium`, `cilium@1.19`, `kubernetes`, or `auto`: Cilium's as soon as a policy of its kinds is in force
    dialect: String,
}

#[derive(clap::Args)]
pub(super) struct Outside {
    #[command(flatten)]
    at: At,
    /// Address of the neighbour, one of each family
    #[arg(long)]
    via: Vec<IpAddr>,
    /// The prefixes
    #[arg(requires = "via")]
    prefixes: Vec<IpNet>,
}

#[derive(clap::Args)]
pub(super) struct Wait {
    #[command(flatten)]
    at: At,
    /// `Kind/namespace/name=VERSION`: nothing between the bars of a cluster-wide kind, no version for what is gone
    objects: Vec<String>,
    /// How many seconds to wait at most
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

pub(super) fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Run(run) => begin(run),
        Command::Status(at) => ask(&at.socket, &Request::Status).and_then(|reply| print_status(&reply)),
        Command::Flows(flows) => print_flows(&flows),
        Command::Forget(at) => ask(&at.socket, &Request::Forget).map(|_done| Exit::Passed),
        Command::Capture(Capture { at, switch }) => {
            ask(&at.socket, &Request::Capture(switch == Switch::On)).map(|_done| Exit::Passed)
        }
        Command::Dialect(DialectOf { at, dialect }) => {
            let dialect = Some(dialect).filter(|word| word != "auto");
            let dialect = dialect.as_deref().map(dialect_of).transpose()?;
            ask(&at.socket, &Request::Dialect(dialect)).map(|_done| Exit::Passed)
        }
        Command::Outside(Outside { at, via, prefixes }) => {
            ask(&at.socket, &Request::Outside { via, prefixes }).map(|_done| Exit::Passed)
        }
        Command::Wait(wait) => await_objects(&wait),
    }
}

fn begin(Run { at, node, plugins, configurations, health }: Run) -> Result<Exit, Error> {
    let settings = Settings { node, socket: at.socket, plugins, configurations, health };
    kubernetes::run(&settings).map(|()| Exit::Passed).map_err(|error| Error::Agent(with_causes(&error)))
}

/// An error and its causes, each once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.contains(&own) {
            text += &format!(": {own}");
        }
        cause = error.source();
    }
    text
}

fn dialect_of(word: &str) -> Result<Dialect, Error> {
    Dialect::parse(word).ok_or_else(|| {
        let words = Dialect::ALL.map(Dialect::word).join(", ");
        Error::Question(format!("`{word}` is no dialect: {words} or auto was expected"))
    })
}

fn connect(socket: &Path) -> Result<Client, Error> {
    Client::connect(socket).map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: ControlError) -> Error {
    Error::Agent(error.to_string())
}

fn ask(socket: &Path, request: &Request) -> Result<Reply, Error> {
    connect(socket)?.ask(request).map_err(failed)
}

fn print_status(reply: &Reply) -> Result<Exit, Error> {
    let status: &Status = match reply {
        Reply::Status(status) => status,
        Reply::Added(_) | Reply::Done | Reply::Flow(_) | Reply::Refused { .. } => {
            return Err(Error::Agent("the agent answers with something else than its status".into()));
        }
    };
    super::print(&super::json(status));
    Ok(Exit::Passed)
}

fn print_flows(Flows { at, since, follow, dropped, bound }: &Flows) -> Result<Exit, Error> {
    if *bound {
        end_with_input()?;
    }
    let mut client = connect(&at.socket)?;
    if *follow {
        client.wait_for_ever().map_err(failed)?;
    }
    let request = Request::Flows { since: *since, follow: *follow };
    let mut next = client.begin(&request).map_err(failed)?;
    let mut out = std::io::stdout().lock();
    while let Some(reply) = next {
        if let Reply::Flow(flow) = reply
            && (!dropped || matches!(flow.verdict, Verdict::Dropped(_)))
        {
            let line = serde_json::to_string(&flow).map_err(|error| Error::Agent(error.to_string()))?;
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                // The reader of our output has gone: `egret agent flows --follow | head`.
                break;
            }
        }
        next = client.answer().map_err(failed)?;
    }
    Ok(Exit::Passed)
}

/// Ends this process when standard input ends.
fn end_with_input() -> Result<(), Error> {
    let watch = || {
        let ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()))
    };
    let thread = std::thread::Builder::new().name("input".into()).spawn(watch);
    thread.map(drop).map_err(|error| Error::Agent(format!("could not watch standard input: {error}")))
}

fn await_objects(Wait { at, objects, timeout }: &Wait) -> Result<Exit, Error> {
    let objects = objects
        .iter()
        .map(|text| {
            let (object, version) = text.split_once('=').ok_or_else(|| {
                Error::Question(format!(
                    "`{text}` names no version: `Kind/namespace/name=VERSION` was expected"
                ))
            })?;
            Ok((object.to_owned(), version.to_owned()))
        })
        .collect::<Result<BTreeMap<_, _>, Error>>()?;
    let mut client = connect(&at.socket)?;
    client.wait_for_ever().map_err(failed)?;
    match client.ask(&Request::Await { objects, seconds: *timeout }) {
        Ok(reply) => print_status(&reply),
        Err(ControlError::Refused { message, .. }) => {
            anstream::eprintln!("{message}");
            Ok(Exit::Failed)
        }
        Err(error) => Err(failed(error)),
    }
}
