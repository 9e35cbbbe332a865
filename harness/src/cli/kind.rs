//! `egret kind`: a cluster in containers with Egret's agent as its network plugin: up, down, status.

use std::path::PathBuf;
use std::time::Duration;

use super::TableFormat;
use crate::count::count;
use crate::error::Error;
use crate::exit::Exit;
use crate::subject::cluster::kind::{self, Family, Health, Phase, Shape, Target, Wanted};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make the cluster, or what of it is missing, and wait until its agents are ready
    Up(Up),
    /// Remove the cluster
    Down(Name),
    /// Say how the cluster is
    Status(Status),
}

#[derive(clap::Args)]
pub(super) struct Name {
    /// Name of the cluster
    #[arg(long, default_value = "egret")]
    name: String,
    /// kind's program
    #[arg(long, default_value = "kind", value_name = "PATH")]
    kind: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Up {
    #[command(flatten)]
    target: Name,
    /// How many nodes; the first is the control plane
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    nodes: u8,
    /// kind's node image
    #[arg(long, value_name = "IMAGE")]
    node_image: Option<String>,
    /// IPv6 alone
    #[arg(long, conflicts_with = "dual_stack")]
    ipv6: bool,
    /// IPv4 and IPv6
    #[arg(long)]
    dual_stack: bool,
    /// Let kube-proxy translate services, as it does without this flag
    #[arg(long, conflicts_with = "no_kube_proxy")]
    keep_kube_proxy: bool,
    /// Leave kube-proxy out
    #[arg(long)]
    no_kube_proxy: bool,
    /// Static program for the image; the one that EGRET_IMAGE_BINARY names, or this one, without
    #[arg(long, value_name = "PATH")]
    image_binary: Option<PathBuf>,
    /// Restart pods that were there before the agents, and that a controller makes again
    #[arg(long)]
    restart_unmanaged: bool,
}

#[derive(clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Name,
    /// Table for people, or JSON
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

pub(super) fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Up(arguments) => up(arguments),
        Command::Down(name) => down(&name.target()),
        Command::Status(arguments) => status(&arguments),
    }
}

fn up(arguments: Up) -> Result<Exit, Error> {
    let family = match (arguments.ipv6, arguments.dual_stack) {
        (true, _) => Family::V6,
        (false, true) => Family::Dual,
        (false, false) => Family::V4,
    };
    let wanted = Wanted {
        shape: Shape { nodes: arguments.nodes, family, kube_proxy: !arguments.no_kube_proxy },
        node_image: arguments.node_image,
        binary: arguments.image_binary,
        restart_unmanaged: arguments.restart_unmanaged,
    };
    let mut whole = Duration::ZERO;
    let health = kind::up(&arguments.target.target(), &wanted, &mut |phase: &Phase| {
        whole += phase.took;
        super::print(&format!("{:>7.1} s  {:<9}  {}\n", phase.took.as_secs_f64(), phase.what, phase.outcome));
    })?;
    super::print(&format!("{:>7.1} s  in all\n", whole.as_secs_f64()));
    super::print(&unmanaged(&health));
    Ok(if health.is_well() { Exit::Passed } else { Exit::Environment })
}

fn down(target: &Target) -> Result<Exit, Error> {
    let gone = kind::down(target)?;
    let name = &target.name;
    super::print(&if gone {
        format!("removed cluster {name}\n")
    } else {
        format!("there is no cluster {name}\n")
    });
    Ok(Exit::Passed)
}

fn status(arguments: &Status) -> Result<Exit, Error> {
    let target = arguments.target.target();
    let health = kind::status(&target)?;
    super::print(&match (arguments.format, &health) {
        (TableFormat::Json, _) => super::json(&health),
        (TableFormat::Text, None) => {
            format!("there is no cluster {}: `egret kind up` makes it\n", target.name)
        }
        (TableFormat::Text, Some(health)) => table(health),
    });
    Ok(if health.is_some_and(|health| health.is_well()) { Exit::Passed } else { Exit::Environment })
}

fn table(health: &Health) -> String {
    let mut text = format!("nodes   {} of {} ready\n", health.nodes - health.not_ready.len(), health.nodes);
    for node in &health.not_ready {
        text += &format!("        {node} is not ready\n");
    }
    text += &format!("agents  {} of {} ready\n", health.agents_ready, health.agents);
    text += &format!("image   {}\n", health.image.as_deref().unwrap_or("none: the agents are not installed"));
    text + &unmanaged(health)
}

/// What is under no policy is said wherever a cluster is shown.
fn unmanaged(health: &Health) -> String {
    if health.unmanaged.is_empty() {
        return String::new();
    }
    let pods = count(health.unmanaged.len(), "pod");
    format!(
        "{pods} started before the agents and under no policy: {}; \
         `egret kind up --restart-unmanaged` restarts those of controllers\n",
        health.unmanaged.join(", ")
    )
}

impl Name {
    fn target(&self) -> Target {
        Target { name: self.name.clone(), program: self.kind.clone() }
    }
}
