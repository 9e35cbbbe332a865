//! What a change of policies changes: flows whose verdict differs, by workload, with the lines that cause it.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | all flows | two compiled clusters -> changes of every pair | `pairs` |
//! | recorded flows | two compiled clusters and a record -> changes of what was seen | `record` |
//! | render | changes -> text | `text` |

mod pairs;
mod record;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use egret_core::ObjectName;
use egret_core::judge::Cluster;
use serde::Serialize;

pub use record::{InvalidRecord, Recorded, read as read_record};

use crate::case::PolicyLocations;
use crate::matrix::{Decision, Flow};
use crate::workload::workload;

/// One of the two clusters that are compared.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The compiled cluster.
    pub cluster: &'a Cluster,
    /// Where its policies stand.
    pub places: &'a PolicyLocations,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Changes by the workload whose policies cause them, ordered.
    pub workloads: Vec<Workload>,
    /// Pods that are in the new cluster alone; their flows are no changes.
    pub added: Vec<String>,
    /// Pods that were in the old cluster alone.
    pub removed: Vec<String>,
    /// How many recorded flows there were; `None` when all pairs were compared.
    pub recorded: Option<Count>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Flows that were judged under both versions.
    pub judged: usize,
    /// Flows whose parties are not in both versions.
    pub unknown: usize,
    /// Lines about replies, and about what policies do not judge.
    pub skipped: usize,
}

/// The changes that one workload's policies cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// `ns/name`.
    pub workload: String,
    /// In the order of senders and receivers.
    pub changes: Vec<Change>,
}

/// Flows that change in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Whether more passes, or less.
    pub effect: Effect,
    /// Who opens the connection: workloads, or the word for what is no pod.
    pub from: String,
    /// Who is asked.
    pub to: String,
    /// Protocols and ports, as `80/TCP`.
    pub traffic: Vec<String>,
    /// The old verdict and who decided it.
    pub old: Outcome,
    /// The new ones.
    pub new: Outcome,
    /// How many recorded flows change so; `None` when all pairs were compared.
    pub flows: Option<usize>,
}

/// Whether more passes, or less; a proxy in between lets less pass than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// More passes.
    Loosened,
    /// Less passes.
    Tightened,
}

/// A verdict and who decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `forwarded`, `redirected` or `dropped`.
    pub verdict: &'static str,
    /// At the sender.
    pub egress: Decision,
    /// At the receiver.
    pub ingress: Decision,
}

pub use pairs::compare;

impl Difference {
    /// Whether some flow changes in this way.
    #[must_use]
    pub fn has(&self, effect: Effect) -> bool {
        self.workloads.iter().flat_map(|workload| &workload.changes).any(|change| change.effect == effect)
    }

    /// The changes for people.
    #[must_use]
    pub fn text(&self) -> String {
        text::terminal(self)
    }

    /// The changes in GitHub's Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        text::markdown(self)
    }

    /// Compares what was recorded.
    #[must_use]
    pub fn of_record(old: Version<'_>, new: Version<'_>, record: &[Recorded]) -> Self {
        record::compare(old, new, record)
    }
}

impl Effect {
    /// What leads from one verdict to another; `None`: nothing changes.
    fn between(old: &str, new: &str) -> Option<Self> {
        let rank =
            |verdict: &str| ["dropped", "redirected", "forwarded"].iter().position(|word| *word == verdict);
        match rank(old).cmp(&rank(new)) {
            std::cmp::Ordering::Less => Some(Self::Loosened),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Self::Tightened),
        }
    }

    /// The word in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loosened => "loosened",
            Self::Tightened => "tightened",
        }
    }
}

impl From<Flow> for Outcome {
    fn from(flow: Flow) -> Self {
        Self { verdict: flow.verdict, egress: flow.egress, ingress: flow.ingress }
    }
}

/// Changes while they are collected: by workload, and inside one by everything but traffic and number.
#[derive(Default)]
struct Collected {
    workloads: BTreeMap<String, Vec<Change>>,
}

impl Collected {
    /// Adds one flow's change to those that are like it, under the workload whose policies cause it: the
    /// sender's when what its policies say changes, else the receiver's.
    fn add(&mut self, [sender, receiver]: [&str; 2], change: Change) {
        let sender_decides = change.old.egress.verdict != change.new.egress.verdict;
        let workload = if sender_decides { sender } else { receiver };
        let changes = self.workloads.entry(workload.to_owned()).or_default();
        let alike = changes.iter_mut().find(|other| {
            (other.effect, &other.from, &other.to, &other.old, &other.new)
                == (change.effect, &change.from, &change.to, &change.old, &change.new)
        });
        let Some(alike) = alike else {
            changes.push(change);
            return;
        };
        for traffic in change.traffic {
            if !alike.traffic.contains(&traffic) {
                alike.traffic.push(traffic);
            }
        }
        alike.flows = alike.flows.zip(change.flows).map(|(sum, more)| sum + more);
    }

    fn finish(self) -> Vec<Workload> {
        self.workloads.into_iter().map(|(workload, changes)| Workload { workload, changes }).collect()
    }
}

/// The workload of a pod, as text.
fn workload_of(cluster: &Cluster, pod: &ObjectName) -> String {
    workload(pod, cluster.desired().world.pods.get(pod)).to_string()
}
