//! `egret clean`: removes what killed runs left behind.

#[cfg(feature = "kubernetes")]
mod cluster;
#[cfg(feature = "docker")]
mod docker;

use crate::error::Error;
use crate::exit::Exit;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to look; at the container engine where that is compiled in
    #[arg(long, value_enum)]
    subject: Option<Where>,
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    cluster: cluster::Place,
}

/// Where runs leave things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    /// At the container engine
    #[cfg(feature = "docker")]
    Docker,
    /// In the cluster of the kubeconfig
    #[cfg(feature = "kubernetes")]
    #[value(alias = "kind")]
    Cluster,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match arguments.subject {
        #[cfg(feature = "docker")]
        None | Some(Where::Docker) => docker::run(),
        #[cfg(not(feature = "docker"))]
        None => cluster::run(&arguments.cluster),
        #[cfg(feature = "kubernetes")]
        Some(Where::Cluster) => cluster::run(&arguments.cluster),
    }
}
