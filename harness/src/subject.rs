//! What is under test: the trait that every subject implements, and which subject a run takes.

#[cfg(feature = "kubernetes")]
pub mod cluster;
#[cfg(feature = "docker")]
pub mod docker;
#[cfg(any(feature = "docker", feature = "kubernetes"))]
mod image;
mod join;
pub mod lab;
mod model;
mod question;
mod site;

#[cfg(feature = "docker")]
pub use docker::Docker;
#[cfg(test)]
pub(crate) use join::tests::seen;
pub(crate) use join::was_dropped;
pub use lab::{Lab, LabOptions};
pub use model::Model;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe};

use crate::case::{Capability, Case, Step};
use crate::compare::Sight;

/// A subject runs cases: a world comes up, states are applied, probes are made, flows are handed over.
pub trait Subject {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> BTreeSet<Capability>;

    /// What of a case it cannot do; a case that lacks nothing is run.
    fn lacks(&self, case: &Case) -> BTreeSet<Capability> {
        case.requires.difference(&self.capabilities()).copied().collect()
    }

    /// Why it cannot do a thing here that it could do elsewhere, and what to do about it.
    fn why_lacking(&self, _capability: Capability) -> Option<String> {
        None
    }

    /// How much of what happens to a packet it sees.
    fn sight(&self) -> Sight {
        Sight::Flows
    }

    /// Brings the case's world up, without policies; whatever an earlier case left is gone.
    ///
    /// # Errors
    /// The environment could not do it: the case ends as an error, never as a result.
    fn begin(&mut self, case: &Case) -> Result<(), SubjectError>;

    /// Brings a step's state into force and returns when every agent has reported its revision.
    ///
    /// # Errors
    /// As for [`Subject::begin`]; also when the revision was not reached.
    fn apply(&mut self, step: &Step) -> Result<Applied, SubjectError>;

    /// Makes probes in their order: each starts when the one before is decided.
    ///
    /// # Errors
    /// A probe could not run, or flow records were lost.
    fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, SubjectError>;

    /// Flows since the last call, in order of time; empty where the subject has no packets.
    fn flows(&mut self) -> Vec<Flow>;
}

/// How a step's state came into force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Revision that every agent reported.
    pub revision: u64,
    /// From the request to the last report.
    pub convergence: Duration,
}

/// Why a subject could not run; never a verdict on the case.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// This machine cannot run the subject.
    #[error("the {subject} subject cannot run here: {problem}; {advice}")]
    Environment {
        /// Subject's name.
        subject: &'static str,
        /// What is missing.
        problem: String,
        /// What to do about it.
        advice: String,
    },
    /// A part of the case could not run.
    #[error("{what}: {problem}")]
    Run {
        /// What was being done.
        what: String,
        /// What went wrong.
        problem: String,
    },
    /// The datapath wrote more records than were read.
    #[error("{count} flow records were lost, so what happened to the packets is not known")]
    FlowsLost {
        /// Number of lost records.
        count: u64,
    },
}

/// The subjects by their names on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum SubjectKind {
    /// The lab where it can run, else docker, else the model
    #[default]
    Auto,
    /// The pure policy engine, in process
    Model,
    /// Pods as network namespaces on this machine, with real packets
    Lab,
    /// Nodes as containers of a container engine, with real packets
    Docker,
    /// A cluster on which Egret's agent is the network plugin; `egret kind up` makes one
    Kind,
    /// Any cluster that a kubeconfig reaches, with whatever network plugin it has
    Cluster,
}

/// How the subjects `kind` and `cluster` reach their cluster, and what they may do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Context of the kubeconfig; its current one without.
    pub context: Option<String>,
    /// Stands before the names of the cases' namespaces.
    pub prefix: Option<String>,
    /// Image of the pods; that of the cluster's own agents without, or `egret:latest`.
    pub image: Option<String>,
    /// Clients wait as long as the tutorial's do.
    pub patient: bool,
    /// The container engine's network with the nodes of a kind cluster.
    pub network: String,
    /// Static program for the image of the Internet's container; as for the docker subject without.
    pub binary: Option<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            context: None,
            prefix: None,
            image: None,
            patient: false,
            network: Self::NETWORK.into(),
            binary: None,
        }
    }
}

impl ClusterOptions {
    /// The network that kind makes for every cluster.
    pub const NETWORK: &'static str = "kind";
}

/// A subject that is ready.
pub struct Chosen {
    /// The subject.
    pub subject: Box<dyn Subject>,
    /// Whether it is the model, which then predicts itself.
    pub is_model: bool,
    /// Why it is not the one that was hoped for; one line.
    pub note: Option<String>,
}

/// Makes the subject ready. `image_binary` names the static program that the docker subject's containers run.
///
/// # Errors
/// The lab was asked for by name and this machine cannot run it. `auto` falls back on the model instead.
pub fn choose(
    kind: SubjectKind,
    options: LabOptions,
    image_binary: Option<&Path>,
    cluster: &ClusterOptions,
) -> Result<Chosen, SubjectError> {
    let model = |note| Chosen { subject: Model::boxed(), is_model: true, note };
    let lab = |lab| Chosen { subject: Box::new(lab), is_model: false, note: None };
    let docker = |note| Ok(Chosen { subject: docker_subject(options, image_binary)?, is_model: false, note });
    match kind {
        SubjectKind::Model => Ok(model(None)),
        SubjectKind::Lab => Lab::new(options).map(lab),
        SubjectKind::Kind | SubjectKind::Cluster => in_cluster(kind, cluster),
        SubjectKind::Docker => docker(None),
        SubjectKind::Auto => Ok(match lab::available().and_then(|()| Lab::new(options)) {
            Ok(ready) => lab(ready),
            Err(problem) if cfg!(feature = "docker") => {
                match docker(Some(format!("{problem}; this run takes containers"))) {
                    Ok(ready) => ready,
                    Err(other) => model(Some(format!("{problem}; {other}; this run asks the model"))),
                }
            }
            Err(problem) => model(Some(format!("{problem}; this run asks the model"))),
        }),
    }
}

#[cfg(feature = "kubernetes")]
fn in_cluster(kind: SubjectKind, options: &ClusterOptions) -> Result<Chosen, SubjectError> {
    let plugin = if kind == SubjectKind::Kind { cluster::Plugin::Egret } else { cluster::Plugin::Any };
    let ready = cluster::Cluster::new(plugin, options)?;
    let note = Some(ready.note());
    Ok(Chosen { subject: Box::new(ready), is_model: false, note })
}

#[cfg(not(feature = "kubernetes"))]
fn in_cluster(kind: SubjectKind, _options: &ClusterOptions) -> Result<Chosen, SubjectError> {
    Err(SubjectError::Environment {
        subject: if kind == SubjectKind::Kind { "kind" } else { "cluster" },
        problem: "this program was built without the feature `kubernetes`".into(),
        advice: "build it with `cargo build --release --features kubernetes`, or take a release's binary"
            .into(),
    })
}

#[cfg(feature = "docker")]
fn docker_subject(options: LabOptions, binary: Option<&Path>) -> Result<Box<dyn Subject>, SubjectError> {
    Ok(Box::new(Docker::new(options, binary)?))
}

#[cfg(not(feature = "docker"))]
fn docker_subject(_: LabOptions, _: Option<&Path>) -> Result<Box<dyn Subject>, SubjectError> {
    Err(SubjectError::Environment {
        subject: "docker",
        problem: "this egret was built without it".into(),
        advice: "build it with `cargo build --release --features docker`".into(),
    })
}

/// One thing that the machine must have for a subject, as `egret doctor` lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What is looked at, for example `kernel BTF`.
    pub name: String,
    /// What was found.
    pub state: CheckState,
    /// What to do when it is missing; else what was found.
    pub advice: String,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// It is there.
    Ok,
    /// It is not there.
    Missing,
    /// It could not be looked at, for example without root.
    Unknown,
}

impl CheckState {
    /// The word that `egret doctor` prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}
