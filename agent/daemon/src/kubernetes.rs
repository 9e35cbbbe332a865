//! The agent as the network plugin of a cluster's node: the API server's objects become the state in force.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | watch | API server -> one store for each kind | [`watch`] |
//! | read | object -> part of a world, rules | [`part`], [`policy`] |
//! | assemble | parts -> desired state | [`mod@assemble`] |
//! | bring into force | desired state and links -> maps | [`daemon`], [`crate::node`] |
//! | tell | validity -> `status.conditions`; readiness -> kubelet | `status`, `health` |

pub mod assemble;
pub mod daemon;
mod health;
pub mod kind;
mod object;
pub mod part;
pub mod policy;
mod status;
#[cfg(test)]
mod tests;
pub mod watch;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use egret_core::fqdn::Names;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::cni::install;
use crate::control;
use crate::error::AgentError;
use crate::netns::Netns;
use crate::node::Node;
use daemon::Daemon;
use watch::Watch;

/// How long a connection to the API server may take. After a node's start the first one can come before kube-proxy has
/// led the API server's service anywhere, and the kernel keeps it on the wrong way: the next one is soon.
const CONNECT: Duration = Duration::from_secs(5);

/// Where an agent runs, and where it puts things.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the node in the cluster.
    pub node: String,
    /// The agent's socket; learned names are kept beside it.
    pub socket: PathBuf,
    /// The runtime's folder of plugins.
    pub plugins: PathBuf,
    /// The runtime's folder of configurations.
    pub configurations: PathBuf,
    /// Where the kubelet asks whether the agent is well.
    pub health: SocketAddr,
}

/// Why an agent could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The API server cannot be found.
    #[error("no way to the API server: {0}")]
    Configuration(#[from] kube::config::InferConfigError),
    /// The API server's address or certificates are wrong.
    #[error("no way to the API server: {0}")]
    Client(#[from] kube::Error),
    /// The datapath could not be loaded.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The system refused something.
    #[error("could not {what}: {source}")]
    System {
        /// What was being done.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl DaemonError {
    /// For `map_err`: names what was being done.
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

/// Runs the agent of the node that the process is on, until it is told to end. Everything in the kernel stays and
/// goes on judging.
///
/// # Errors
/// When it cannot begin.
pub fn run(settings: &Settings) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DaemonError::system("start the agent"))?;
    LocalSet::new().block_on(&runtime, async {
        let mut configuration = kube::Config::infer().await?;
        configuration.connect_timeout = Some(CONNECT);
        let client = Client::try_from(configuration)?;
        let netns = Netns::current().map_err(DaemonError::system("find the node's network"))?;
        let ended = async {
            let (mut terminate, mut interrupt) =
                (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            io::Result::Ok(())
        };
        tokio::select! {
            served = serve(settings, netns, client) => served,
            ended = ended => ended.map_err(DaemonError::system("wait for signals")),
        }
    })
}

/// Serves as the agent of a node whose network is `netns`, on the calling thread's `LocalSet`, until it is dropped.
///
/// # Errors
/// When it cannot begin.
pub async fn serve(settings: &Settings, netns: Netns, client: Client) -> Result<(), DaemonError> {
    let mut node = Node::start(&settings.node, netns)?;
    let file = settings.socket.with_file_name("names.json");
    node.keep_names(kept_names(&file), move |names| keep_names(&file, names))?;
    let daemon = Rc::new(Daemon::new(node, Watch::start(&client)));
    let listener = control::server::listen(&settings.socket)
        .map_err(DaemonError::system(format!("listen at `{}`", settings.socket.display())))?;
    let kubelet = health::listen(settings.health)
        .await
        .map_err(DaemonError::system(format!("listen at {}", settings.health)))?;
    install::plugin(&settings.plugins)
        .map_err(DaemonError::system(format!("put the plugin into `{}`", settings.plugins.display())))?;
    tokio::select! {
        () = daemon.run() => Ok(()),
        collected = daemon.collect() => collected.map_err(DaemonError::system("wait for flow records")),
        () = control::server::run(listener, Rc::clone(&daemon)) => Ok(()),
        () = health::run(kubelet, Rc::clone(&daemon)) => Ok(()),
        () = status::run(client, daemon.watch()) => Ok(()),
        installed = configure(settings, &daemon) => installed,
    }
}

/// Writes the network's configuration when pods can be linked, and then does nothing any more.
async fn configure(settings: &Settings, daemon: &Daemon) -> Result<(), DaemonError> {
    let mut news = daemon.news();
    while daemon.unready().is_some() {
        if news.changed().await.is_err() {
            return Ok(());
        }
    }
    let folder = &settings.configurations;
    install::conflist(folder, &settings.socket).map_err(DaemonError::system(format!(
        "write the network's configuration into `{}`",
        folder.display()
    )))?;
    log("the network's configuration is in place");
    std::future::pending().await
}

/// Names that an earlier agent of this boot learned. A file that is not there or not understood is none.
fn kept_names(file: &Path) -> Names {
    let text = fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps names beside the socket, in a folder that ends with the boot, as the clock of their times does.
fn keep_names(file: &Path, names: &Names) -> io::Result<()> {
    install::replace(file, &serde_json::to_vec(names)?, 0o600)
}

/// One line for whoever reads the pod's log.
fn log(line: &str) {
    eprintln!("egret agent: {line}");
}
