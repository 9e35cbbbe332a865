//! A NetworkPolicy's rules (policy semantics 1 and 3.1).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::check::{Check, rule_path};
use super::label_selector::{self, Keys, LabelSelector};
use super::network_policy::{
    EgressRule, IngressRule, IntOrString, NetworkPolicy, NetworkPolicySpec, Peer, Port,
};
use super::prefix::{self, Inside};
use crate::identity::LabelSet;
use crate::name::ObjectName;
use crate::protocol::Protocol;
use crate::rule::{Effect, Enforcement, Peers, PortMatch, PortRule, Ports, Rule, Section, Subject, Tier};
use crate::selector::{self, Selector};

/// The one section of a NetworkPolicy.
pub(super) fn sections(check: &mut Check, policy: &NetworkPolicy) -> Vec<Section> {
    let NetworkPolicy { api_version: _, kind: _, metadata, spec, status: _ } = policy;
    let namespace = metadata.namespace.as_deref().unwrap_or(ObjectName::DEFAULT_NAMESPACE);
    let nothing = NetworkPolicySpec::default();
    let NetworkPolicySpec { pod_selector, policy_types, ingress, egress } = spec.as_ref().unwrap_or(&nothing);

    let subject = pods(check, "spec.podSelector", pod_selector.as_ref(), namespace);
    let ingress = ingress.as_deref().unwrap_or_default();
    let egress = egress.as_deref().unwrap_or_default();
    let declared = types(check, policy_types.as_deref().unwrap_or_default(), !egress.is_empty());
    let mut rules = Vec::new();
    for (index, IngressRule { from, ports }) in ingress.iter().enumerate() {
        let path = format!("spec.ingress[{index}]");
        let peers = peers(check, &format!("{path}.from"), from.as_deref(), namespace);
        rules.push(rule(check, &path, Direction::Ingress, peers, ports.as_deref()));
    }
    for (index, EgressRule { to, ports }) in egress.iter().enumerate() {
        let path = format!("spec.egress[{index}]");
        let peers = peers(check, &format!("{path}.to"), to.as_deref(), namespace);
        rules.push(rule(check, &path, Direction::Egress, peers, ports.as_deref()));
    }
    let [in_types, out_types] = declared;
    alloc::vec![Section {
        subject: Subject::Endpoints(subject),
        tier: Tier::Normal,
        ingress: enforcement(in_types, ingress.is_empty()),
        egress: enforcement(out_types, egress.is_empty()),
        rules,
    }]
}

const fn enforcement(declared: bool, no_rules: bool) -> Enforcement {
    match (declared, no_rules) {
        (true, _) => Enforcement::DefaultDeny,
        (false, true) => Enforcement::None,
        (false, false) => Enforcement::Undeclared,
    }
}

/// Whether ingress and egress are among the types. Without types ingress always is, and egress is when there
/// are egress rules (policy semantics 1.2).
fn types(check: &mut Check, written: &[String], has_egress: bool) -> [bool; 2] {
    if written.is_empty() {
        return [true, has_egress];
    }
    if written.len() > 2 {
        check.problem("spec.policyTypes", "at most two policy types may be given");
    }
    for (index, word) in written.iter().enumerate() {
        if word != "Ingress" && word != "Egress" {
            check.problem_with(
                &format!("spec.policyTypes[{index}]"),
                format!("`{word}` is not a policy type"),
                "write `Ingress` or `Egress`",
            );
        }
    }
    ["Ingress", "Egress"].map(|word| written.iter().any(|written| written == word))
}

fn rule(check: &mut Check, path: &str, direction: Direction, peers: Peers, ports: Option<&[Port]>) -> Rule {
    let written = ports.unwrap_or_default();
    let ports = if written.is_empty() {
        Ports::Any
    } else {
        let one = |(index, port)| port_rule(check, &format!("{path}.ports[{index}]"), port);
        Ports::Listed(written.iter().enumerate().filter_map(one).collect())
    };
    Rule { path: rule_path(path), direction, effect: Effect::Allow, peers, ports }
}

/// Without items, everyone.
fn peers(check: &mut Check, path: &str, written: Option<&[Peer]>, namespace: &str) -> Peers {
    let written = written.unwrap_or_default();
    if written.is_empty() {
        return Peers::Any;
    }
    let one = |(index, peer)| self::peer(check, &format!("{path}[{index}]"), peer, namespace);
    Peers::Selected(written.iter().enumerate().filter_map(one).collect())
}

fn peer(check: &mut Check, path: &str, peer: &Peer, namespace: &str) -> Option<Selector> {
    let Peer { pod_selector, namespace_selector, ip_block } = peer;
    if let Some(block) = ip_block {
        if pod_selector.is_some() || namespace_selector.is_some() {
            check.problem(path, "`ipBlock` may not stand beside another peer in the same item");
            return None;
        }
        let outer = prefix::prefix(check, &format!("{path}.ipBlock.cidr"), &block.cidr);
        let mut except = Vec::new();
        for (index, text) in block.except.iter().flatten().enumerate() {
            let path = format!("{path}.ipBlock.except[{index}]");
            except.extend(prefix::exception(check, &path, text, outer, Inside::Strictly));
        }
        return Some(Selector::Prefix { prefix: outer?, except });
    }
    match (pod_selector, namespace_selector) {
        (None, None) => {
            check.problem_with(
                path,
                "a peer must name somebody",
                "write `podSelector`, `namespaceSelector` or `ipBlock`; an empty `from` or `to` is everyone",
            );
            None
        }
        (Some(_), None) => Some(Selector::Labels(pods(
            check,
            &format!("{path}.podSelector"),
            pod_selector.as_ref(),
            namespace,
        ))),
        (written, Some(namespaces)) => {
            let keys = Keys::Kubernetes(LabelSet::NAMESPACE_LABELS);
            let mut selector =
                label_selector::understand(check, &format!("{path}.namespaceSelector"), namespaces, keys);
            // Only pods have a namespace; without this, `NotIn` would also select nodes and the world.
            selector.require_key(LabelSet::NAMESPACE);
            if let Some(written) = written {
                let path = format!("{path}.podSelector");
                let pods = label_selector::understand(check, &path, written, Keys::Kubernetes(""));
                selector.require_all(&pods);
            }
            Some(Selector::Labels(selector))
        }
    }
}

/// Pods of one namespace.
fn pods(
    check: &mut Check,
    path: &str,
    written: Option<&LabelSelector>,
    namespace: &str,
) -> selector::LabelSelector {
    let everything = LabelSelector::default();
    let written = written.unwrap_or(&everything);
    let mut selector = label_selector::understand(check, path, written, Keys::Kubernetes(""));
    selector.require(LabelSet::NAMESPACE, namespace);
    selector
}

fn port_rule(check: &mut Check, path: &str, written: &Port) -> Option<PortRule> {
    let Port { protocol, port, end_port } = written;
    let protocol = match protocol.as_deref() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(other) => {
            check.problem_with(
                &format!("{path}.protocol"),
                format!("`{other}` is not a protocol of network policies"),
                "write `TCP`, `UDP` or `SCTP`",
            );
            None
        }
    };
    let end_path = format!("{path}.endPort");
    let port = match (port, end_port) {
        (None, None) => Some(PortMatch::Every),
        (None, Some(_)) => {
            check.problem(&end_path, "`endPort` needs `port`");
            None
        }
        (Some(IntOrString::String(_)), Some(_)) => {
            check.problem(&end_path, "`endPort` needs a `port` that is a number");
            None
        }
        (Some(IntOrString::String(name)), None) => named(check, &format!("{path}.port"), name),
        (Some(IntOrString::Int(first)), last) => {
            let first = number(check, &format!("{path}.port"), *first);
            match last {
                None => first.map(|first| PortMatch::Range(first, first)),
                Some(last) => {
                    let last = number(check, &end_path, *last);
                    if let (Some(first), Some(last)) = (first, last)
                        && last < first
                    {
                        check.problem(&end_path, format!("`endPort` {last} is below `port` {first}"));
                        return None;
                    }
                    first.zip(last).map(|(first, last)| PortMatch::Range(first, last))
                }
            }
        }
    };
    Some(PortRule { path: rule_path(path), protocol: protocol?, port: port?, inspect: None })
}

fn number(check: &mut Check, path: &str, number: i64) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    if port.is_none() {
        check.problem(path, format!("`{number}` is not a port: it must be between 1 and 65535"));
    }
    port
}

fn named(check: &mut Check, path: &str, name: &str) -> Option<PortMatch> {
    if !is_port_name(name) {
        let help = if name.bytes().all(|byte| byte.is_ascii_digit()) {
            "a string is a port's name here; write the number without quotes"
        } else {
            "at most 15 lower-case letters, digits and `-`, at least one letter, no `-` at the ends or doubled"
        };
        check.problem_with(path, format!("`{name}` is not a port name"), help);
        return None;
    }
    Some(PortMatch::Named(name.into()))
}

/// Whether a text is an IANA service name (RFC 6335 section 5.1), lower-case.
pub(super) fn is_port_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
