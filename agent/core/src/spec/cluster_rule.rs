//! The rules of policies in tiers: ClusterNetworkPolicy v1alpha2, AdminNetworkPolicy and its baseline v1alpha1.
//!
//! What is refused here is what the custom resource definitions refuse. One thing is refused beyond that:
//! `domainNames` in rules that do not accept, which the API says are not supported there.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::check::{Check, rule_path};
use super::cluster_network_policy::{
    AdminNetworkPolicy, AdminSpec, ClusterNetworkPolicy, ClusterSpec, EgressRule, IngressRule, Peer, Pods,
    Subject,
};
use super::label_selector::{self, Keys, LabelSelector};
use super::metadata::Metadata;
use super::{cluster_port, prefix};
use crate::identity::{LabelSet, Source};
use crate::rule::{self, Effect, Enforcement, Peers, Rule, Section, Tier};
use crate::selector::{self, Entity, NamePattern, Selector};

/// What differs between the versions of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The word for letting pass.
    accept: &'static str,
    /// The tier passes to nothing: `Pass` is no action of it.
    decides: bool,
    /// Most rules of a direction.
    rules: usize,
    /// Most items in the lists of a rule.
    items: usize,
    /// The field for ports; the other version's is refused.
    pub(super) ports: &'static str,
}

/// v1alpha2.
const CLUSTER: Version =
    Version { accept: "Accept", decides: false, rules: 25, items: 25, ports: "protocols" };
/// v1alpha1.
const ADMIN: Version = Version { accept: "Allow", decides: false, rules: 100, items: 100, ports: "ports" };

/// One item of `ingress` or `egress`.
struct Written<'a> {
    name: &'a Option<String>,
    action: &'a str,
    /// `from` or `to`.
    field: &'static str,
    peers: &'a [Peer],
    ports: cluster_port::Written<'a>,
}

/// The section of a ClusterNetworkPolicy.
pub(super) fn cluster(check: &mut Check, policy: &ClusterNetworkPolicy) -> Vec<Section> {
    let ClusterNetworkPolicy { api_version: _, kind: _, metadata, spec, status: _ } = policy;
    let ClusterSpec { tier, priority, subject, ingress, egress } = spec;
    check_metadata(check, metadata);
    let priority = self::priority(check, *priority);
    let tier = match tier.as_str() {
        "Admin" => Tier::Admin { priority },
        "Baseline" => Tier::Baseline { priority },
        other => {
            check.problem_with(
                "spec.tier",
                format!("`{other}` is not a tier"),
                "write `Admin` or `Baseline`",
            );
            return Vec::new();
        }
    };
    section(check, CLUSTER, tier, subject, (ingress.as_deref(), egress.as_deref()))
}

/// The section of an AdminNetworkPolicy.
pub(super) fn admin(check: &mut Check, policy: &AdminNetworkPolicy) -> Vec<Section> {
    let AdminNetworkPolicy { api_version: _, kind: _, metadata, spec, status: _ } = policy;
    let AdminSpec { priority, subject, ingress, egress } = spec;
    check_metadata(check, metadata);
    let Some(priority) = priority else {
        check.problem("spec.priority", "`priority` must be given");
        return Vec::new();
    };
    let tier = Tier::Admin { priority: self::priority(check, *priority) };
    section(check, ADMIN, tier, subject, (ingress.as_deref(), egress.as_deref()))
}

/// The section of a BaselineAdminNetworkPolicy.
pub(super) fn baseline(check: &mut Check, policy: &AdminNetworkPolicy) -> Vec<Section> {
    let AdminNetworkPolicy { api_version: _, kind: _, metadata, spec, status: _ } = policy;
    let AdminSpec { priority, subject, ingress, egress } = spec;
    check_metadata(check, metadata);
    if metadata.name != "default" {
        check.problem("metadata.name", "the one BaselineAdminNetworkPolicy of a cluster is named `default`");
    }
    if priority.is_some() {
        check.problem("spec.priority", "a BaselineAdminNetworkPolicy has no priority");
    }
    let version = Version { decides: true, ..ADMIN };
    let tier = Tier::Baseline { priority: 0 };
    section(check, version, tier, subject, (ingress.as_deref(), egress.as_deref()))
}

fn check_metadata(check: &mut Check, metadata: &Metadata) {
    if metadata.namespace.is_some() {
        check.problem("metadata.namespace", "a cluster-wide policy has no namespace");
    }
}

fn priority(check: &mut Check, written: i64) -> u16 {
    let priority = u16::try_from(written).ok().filter(|priority| *priority <= 1000);
    if priority.is_none() {
        check.problem(
            "spec.priority",
            format!("`{written}` is not a priority: it must be between 0 and 1000"),
        );
    }
    priority.unwrap_or_default()
}

fn section(
    check: &mut Check,
    version: Version,
    tier: Tier,
    subject: &Subject,
    (ingress, egress): (Option<&[IngressRule]>, Option<&[EgressRule]>),
) -> Vec<Section> {
    let (ingress, egress) = (ingress.unwrap_or_default(), egress.unwrap_or_default());
    let subject = self::subject(check, subject);
    let mut rules = Vec::new();
    for (field, count) in [("ingress", ingress.len()), ("egress", egress.len())] {
        check_length(check, &format!("spec.{field}"), "rules", count, version.rules);
    }
    for (index, IngressRule { name, action, from, protocols, ports }) in ingress.iter().enumerate() {
        let ports = cluster_port::Written { protocols: protocols.as_deref(), ports: ports.as_deref() };
        let written = Written { name, action, field: "from", peers: from, ports };
        let path = format!("spec.ingress[{index}]");
        rules.extend(rule(check, &path, version, Direction::Ingress, &written));
    }
    for (index, EgressRule { name, action, to, protocols, ports }) in egress.iter().enumerate() {
        let ports = cluster_port::Written { protocols: protocols.as_deref(), ports: ports.as_deref() };
        let written = Written { name, action, field: "to", peers: to, ports };
        let path = format!("spec.egress[{index}]");
        rules.extend(rule(check, &path, version, Direction::Egress, &written));
    }
    // A direction without rules is left alone, and what no rule matches is left to others.
    let enforcement = |none| if none { Enforcement::None } else { Enforcement::DefaultAllow };
    let (ingress, egress) = (enforcement(ingress.is_empty()), enforcement(egress.is_empty()));
    subject.map(|subject| Section { subject, tier, ingress, egress, rules }).into_iter().collect()
}

fn check_length(check: &mut Check, path: &str, what: &str, count: usize, most: usize) {
    if count > most {
        check.problem(path, format!("{count} {what}: at most {most} are allowed"));
    }
}

fn subject(check: &mut Check, subject: &Subject) -> Option<rule::Subject> {
    let Subject { namespaces, pods } = subject;
    let path = "spec.subject";
    let selector = match (namespaces, pods) {
        (Some(namespaces), None) => self::namespaces(check, &format!("{path}.namespaces"), namespaces),
        (None, Some(pods)) => self::pods(check, &format!("{path}.pods"), pods),
        (None, None) | (Some(_), Some(_)) => {
            check.problem(path, "exactly one of `namespaces` and `pods` must be given");
            return None;
        }
    };
    Some(rule::Subject::Endpoints(selector))
}

/// Every pod of some namespaces.
fn namespaces(check: &mut Check, path: &str, written: &LabelSelector) -> selector::LabelSelector {
    let keys = Keys::Kubernetes(LabelSet::NAMESPACE_LABELS);
    let mut selector = label_selector::understand(check, path, written, keys);
    selector.require_key(LabelSet::NAMESPACE);
    selector
}

/// Pods by both. Cilium's `source:key` is understood in `podSelector`, since its own policies ask there for
/// `reserved:host`; such a selector without `namespaceSelector` is not kept to pods.
fn pods(check: &mut Check, path: &str, written: &Pods) -> selector::LabelSelector {
    let Pods { namespace_selector, pod_selector } = written;
    let mut selector =
        label_selector::understand(check, &format!("{path}.podSelector"), pod_selector, Keys::Cilium);
    let is_reserved = label_selector::has_key(&selector, |source, _| source == Some(Source::Reserved));
    if let Some(written) = namespace_selector {
        let namespaces = namespaces(check, &format!("{path}.namespaceSelector"), written);
        selector.require_all(&namespaces);
    } else if !is_reserved {
        selector.require_key(LabelSet::NAMESPACE);
    }
    selector
}

fn rule(
    check: &mut Check,
    path: &str,
    version: Version,
    direction: Direction,
    written: &Written<'_>,
) -> Option<Rule> {
    let Written { name, action, field, peers: items, ports } = written;
    let Version { accept, decides, items: most, .. } = version;
    if name.as_ref().is_some_and(|name| name.chars().count() > 100) {
        check.problem(&format!("{path}.name"), "a rule's name has at most 100 characters");
    }
    let effect = match *action {
        word if word == accept => Some(Effect::Allow),
        "Deny" => Some(Effect::Deny),
        "Pass" if !decides => Some(Effect::Pass),
        other => {
            let pass = if decides { "" } else { " or `Pass`" };
            check.problem_with(
                &format!("{path}.action"),
                format!("`{other}` is not an action here"),
                format!("write `{accept}`, `Deny`{pass}"),
            );
            None
        }
    };
    let at = format!("{path}.{field}");
    if items.is_empty() {
        check.problem(&at, format!("`{field}` needs at least one peer"));
    }
    check_length(check, &at, "peers", items.len(), most);
    let mut selectors = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if let (Some(Effect::Deny | Effect::Pass), Some(_)) = (effect, &item.domain_names) {
            check.problem_with(
                &format!("{at}.domainNames"),
                format!("`domainNames` is supported in rules that {} only", accept.to_lowercase()),
                "accept the names that are wanted, and deny every network in a later rule",
            );
        }
        peer(check, &at, item, direction, most, &mut selectors);
    }
    let named = items.iter().find_map(|item| {
        let fields = [
            ("networks", item.networks.is_some()),
            ("nodes", item.nodes.is_some()),
            ("domainNames", item.domain_names.is_some()),
        ];
        fields.into_iter().find(|(_, given)| *given).map(|(field, _)| field)
    });
    let ports = cluster_port::ports(check, path, version, ports, most, named);
    Some(Rule { path: rule_path(path), direction, effect: effect?, peers: Peers::Selected(selectors), ports })
}

fn peer(
    check: &mut Check,
    path: &str,
    written: &Peer,
    direction: Direction,
    most: usize,
    selectors: &mut Vec<Selector>,
) {
    let Peer { namespaces, pods, nodes, networks, domain_names } = written;
    let given = [
        ("namespaces", namespaces.is_some()),
        ("pods", pods.is_some()),
        ("nodes", nodes.is_some()),
        ("networks", networks.is_some()),
        ("domainNames", domain_names.is_some()),
    ];
    if given.iter().filter(|(_, given)| *given).count() != 1 {
        check.problem(path, "a peer must have exactly one field");
        return;
    }
    let only_egress = given.iter().skip(2).find(|(_, given)| *given);
    if let (Direction::Ingress, Some((field, _))) = (direction, only_egress) {
        check.problem(&format!("{path}.{field}"), format!("`{field}` is no peer at ingress"));
        return;
    }
    if let Some(written) = namespaces {
        let selector = self::namespaces(check, &format!("{path}.namespaces"), written);
        selectors.push(Selector::Labels(selector));
    }
    if let Some(written) = pods {
        selectors.push(Selector::Labels(self::pods(check, &format!("{path}.pods"), written)));
    }
    if let Some(written) = nodes {
        let keys = Keys::Of(Source::Node);
        let selector = label_selector::understand(check, &format!("{path}.nodes"), written, keys);
        // The subject's own node is one of them.
        for entity in [Entity::Host, Entity::RemoteNode] {
            let mut selector = selector.clone();
            selector.require_reserved(entity.word());
            selectors.push(Selector::Labels(selector));
        }
    }
    if let Some(written) = networks {
        let path = format!("{path}.networks");
        check_items(check, &path, written, most);
        for (index, text) in written.iter().enumerate() {
            let prefix = prefix::prefix(check, &format!("{path}[{index}]"), text);
            selectors.extend(prefix.map(|prefix| Selector::Prefix { prefix, except: Vec::new() }));
        }
    }
    if let Some(written) = domain_names {
        let path = format!("{path}.domainNames");
        check_items(check, &path, written, most);
        for (index, text) in written.iter().enumerate() {
            selectors.extend(domain_name(check, &format!("{path}[{index}]"), text).map(Selector::Name));
        }
    }
}

fn check_items(check: &mut Check, path: &str, written: &[String], most: usize) {
    if written.is_empty() {
        check.problem(path, "the list needs at least one item");
    }
    check_length(check, path, "items", written.len(), most);
    check.set(path, written);
}

/// A name of at least two labels; a star may stand for one or more labels at the beginning.
fn domain_name(check: &mut Check, path: &str, text: &str) -> Option<NamePattern> {
    let (pattern, bare) = match text.strip_prefix("*.") {
        Some(bare) => (format!("**.{bare}"), bare),
        None => (text.into(), text),
    };
    let is_label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(label.chars().next())
            && edge(label.chars().last())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if !bare.contains('.') || !bare.split('.').all(is_label) {
        check.problem_with(
            path,
            format!("`{text}` is not a domain name"),
            "write a name of at least two labels; `*.` in front stands for one or more labels",
        );
        return None;
    }
    NamePattern::pattern(&pattern).map_err(|error| check.problem(path, format!("`{text}` {error}"))).ok()
}
