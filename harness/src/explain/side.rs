//! One direction of a flow: which policies select the endpoint, which rules matched, and which nearly did.

use egret_core::identity::LabelSet;
use egret_core::judge::{self, Answer, End, SideAnswer, SideVerdict};
use egret_core::rule::{Effect, Enforcement, Rule};
use egret_core::{Author, author::PolicyId};
use egret_shared::{Direction, DropReason};
use serde::Serialize;

use super::Flow;
use super::condition::{Around, Closest, Fared};
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
    pub(super) policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// It switches default deny on.
    pub(super) default_deny: bool,
}

/// One rule against the flow.
#[derive(Debug, Serialize)]
pub(super) struct Considered {
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
        let End::Endpoint { node, state, .. } = own else { return side };
        let Some(compiled) = compiled.state(*node) else { return side };
        let labels = |identity| {
            LabelSet::of_texts(compiled.labels.get(&identity).map(Vec::as_slice).unwrap_or_default())
        };
        let (subject, peer) = (labels(state.identity), labels(answer.peer));
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
                    side.consider(cluster, id, rule, around.compare(rule), &answer.by);
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
                self.selected_by.push(Selecting { policy, at, default_deny });
            }
        }
    }

    fn consider(&mut self, cluster: &Cluster, id: &PolicyId, rule: &Rule, closest: Closest, by: &[Author]) {
        let Closest { path, fared: Fared { held, failed } } = closest;
        let author = Author::Rule { policy: id.clone(), path };
        let Author::Rule { path, .. } = &author else { return };
        self.rules.push(Considered {
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

    /// The rule with this effect that all conditions but one hold for.
    fn nearest(&self, effect: &str) -> Option<&Considered> {
        self.rules.iter().find(|rule| rule.effect == effect && rule.nearly)
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

/// The one change that would turn the verdict over.
pub(super) fn flip(answer: &Answer, egress: &Side, ingress: &Side) -> String {
    let sides = [("egress", &answer.egress, egress), ("ingress", &answer.ingress, ingress)];
    if let Some(layer7) = answer.layer7.as_ref().filter(|layer7| !layer7.allowed) {
        let by: Vec<_> = layer7.by.iter().map(ToString::to_string).collect();
        return format!("list the request in the layer-7 rules of {}", by.join(", "));
    }
    let dropped: Vec<_> = sides.iter().filter(|(_, answer, _)| answer.reason.is_some()).collect();
    let [(word, answer, side)] = dropped.as_slice() else {
        if dropped.is_empty() {
            return to_drop(&sides);
        }
        return "none: both directions drop it, so that one change opens only half of the way".to_owned();
    };
    match answer.reason {
        Some(DropReason::NoBackend) => "a ready pod that the service's selector names".to_owned(),
        Some(DropReason::PolicyDeny) => {
            let by: Vec<_> = answer.by.iter().map(ToString::to_string).collect();
            let allowed = side.rules.iter().find(|rule| rule.effect == "allow" && rule.matches);
            match allowed {
                Some(rule) => {
                    format!("take {} away: {} {} allows it then", by.join(", "), rule.policy, rule.rule)
                }
                None => format!("take {} away, and allow it: no {word} rule does", by.join(", ")),
            }
        }
        Some(_) => match side.nearest("allow") {
            Some(rule) => format!("{} {}: {}", rule.policy, rule.rule, rule.failed.join(", ")),
            None => format!("one more {word} rule that allows it: no rule is near"),
        },
        None => to_drop(&sides),
    }
}

/// What would drop a flow that passes.
fn to_drop(sides: &[(&str, &SideAnswer, &Side); 2]) -> String {
    for (word, answer, side) in sides {
        let allowing: Vec<_> =
            side.rules.iter().filter(|rule| rule.effect == "allow" && rule.matches).collect();
        let is_denying = side.selected_by.iter().any(|policy| policy.default_deny);
        match (answer.verdict, allowing.as_slice()) {
            (SideVerdict::Allowed | SideVerdict::Redirected, [only]) if is_denying && only.decides => {
                return format!("take {} {} away: no other {word} rule allows it", only.policy, only.rule);
            }
            (
                SideVerdict::Allowed
                | SideVerdict::Redirected
                | SideVerdict::Denied
                | SideVerdict::Unenforced,
                _,
            ) => {}
        }
    }
    let open = sides.iter().find(|(_, answer, _)| answer.endpoint.is_some());
    match open {
        Some((word, _, side)) => format!(
            "a deny rule for {word} that matches it, in a policy that selects {}",
            side.endpoint.as_deref().unwrap_or_default()
        ),
        None => "none: neither side has an endpoint whose policies could drop it".to_owned(),
    }
}
