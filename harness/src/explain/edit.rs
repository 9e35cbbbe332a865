//! One change of a cluster or its policies, as a person would make it.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use egret_core::author::PolicyId;
use egret_core::http::{HttpRule, Pattern};
use egret_core::judge::Layer7;
use egret_core::rule::{Enforcement, Inspection, Peers, Policy, PortMatch, PortRule, Ports, Rule};
use egret_core::selector::{NamePattern, Selector};
use egret_core::{Desired, ObjectName, Protocol};
use egret_shared::Direction;

/// A change, and how it is told.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) text: String,
    pub(super) change: Change,
}

/// What changes. Rules are named by their paths.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A policy goes.
    Delete(PolicyId),
    /// A rule goes.
    Remove(PolicyId, String),
    /// One requirement of one of a rule's selectors goes.
    Loosen(PolicyId, String, (usize, usize)),
    /// A rule means one more peer.
    AddPeer(PolicyId, String, Selector),
    /// The items with the first rule path mean one more port.
    AddPort(PolicyId, String, Protocol, u16),
    /// The items with this path let one more request pass.
    LetPass(PolicyId, String, Layer7),
    /// A policy of this name gets one more rule.
    AddRule(PolicyId, Box<Rule>),
    /// One more policy.
    AddPolicy(Arc<Policy>),
    /// A pod gets another value of a label, or loses it.
    Label(ObjectName, String, Option<String>),
}

impl Change {
    /// Makes it.
    pub(super) fn apply(&self, desired: &mut Desired) {
        match self {
            Self::Delete(policy) => drop(desired.policies.remove(policy)),
            Self::Remove(policy, path) => {
                for section in sections(desired, policy) {
                    let Some(at) = section.rules.iter().position(|rule| rule.path == *path) else { continue };
                    let gone = section.rules.remove(at);
                    // A direction without rules is left alone; a NetworkPolicy has its types.
                    if policy.kind != "NetworkPolicy"
                        && !section.rules.iter().any(|rule| rule.direction == gone.direction)
                    {
                        match gone.direction {
                            Direction::Ingress => section.ingress = Enforcement::None,
                            Direction::Egress => section.egress = Enforcement::None,
                        }
                    }
                }
            }
            Self::Loosen(policy, path, (selector, requirement)) => rule(desired, policy, path, |rule| {
                if let Peers::Selected(selectors) = &mut rule.peers
                    && let Some(Selector::Labels(labels)) = selectors.get_mut(*selector)
                    && *requirement < labels.requirements.len()
                {
                    Arc::make_mut(&mut labels.requirements).remove(*requirement);
                }
            }),
            Self::AddPeer(policy, path, peer) => rule(desired, policy, path, |rule| {
                if let Peers::Selected(selectors) = &mut rule.peers {
                    selectors.push(peer.clone());
                }
            }),
            Self::AddPort(policy, path, protocol, port) => items(desired, policy, path, |ports, at| {
                let item = PortRule {
                    protocol: *protocol,
                    port: PortMatch::Range(*port, *port),
                    ..ports[at].clone()
                };
                ports.push(item);
            }),
            Self::LetPass(policy, path, seen) => items(desired, policy, path, |ports, at| {
                let path = ports[at].path.clone();
                for item in ports.iter_mut().filter(|item| item.path == path) {
                    let_pass(&mut item.inspect, seen);
                }
            }),
            Self::AddRule(policy, rule) => {
                if let Some(section) = sections(desired, policy).first_mut() {
                    section.rules.push((**rule).clone());
                }
            }
            Self::AddPolicy(policy) => drop(desired.policies.insert(policy.id.clone(), Arc::clone(policy))),
            Self::Label(pod, key, value) => {
                if let Some(pod) = desired.world.pods.get_mut(pod) {
                    match value {
                        Some(value) => drop(pod.labels.insert(key.clone(), value.clone())),
                        None => drop(pod.labels.remove(key)),
                    }
                }
            }
        }
    }
}

fn sections<'a>(desired: &'a mut Desired, policy: &PolicyId) -> &'a mut [egret_core::rule::Section] {
    let policy = desired.policies.get_mut(policy).map(Arc::make_mut);
    policy.map(|policy| policy.sections.as_mut_slice()).unwrap_or_default()
}

fn rule(desired: &mut Desired, policy: &PolicyId, path: &str, change: impl Fn(&mut Rule)) {
    let rules = sections(desired, policy).iter_mut().flat_map(|section| &mut section.rules);
    rules.filter(|rule| rule.path == path).for_each(change);
}

/// Changes the ports of the rule that has an item with this path; the item's place is told.
fn items(desired: &mut Desired, policy: &PolicyId, path: &str, change: impl Fn(&mut Vec<PortRule>, usize)) {
    for rule in sections(desired, policy).iter_mut().flat_map(|section| &mut section.rules) {
        if let Ports::Listed(ports) = &mut rule.ports
            && let Some(at) = ports.iter().position(|port| port.path == path)
        {
            change(ports, at);
        }
    }
}

/// Lists what was seen beside what passes.
fn let_pass(inspect: &mut Option<Inspection>, seen: &Layer7) {
    match (inspect, seen) {
        (Some(Inspection::Http(rules)), Layer7::Http { method, path, .. }) => {
            let literally = |text: &str| Pattern::new(&escaped(text)).ok();
            rules.push(HttpRule { method: literally(method), path: literally(path), ..HttpRule::default() });
        }
        (Some(Inspection::Dns(names)), Layer7::Dns(name)) => names.extend(NamePattern::name(name)),
        (Some(Inspection::Tls(names)), Layer7::ServerName(name)) => names.extend(NamePattern::name(name)),
        (
            None | Some(Inspection::Http(_) | Inspection::Dns(_) | Inspection::Tls(_)),
            Layer7::Http { .. } | Layer7::Dns(_) | Layer7::ServerName(_),
        ) => {}
    }
}

/// A text as an expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut expression = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '/' | '-' | '_') {
            expression.push('\\');
        }
        expression.push(c);
    }
    expression
}

impl Display for Edit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
