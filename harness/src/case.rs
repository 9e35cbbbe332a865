//! A case after reading: its world, and for each step the desired state and what is expected of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use egret_core::author::{Author, PolicyId};
use egret_core::probe::{JudgedAs, Outcome, Probe};
use egret_core::{Desired, World};
use egret_shared::DropReason;

use crate::source::{Location, Source};

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
    /// What happens; at least one.
    pub steps: Vec<Step>,
    /// Where each policy object, and each rule path below it, stands.
    pub policies: PolicyLocations,
}

/// Where the rules of a case's policies stand.
#[derive(Clone, Debug, Default)]
pub struct PolicyLocations {
    /// Documents by policy, each with the place of every rule path; `""` is the object itself.
    pub places: BTreeMap<PolicyId, BTreeMap<String, Location>>,
}

impl PolicyLocations {
    /// Places to name for an author: the rule's own, or those of the policies behind a default deny.
    #[must_use]
    pub fn of(&self, author: &Author) -> Vec<Location> {
        let find = |policy: &PolicyId, path: &str| {
            let rules = self.places.get(policy)?;
            rules.get(path).or_else(|| rules.get("")).cloned()
        };
        match author {
            Author::DefaultDeny { because } => because.iter().filter_map(|policy| find(policy, "")).collect(),
            Author::Kubelet => Vec::new(),
            Author::Rule { policy, path } => find(policy, path).into_iter().collect(),
        }
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
    /// What is asked, in the order of the file; expanded from lists, `*` and matrices.
    pub expectations: Vec<Expectation>,
}

/// A change that is an event rather than a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepEvent {
    /// The datapath's and the agents' time moves forward.
    Clock(Duration),
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
}
