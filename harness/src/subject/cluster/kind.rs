//! `egret kind`: a cluster in containers on which Egret's agent is the network plugin, made by kind's own program.

mod config;
mod health;
mod image;
pub(super) mod install;
mod program;

pub use config::{Family, Shape};
pub use health::Health;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::error::ClusterError;
use super::object::Run;
use super::server::Server;
use super::stop::Stop;
use super::{agents, runtime};
use crate::subject::SubjectError;
use program::Program;

/// What all commands of `egret kind` need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The cluster's name; its nodes' names begin with it.
    pub name: String,
    /// kind's program; looked for on the PATH when it has no folder.
    pub program: PathBuf,
}

impl Target {
    /// The command that removes the cluster.
    fn remove(&self) -> String {
        format!("egret kind down --name {}", self.name)
    }
}

/// One phase of `egret kind up`, when it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What was done.
    pub what: &'static str,
    /// What came of it.
    pub outcome: String,
    /// How long it took.
    pub took: Duration,
}

/// What `egret kind up` is asked for beside the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Nodes, families, kube-proxy.
    pub shape: Shape,
    /// kind's node image; its own choice without.
    pub node_image: Option<String>,
    /// The program that goes into the image; this one without.
    pub binary: Option<PathBuf>,
    /// Restart pods that were there before the agents.
    pub restart_unmanaged: bool,
}

/// Brings a cluster up, or what of it is missing; tells each phase as it ends.
///
/// A cluster that this call has begun to make is removed when it is interrupted or fails before it stands.
///
/// # Errors
/// kind's program is missing or fails, the API server refuses, or nodes or agents do not become ready.
pub fn up(target: &Target, wanted: &Wanted, tell: &mut dyn FnMut(&Phase)) -> Result<Health, SubjectError> {
    let runtime = runtime().map_err(failed)?;
    let mut stop = {
        let _inside = runtime.enter();
        Stop::new().map_err(failed)?
    };
    let program = Program::find(target).map_err(failed)?;
    let mut phases = Phases { tell, started: Instant::now() };
    let image = image::Image::read(wanted.binary.as_deref()).map_err(failed)?;
    let there = stop.work(&runtime, program.exists()).map_err(failed)?;
    if there {
        phases.ended("cluster", "is there already".into());
    } else {
        let config = wanted.shape.config(&target.name);
        let made = stop.work(&runtime, program.create(&config, wanted.node_image.as_deref()));
        if let Err(error) = made {
            // kind keeps half a cluster when it is interrupted.
            let removed = stop.again(&runtime, program.delete_unfinished());
            return Err(failed(with_rest(error, removed, target)));
        }
        phases.ended(
            "cluster",
            format!("made with {}", crate::count::count(wanted.shape.nodes.into(), "node")),
        );
    }
    let ended = stop.work(&runtime, finish(&program, target, &image, wanted, &mut phases));
    match ended {
        Ok(health) => Ok(health),
        Err(ClusterError::Interrupted) if !there => {
            let removed = stop.again(&runtime, program.delete_unfinished());
            Err(failed(with_rest(ClusterError::Interrupted, removed, target)))
        }
        Err(error) => Err(failed(error)),
    }
}

/// From a cluster to one with agents that are ready.
async fn finish(
    program: &Program,
    target: &Target,
    image: &image::Image,
    wanted: &Wanted,
    phases: &mut Phases<'_>,
) -> Result<Health, ClusterError> {
    let server = connect(program, target).await?;
    let before = health::look(&server).await?;
    if before.image.as_deref() == Some(image.name()) {
        phases.ended("image", format!("{} is there already", image.name()));
    } else {
        program.load(image).await?;
        phases.ended("image", format!("{} loaded into the nodes", image.name()));
    }
    let objects = install::apply(&server, image.name()).await?;
    phases.ended("manifests", format!("{objects} objects applied"));
    health::nodes_ready(&server).await?;
    phases.ended("nodes", format!("{} ready", crate::count::count(before.nodes, "node")));
    health::agents_ready(&server).await?;
    phases.ended("agents", "ready: a revision is in force on every node".into());
    let mut health = health::look(&server).await?;
    if wanted.restart_unmanaged && !health.unmanaged.is_empty() {
        let restarted = install::restart(&server, &health.unmanaged).await?;
        phases.ended("pods", format!("{} restarted", crate::count::count(restarted, "pod")));
        health = health::look(&server).await?;
    }
    Ok(health)
}

/// Removes a cluster; whether there was one.
///
/// # Errors
/// kind's program is missing or fails.
pub fn down(target: &Target) -> Result<bool, SubjectError> {
    let runtime = runtime().map_err(failed)?;
    let program = Program::find(target).map_err(failed)?;
    runtime
        .block_on(async {
            let there = program.exists().await?;
            if there {
                program.delete().await?;
            }
            Ok(there)
        })
        .map_err(failed)
}

/// How a cluster is; nothing when there is none.
///
/// # Errors
/// kind's program is missing or fails, or the API server does not answer.
pub fn status(target: &Target) -> Result<Option<Health>, SubjectError> {
    let runtime = runtime().map_err(failed)?;
    let program = Program::find(target).map_err(failed)?;
    runtime
        .block_on(async {
            if !program.exists().await? {
                return Ok(None);
            }
            let server = connect(&program, target).await?;
            health::look(&server).await.map(Some)
        })
        .map_err(failed)
}

/// A client with the credentials that kind keeps, whatever the user's kubeconfig says.
async fn connect(program: &Program, target: &Target) -> Result<Server, ClusterError> {
    let kubeconfig = program.kubeconfig().await.map_err(|error| ClusterError::Unfinished {
        name: target.name.clone(),
        problem: error.to_string(),
        remove: target.remove(),
    })?;
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Server { client: Client::try_from(config).map_err(ClusterError::Client)?, run: Run::new() })
}

fn failed(error: ClusterError) -> SubjectError {
    error.of_subject("kind", "egret kind")
}

/// What stopped it, and what is left when the removal was stopped as well.
fn with_rest(error: ClusterError, removed: Result<(), ClusterError>, target: &Target) -> ClusterError {
    match removed {
        Ok(()) if matches!(error, ClusterError::Interrupted) => ClusterError::Undone,
        Ok(()) => error,
        Err(rest) => {
            ClusterError::Left { problem: error.to_string(), rest: rest.to_string(), remove: target.remove() }
        }
    }
}

/// Measures phases.
struct Phases<'a> {
    tell: &'a mut dyn FnMut(&Phase),
    started: Instant,
}

impl Phases<'_> {
    fn ended(&mut self, what: &'static str, outcome: String) {
        (self.tell)(&Phase { what, outcome, took: self.started.elapsed() });
        self.started = Instant::now();
    }
}
