//! One direction of a flow: which policies select the endpoint, which rules matched, and which nearly did.

use egret_core::identity::relevant;
use egret_core::judge::{self, End, SideAnswer};
use egret_core::rule::{Effect, Enforcement, Rule};
use egret_core::{Author, author::PolicyId};
use egret_shared::Direction;
use serde::Serialize;

use super::Flow;
use super::condition::{Around, Closest, Fared, Fix};
use crate::cluster::Cluster;
use crate::source::Location;

/// Most lines that are quoted of one rule.
const QUOTED: usize = 12;

/// One direction.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    /// The pod whose policies are asked; `None`: there is no endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<String>,
    /// Policies that select it, with the line of their names.
    pub(super) selected_by: Vec<Selecting>,
    /// Rules of those policies, in their order.
    pub(super) rules: Vec<Considered>,
    /// The lines of the rules that decided.
    pub(super) quoted: Vec<Quote>,
}

/// A policy that selects the endpoint.
#[derive(Debug, Serialize)]
pub(super) struct Selecting {
    #[serde(skip)]
    pub(super) id: PolicyId,
    pub(super) policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// It switches default deny on.
    pub(super) default_deny: bool,
}

/// One rule against the flow.
#[derive(Debug, Serialize)]
pub(super) struct Considered {
    #[serde(skip)]
    pub(super) id: PolicyId,
    /// Path of the whole rule.
    #[serde(skip)]
    pub(super) rule_path: String,
    /// What would make the failed conditions hold.
    #[serde(skip)]
    pub(super) fixes: Vec<Fix>,
    pub(super) policy: String,
    pub(super) rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// `allow`, `deny` or `pass`.
    pub(super) effect: &'static str,
    /// Every condition holds.
    pub(super) matches: bool,
    /// Every condition but one holds.
    pub(super) nearly: bool,
    /// The conditions that do not hold.
    pub(super) failed: Vec<String>,
    /// It decided.
    pub(super) decides: bool,
}

/// Lines of a file.
#[derive(Debug, Serialize)]
pub(super) struct Quote {
    pub(super) file: String,
    /// Number of the first line.
    pub(super) line: usize,
    pub(super) lines: Vec<String>,
}

// === impl Side ===

impl Side {
    pub(super) fn new(
        cluster: &Cluster,
        compiled: &judge::Cluster,
        (own, other): (&End, &End),
        answer: &SideAnswer,
        direction: Direction,
        flow: &Flow,
    ) -> Self {
        let mut side = Self {
            endpoint: answer.endpoint.as_ref().map(ToString::to_string),
            selected_by: Vec::new(),
            rules: Vec::new(),
            quoted: answer.by.iter().flat_map(|author| quotes(cluster, author)).collect(),
        };
        let Some(node) = compiled.node_of(own, other) else { return side };
        let peer = compiled.labels(node, answer.peer);
        let subject = match own {
            End::Endpoint { state, .. } => compiled.labels(node, state.identity),
            End::Node { .. }
            | End::Reserved(_)
            | End::Outside { .. }
            | End::Frontend { .. }
            | End::Service(_) => {
                let name = compiled.node_name(node).unwrap_or_default();
                let Some(node) = cluster.desired.world.nodes.get(name) else { return side };
                let labels = relevant::of_node(&node.labels);
                let has_policy = cluster.desired.policies.values().flat_map(|policy| &policy.sections);
                if !has_policy.into_iter().any(|section| section.subject.selects(&labels)) {
                    return side;
                }
                side.endpoint = Some(format!("node {name}"));
                labels
            }
        };
        let world = &cluster.desired.world;
        let receiver = match direction {
            Direction::Ingress => answer.endpoint.as_ref(),
            Direction::Egress => match other {
                End::Endpoint { pod, .. } => Some(pod),
                End::Node { .. }
                | End::Reserved(_)
                | End::Outside { .. }
                | End::Frontend { .. }
                | End::Service(_) => None,
            },
        };
        let receiver = receiver.and_then(|name| world.pods.get(name));
        let around = Around { world, flow, peer: &peer, other, receiver };
        for (id, policy) in &cluster.desired.policies {
            for section in policy.sections.iter().filter(|section| section.subject.selects(&subject)) {
                let default_deny = match section.enforcement(direction).under(cluster.desired.dialect) {
                    Enforcement::None | Enforcement::Undeclared => continue,
                    Enforcement::DefaultDeny => true,
                    Enforcement::DefaultAllow => false,
                };
                side.selects(cluster, id, default_deny);
                for rule in section.rules.iter().filter(|rule| rule.direction == direction) {
                    for item in around.compare(rule) {
                        side.consider(cluster, (id, rule), item, &answer.by);
                    }
                }
            }
        }
        side
    }

    fn selects(&mut self, cluster: &Cluster, id: &PolicyId, default_deny: bool) {
        let policy = id.to_string();
        match self.selected_by.iter_mut().find(|known| known.policy == policy) {
            Some(known) => known.default_deny |= default_deny,
            None => {
                let author = Author::Rule { policy: id.clone(), path: String::new() };
                let at = place(cluster, &author);
                self.selected_by.push(Selecting { id: id.clone(), policy, at, default_deny });
            }
        }
    }

    fn consider(&mut self, cluster: &Cluster, (id, rule): (&PolicyId, &Rule), item: Closest, by: &[Author]) {
        let Closest { path, fared: Fared { held, failed, fixes } } = item;
        let author = Author::Rule { policy: id.clone(), path };
        let Author::Rule { path, .. } = &author else { return };
        self.rules.push(Considered {
            id: id.clone(),
            rule_path: rule.path.clone(),
            fixes,
            policy: id.to_string(),
            rule: path.clone(),
            at: place(cluster, &author),
            effect: match rule.effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
                Effect::Pass => "pass",
            },
            matches: failed.is_empty(),
            nearly: failed.len() == 1 && held > 0,
            failed,
            decides: by.contains(&author),
        });
    }
}

/// Where an author's rule stands, as `file:line`.
fn place(cluster: &Cluster, author: &Author) -> Option<String> {
    let places = cluster.policies.of(author);
    places.first().map(|at| format!("{}:{}", at.source.path.display(), at.line))
}

/// The lines of the rules that decided; of a default deny, where the policies behind it stand.
fn quotes(cluster: &Cluster, author: &Author) -> Vec<Quote> {
    match author {
        Author::Kubelet => Vec::new(),
        Author::DefaultDeny { .. } => cluster.policies.of(author).iter().map(quote).collect(),
        Author::Rule { policy, path } => {
            // The whole rule: of its ports alone nobody sees whom it is for.
            let rule = path.split(".toPorts[").next().unwrap_or(path);
            let path = if rule.starts_with("specs[") { rule.to_owned() } else { format!("spec.{rule}") };
            let object = cluster.policies.object(policy);
            object.map(|object| quote(&object.lines(&path))).into_iter().collect()
        }
    }
}

/// The whole lines of a place.
fn quote(at: &Location) -> Quote {
    let text = &at.source.text;
    let start = text[..at.span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[at.span.end..].find('\n').map_or(text.len(), |length| at.span.end + length);
    let mut lines: Vec<_> = text[start..end].lines().map(str::to_owned).collect();
    if lines.len() > QUOTED {
        lines.truncate(QUOTED);
        lines.push("...".to_owned());
    }
    Quote { file: at.source.path.display().to_string(), line: at.line, lines }
}
