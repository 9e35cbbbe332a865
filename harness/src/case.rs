//! A case after reading: its world, and for each step the desired state and what is expected of it.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | find | folder and arguments -> paths and names | `load` |
//! | read | text -> the case language's types | `schema` |
//! | lower | those types -> [`Case`] | `lower` |

mod check;
mod load;
mod lower;
mod render;
pub mod schema;
#[cfg(test)]
mod tests;

pub use check::check;
pub use load::{bless, find, load, load_file, load_one, wants_bless};
pub(crate) use lower::{
    Addresses, DEFAULT_NODE, NAMESPACES, Problems, namespace_labels, protocol, read_policy, service_port,
};
pub use schema::json_schema;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use egret_core::author::{Author, PolicyId};
use egret_core::probe::{JudgedAs, Outcome, Probe};
use egret_core::{Desired, World};
use egret_shared::DropReason;

use crate::source::{Location, Source};
use crate::yaml::Manifest;

/// A case that was found and not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Path below the cases folder, without `.yaml` or `/case.yaml`.
    pub name: String,
    /// The case's file.
    pub path: PathBuf,
    /// The cases folder.
    pub root: PathBuf,
    /// The case passes when it is refused with the message beside it.
    pub must_be_refused: bool,
}

/// A case that was read.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// To be run.
    Case(Box<Case>),
    /// Was to be refused; passes when both texts are the same.
    Refused {
        /// The case's name.
        name: String,
        /// The text of `NAME.stderr`; empty when there is no such file.
        expected: String,
        /// What loading said.
        actual: String,
    },
}

impl Loaded {
    /// The case's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Case(case) => &case.name,
            Self::Refused { name, .. } => name,
        }
    }
}

/// One case. Everything that the file says is resolved: a subject needs nothing else.
#[derive(Clone, Debug)]
pub struct Case {
    /// Path below the cases folder, without `.yaml` or `/case.yaml`.
    pub name: String,
    /// The rule under test, in one sentence.
    pub title: String,
    /// What the case needs of a subject.
    pub requires: BTreeSet<Capability>,
    /// The case's file.
    pub source: Arc<Source>,
    /// Place of the title.
    pub at: Location,
    /// What exists before the first step.
    pub world: World,
    /// Connections that are opened before the first step.
    pub openings: Vec<Probe>,
    /// What happens; at least one.
    pub steps: Vec<Step>,
    /// Where the policies of all steps stand; of a policy that is replaced, the last. See [`Step::policies`].
    pub policies: PolicyLocations,
}

/// Where the rules of policies stand. The places are looked up when they are asked for, which is only when
/// something has to be explained.
#[derive(Clone, Debug, Default)]
pub struct PolicyLocations {
    objects: BTreeMap<PolicyId, Manifest>,
}

impl PolicyLocations {
    /// The places of these objects.
    pub(crate) fn new(objects: BTreeMap<PolicyId, Manifest>) -> Self {
        Self { objects }
    }

    /// Adds others; where a policy is in both, the later object counts.
    pub(crate) fn extend(&mut self, others: &Self) {
        self.objects.extend(others.objects.clone());
    }

    /// The object of a policy.
    #[must_use]
    pub fn object(&self, policy: &PolicyId) -> Option<&Manifest> {
        self.objects.get(policy)
    }

    /// Every object, by policy.
    pub fn objects(&self) -> impl Iterator<Item = (&PolicyId, &Manifest)> {
        self.objects.iter()
    }

    /// Places to name for an author: the rule's own, or those of the policies behind a default deny.
    #[must_use]
    pub fn of(&self, author: &Author) -> Vec<Location> {
        match author {
            Author::DefaultDeny { because } => {
                because.iter().filter_map(|policy| self.place(policy, "metadata.name")).collect()
            }
            Author::Kubelet => Vec::new(),
            Author::Rule { policy, path } if path.is_empty() => {
                self.place(policy, "metadata.name").into_iter().collect()
            }
            Author::Rule { policy, path } => {
                // Paths of `specs` begin at the object's root, all others below `spec`.
                let path = if path.starts_with("specs[") { path.clone() } else { format!("spec.{path}") };
                self.place(policy, &path).into_iter().collect()
            }
        }
    }

    fn place(&self, policy: &PolicyId, path: &str) -> Option<Location> {
        self.objects.get(policy).map(|object| object.locate(path))
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name, or `step N` when the file gives none.
    pub name: String,
    /// Place of the step.
    pub at: Location,
    /// Worlds and policies after this step's deletions, applications and changes.
    pub desired: Desired,
    /// Changes that are not part of the desired state, in order.
    pub events: Vec<StepEvent>,
    /// Policies of this step that select no endpoint: the step fails.
    pub select_nothing: Vec<(PolicyId, Location)>,
    /// What is asked: first of the connections that are open, then in the order of the file, expanded from lists,
    /// `*` and matrices.
    pub expectations: Vec<Expectation>,
    /// Where the policies in force in this step stand.
    pub policies: PolicyLocations,
}

/// A change that is an event rather than a state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum StepEvent {
    /// The datapath's and the agents' time moves forward.
    Clock(Duration),
    /// A node's link to all other nodes and to the Internet goes down or up.
    Link {
        /// The node.
        node: String,
        /// Whether it comes up.
        up: bool,
    },
    /// A node stops, with its pods and its agent; its connections and learned names are gone.
    Stop {
        /// The node, which runs.
        node: String,
    },
    /// A stopped node starts: its agent and its pods are back under the step's policies, and its link is up.
    Start {
        /// The node, which is stopped.
        node: String,
    },
    /// Agents end and start again, with the step's policies; what they leave on their nodes is taken over.
    Restart {
        /// The agent's node; `None`: the agents of all.
        node: Option<String>,
    },
}

/// One probe and what is expected of it.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The probe.
    pub probe: Probe,
    /// The line as the file has it, after expansion: `nginx -> http://api.github.com`.
    pub text: String,
    /// Place in the case's file.
    pub at: Location,
    /// What is expected.
    pub expect: Expect,
}

/// What a case expects; a field that is `None` was not written and is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// What the client must see.
    pub client: Option<ClientWord>,
    /// Verdict at the client's endpoint.
    pub egress: Option<JudgedAs>,
    /// Verdict at the server's endpoint.
    pub ingress: Option<JudgedAs>,
    /// Drop reason, of the direction that dropped.
    pub reason: Option<DropReason>,
    /// Author of the decision that stopped or let through; see [`ByWord`].
    pub by: Option<ByWord>,
    /// Addresses that a DNS answer must hold, in any order.
    pub addresses: Option<Vec<IpAddr>>,
}

/// The client's expected outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientWord {
    /// Exactly this.
    Is(Outcome),
    /// Any outcome in which a drop kept the peer from being reached.
    Blocked,
}

/// The expected author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByWord {
    /// No rule matched.
    DefaultDeny,
    /// The node exception.
    Kubelet,
    /// A policy, and the start of a rule path; `egress[0]` also names `egress[0].toPorts[1]`.
    Policy(PolicyId, Option<String>),
}

/// What a subject may or may not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Cilium's policy kinds.
    Cilium,
    /// Names in policies.
    Fqdn,
    /// HTTP rules.
    L7Http,
    /// DNS rules.
    L7Dns,
    /// Server names of TLS.
    Sni,
    /// IPv6.
    Ipv6,
    /// SCTP.
    Sctp,
    /// ICMP rules and pings.
    Icmp,
    /// Several nodes.
    Nodes,
    /// Services.
    Services,
    /// Admin and baseline tiers.
    Tiers,
    /// Moving time.
    Clock,
    /// Restarts and broken links.
    Faults,
    /// Hosts outside the cluster; found in the case, never written in `requires`.
    Internet,
    /// Pods, nodes and services at the addresses that the case gives them; found in the case, as above.
    Addresses,
    /// Policies for every namespace, where others' pods are too; found in the case, as above.
    ClusterWide,
    /// Connections that stay open from step to step; found in the case, as above.
    Keep,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 17] = [
        Self::Cilium,
        Self::Fqdn,
        Self::L7Http,
        Self::L7Dns,
        Self::Sni,
        Self::Ipv6,
        Self::Sctp,
        Self::Icmp,
        Self::Nodes,
        Self::Services,
        Self::Tiers,
        Self::Clock,
        Self::Faults,
        Self::Internet,
        Self::Addresses,
        Self::ClusterWide,
        Self::Keep,
    ];

    /// The word in case files, on the command line and in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cilium => "cilium",
            Self::Fqdn => "fqdn",
            Self::L7Http => "l7-http",
            Self::L7Dns => "l7-dns",
            Self::Sni => "sni",
            Self::Ipv6 => "ipv6",
            Self::Sctp => "sctp",
            Self::Icmp => "icmp",
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Tiers => "tiers",
            Self::Clock => "clock",
            Self::Faults => "faults",
            Self::Internet => "internet",
            Self::Addresses => "addresses",
            Self::ClusterWide => "cluster-wide",
            Self::Keep => "keep",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.word() == word)
    }
}
