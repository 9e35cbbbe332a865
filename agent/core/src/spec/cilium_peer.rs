//! The peer fields of a CiliumNetworkPolicy's rules, each of them as selectors.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::check::Check;
use super::cilium_network_policy::{CidrRule, Group, NameRule, ServiceName, ServiceRule, ServiceSelector};
use super::cilium_rule::Scope;
use super::label_selector::{self, Keys, LabelSelector};
use super::prefix::{self, Inside};
use crate::identity::{LabelSet, Source};
use crate::rule::{Effect, Peers, ServiceMatch, ServiceReference};
use crate::selector::{Entity, GroupMatch, NamePattern, Selector};

/// One peer field that a rule has.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its key.
    pub(super) name: &'static str,
    /// It has no items.
    pub(super) is_empty: bool,
    /// Without items, but beside ports, it stands for everyone.
    pub(super) opens_when_empty: bool,
    /// Whom its items name.
    pub(super) peers: Peers,
}

impl Field {
    fn of_selectors(name: &'static str, written: usize, selectors: Vec<Selector>) -> Self {
        Self { name, is_empty: written == 0, opens_when_empty: false, peers: Peers::Selected(selectors) }
    }
}

/// `fromEndpoints`, `toEndpoints`, with what Cilium adds to each selector (policy semantics 2.6).
pub(super) fn endpoints(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<LabelSelector>>,
    scope: Scope<'_>,
) -> Option<Field> {
    let written = written.as_ref()?;
    let mut selectors = Vec::new();
    for (index, item) in written.iter().enumerate() {
        let mut selector =
            label_selector::understand(check, &format!("{path}.{name}[{index}]"), item, Keys::Cilium);
        let of_kubernetes = |source| matches!(source, None | Some(Source::K8s));
        let has = |of: &dyn Fn(Option<Source>, &str) -> bool| label_selector::has_key(&selector, of);
        let reserved = has(&|source, _| source == Some(Source::Reserved));
        let namespace = has(&|source, key| of_kubernetes(source) && key == LabelSet::NAMESPACE);
        let namespace_labels =
            has(&|source, key| of_kubernetes(source) && key.starts_with(LabelSet::NAMESPACE_LABELS));
        let cluster = has(&|source, key| of_kubernetes(source) && key == LabelSet::CLUSTER);
        if !reserved {
            match scope.namespace {
                Some(own) if !namespace && !namespace_labels => selector.require(LabelSet::NAMESPACE, own),
                None if !namespace && !scope.init_subject => selector.require_key(LabelSet::NAMESPACE),
                Some(_) | None => {}
            }
            if !cluster && !scope.init_subject {
                selector.require(LabelSet::CLUSTER, LabelSet::DEFAULT_CLUSTER);
            }
        }
        selectors.push(Selector::Labels(selector));
    }
    Some(Field::of_selectors(name, written.len(), selectors))
}

/// `fromCIDR`, `toCIDR`.
pub(super) fn prefixes(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<String>>,
) -> Option<Field> {
    let written = written.as_ref()?;
    let mut selectors = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let prefix = prefix::prefix(check, &format!("{path}.{name}[{index}]"), text);
        selectors.extend(prefix.map(|prefix| Selector::Prefix { prefix, except: Vec::new() }));
    }
    Some(Field::of_selectors(name, written.len(), selectors))
}

/// `fromCIDRSet`, `toCIDRSet`.
pub(super) fn prefix_sets(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<CidrRule>>,
) -> Option<Field> {
    let written = written.as_ref()?;
    let mut selectors = Vec::new();
    for (index, item) in written.iter().enumerate() {
        let path = format!("{path}.{name}[{index}]");
        let CidrRule { cidr, cidr_group_ref, cidr_group_selector, except } = item;
        let given = [cidr.is_some(), cidr_group_ref.is_some(), cidr_group_selector.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            check.problem(
                &path,
                "exactly one of `cidr`, `cidrGroupRef` and `cidrGroupSelector` must be given",
            );
            continue;
        }
        let outer = cidr.as_ref().map(|cidr| prefix::prefix(check, &format!("{path}.cidr"), cidr));
        let mut inner = Vec::new();
        for (index, text) in except.iter().flatten().enumerate() {
            let path = format!("{path}.except[{index}]");
            inner.extend(match outer {
                Some(outer) => prefix::exception(check, &path, text, outer, Inside::OrEqual),
                // What the group holds is known only when policies are compiled.
                None => prefix::prefix(check, &path, text),
            });
        }
        let by_name = cidr_group_ref.as_ref().map(|name| {
            check_group_name(check, &format!("{path}.cidrGroupRef"), name);
            GroupMatch::Name(name.clone())
        });
        let by_labels = cidr_group_selector.as_ref().map(|written| {
            let keys = Keys::Of(Source::CidrGroup);
            let path = format!("{path}.cidrGroupSelector");
            GroupMatch::Labels(label_selector::understand(check, &path, written, keys))
        });
        selectors.extend(match (outer, by_name.or(by_labels)) {
            (Some(outer), _) => outer.map(|prefix| Selector::Prefix { prefix, except: inner }),
            (None, which) => which.map(|which| Selector::Group { which, except: inner }),
        });
    }
    Some(Field::of_selectors(name, written.len(), selectors))
}

fn check_group_name(check: &mut Check, path: &str, name: &str) {
    let is_label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(label.chars().next())
            && edge(label.chars().last())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        check.problem(path, format!("`{name}` is not the name of an object"));
    }
}

/// `fromNodes`, `toNodes`: other nodes by label, never the subject's own (policy semantics 2.6).
pub(super) fn nodes(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<LabelSelector>>,
) -> Option<Field> {
    let written = written.as_ref()?;
    let mut selectors = Vec::new();
    for (index, item) in written.iter().enumerate() {
        let path = format!("{path}.{name}[{index}]");
        let mut selector = label_selector::understand(check, &path, item, Keys::Of(Source::Node));
        selector.require_reserved(Entity::RemoteNode.word());
        selectors.push(Selector::Labels(selector));
    }
    Some(Field::of_selectors(name, written.len(), selectors))
}

/// `fromGroups`, `toGroups`, which a cloud provider resolves.
pub(super) fn groups(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<Group>>,
) -> Option<Field> {
    let written = written.as_ref()?;
    if !written.is_empty() {
        let what = "the cloud provider is not asked: the groups are taken to be empty, and match nobody";
        check.not_simulated(&format!("{path}.{name}"), what);
    }
    Some(Field::of_selectors(name, written.len(), Vec::new()))
}

/// `fromEntities`, `toEntities`.
pub(super) fn entities(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<String>>,
) -> Option<Field> {
    let written = written.as_ref()?;
    let mut selectors = Vec::new();
    for (index, word) in written.iter().enumerate() {
        match Entity::parse(word) {
            Some(entity) => selectors.push(Selector::Entity(entity)),
            None => {
                let known: Vec<&str> = Entity::ALL.into_iter().map(Entity::word).collect();
                check.problem_with(
                    &format!("{path}.{name}[{index}]"),
                    format!("`{word}` is not an entity"),
                    format!("write one of {}", known.join(", ")),
                );
            }
        }
    }
    Some(Field::of_selectors(name, written.len(), selectors))
}

/// `toServices`.
pub(super) fn services(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<ServiceRule>>,
) -> Option<Field> {
    let written = written.as_ref()?;
    let mut references = Vec::new();
    let namespaced = |namespace: &Option<String>| namespace.clone().filter(|text| !text.is_empty());
    for (index, item) in written.iter().enumerate() {
        let path = format!("{path}.{name}[{index}]");
        let ServiceRule { k8s_service, k8s_service_selector } = item;
        if k8s_service.is_none() && k8s_service_selector.is_none() {
            check.problem(&path, "`k8sService` or `k8sServiceSelector` must be given");
        }
        if let Some(ServiceName { service_name, namespace }) = k8s_service {
            match service_name {
                Some(name) => references.push(ServiceReference {
                    which: ServiceMatch::Name(name.clone()),
                    namespace: namespaced(namespace),
                }),
                None => check.problem(&format!("{path}.k8sService"), "`serviceName` must be given"),
            }
        }
        if let Some(ServiceSelector { selector, namespace }) = k8s_service_selector {
            let path = format!("{path}.k8sServiceSelector.selector");
            let labels = label_selector::understand(check, &path, selector, Keys::Cilium);
            references.push(ServiceReference {
                which: ServiceMatch::Labels(labels),
                namespace: namespaced(namespace),
            });
        }
    }
    let peers = Peers::Services(references);
    Some(Field { name, is_empty: written.is_empty(), opens_when_empty: true, peers })
}

/// `toFQDNs`.
pub(super) fn names(
    check: &mut Check,
    path: &str,
    name: &'static str,
    written: &Option<Vec<NameRule>>,
    effect: Effect,
) -> Option<Field> {
    let written = written.as_ref()?;
    if effect == Effect::Deny {
        check.problem_with(
            &format!("{path}.{name}"),
            "`toFQDNs` is not supported in a deny rule",
            "deny the addresses with `toCIDR`, or allow only the names that are wanted",
        );
    }
    let mut selectors = Vec::new();
    for (index, item) in written.iter().enumerate() {
        let pattern = name_pattern(check, &format!("{path}.{name}[{index}]"), item);
        selectors.extend(pattern.map(Selector::Name));
    }
    Some(Field { opens_when_empty: true, ..Field::of_selectors(name, written.len(), selectors) })
}

/// A name by `matchName` or `matchPattern`.
pub(super) fn name_pattern(check: &mut Check, path: &str, item: &NameRule) -> Option<NamePattern> {
    let NameRule { match_name, match_pattern } = item;
    let (key, text, pattern) = match (match_name, match_pattern) {
        (Some(text), None) => ("matchName", text, NamePattern::name(text)),
        (None, Some(text)) => ("matchPattern", text, NamePattern::pattern(text)),
        (Some(_), Some(_)) | (None, None) => {
            check.problem(path, "exactly one of `matchName` and `matchPattern` must be given");
            return None;
        }
    };
    match pattern {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let path = format!("{path}.{key}");
            let problem = format!("`{text}` {error}");
            if key == "matchName" && text.contains('*') {
                check.problem_with(&path, problem, "write `matchPattern` for names with `*`");
            } else {
                check.problem(&path, problem);
            }
            None
        }
    }
}
