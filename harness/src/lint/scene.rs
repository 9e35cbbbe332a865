//! What checks look at: every section with the pods it selects, and its text as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

use egret_core::ObjectName;
use egret_core::author::PolicyId;
use egret_core::identity::{LabelSet, relevant};
use egret_core::rule::{Dialect, Peers, Policy, Rule, Section};
use egret_core::selector::{Entity, Selector};
use egret_core::world::{Pod, World};
use ipnet::IpNet;
use serde_yaml::Value;

use crate::cluster::Cluster;
use crate::diagnostic::Diagnostic;
use crate::kubernetes;

/// A cluster, prepared for checks.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) dialect: Dialect,
    /// Pods that have an endpoint.
    pub(super) pods: Vec<Subject<'a>>,
    pub(super) sections: Vec<Spec<'a>>,
    /// Label sets of what rules may name outside the cluster and on nodes.
    others: Vec<LabelSet>,
}

/// A pod and the labels that policies see.
pub(super) struct Subject<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) pod: &'a Pod,
    pub(super) labels: LabelSet,
}

/// One spec of a policy.
pub(super) struct Spec<'a> {
    pub(super) id: &'a PolicyId,
    pub(super) section: &'a Section,
    /// `spec`, or `specs[1]`.
    pub(super) path: String,
    /// As it was written.
    pub(super) text: Value,
    /// Indices of the pods that it selects.
    pub(super) pods: BTreeSet<usize>,
}

/// Warnings found so far.
pub(super) struct Found<'a> {
    cluster: &'a Cluster,
    warnings: Vec<Diagnostic>,
}

/// One warning before it has a place.
pub(super) struct Warning {
    pub(super) code: &'static str,
    /// What is odd: a fragment with the user's words in backticks.
    pub(super) message: String,
    /// Why that is so.
    pub(super) why: &'static str,
    /// What to write instead.
    pub(super) help: String,
}

// === impl Scene ===

impl<'a> Scene<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let desired = &cluster.desired;
        let with_endpoint = desired.world.pods.iter().filter(|(_, pod)| !pod.host_network);
        let pods: Vec<_> = with_endpoint
            .map(|(name, pod)| Subject {
                name,
                pod,
                labels: relevant::of_pod(name, pod, &desired.world, desired.dialect),
            })
            .collect();
        let mut sections = Vec::new();
        for (id, policy) in &desired.policies {
            let texts = texts(cluster, id, policy);
            for (section, (path, text)) in policy.sections.iter().zip(texts) {
                let selected = |(index, pod): (usize, &Subject<'_>)| {
                    section.subject.selects(&pod.labels).then_some(index)
                };
                let pods = pods.iter().enumerate().filter_map(selected).collect();
                sections.push(Spec { id, section, path, text, pods });
            }
        }
        let others = others(&sections, &desired.policies);
        Self { world: &desired.world, dialect: desired.dialect, pods, sections, others }
    }

    /// The pods of a section.
    pub(super) fn pods_of(&self, spec: &Spec<'_>) -> impl Iterator<Item = &Subject<'a>> {
        spec.pods.iter().filter_map(|index| self.pods.get(*index))
    }

    /// Pods that a selector names.
    pub(super) fn selected(&self, selector: &Selector) -> impl Iterator<Item = &Subject<'a>> {
        self.pods.iter().filter(|pod| selector.selects(&pod.labels))
    }

    /// Whether a selector names anybody, in the cluster or outside.
    pub(super) fn names_anybody(&self, selector: &Selector) -> bool {
        self.selected(selector).next().is_some() || self.others.iter().any(|labels| selector.selects(labels))
    }

    /// Whom a rule names, as indices: pods first, then the others; `None`: everybody, or whom nobody knows yet.
    pub(super) fn peers(&self, rule: &Rule) -> Option<BTreeSet<usize>> {
        let Peers::Selected(selectors) = &rule.peers else { return None };
        if selectors.contains(&Selector::Entity(Entity::All)) {
            return None;
        }
        let labels = self.pods.iter().map(|pod| &pod.labels).chain(&self.others);
        let named = |labels: &LabelSet| selectors.iter().any(|selector| selector.selects(labels));
        Some(labels.enumerate().filter(|(_, labels)| named(labels)).map(|(index, _)| index).collect())
    }
}

/// Each spec of a policy with its path, in the order of the sections.
fn texts(cluster: &Cluster, id: &PolicyId, policy: &Policy) -> Vec<(String, Value)> {
    let document: Option<Value> =
        cluster.policies.object(id).and_then(|object| kubernetes::read(object).ok());
    let document = document.unwrap_or_default();
    let mut texts = Vec::new();
    if let Some(spec) = document.get("spec") {
        texts.push(("spec".to_owned(), spec.clone()));
    }
    for (index, spec) in list(&document, "specs").enumerate() {
        texts.push((format!("specs[{index}]"), spec.clone()));
    }
    // A NetworkPolicy without `spec` selects everything and says nothing.
    texts.resize(policy.sections.len(), ("spec".to_owned(), Value::Null));
    texts
}

/// Label sets of the fixed identities, of every prefix and of every name in the rules.
fn others(sections: &[Spec<'_>], policies: &BTreeMap<Arc<PolicyId>, Arc<Policy>>) -> Vec<LabelSet> {
    let mut others: Vec<_> = Entity::ALL.iter().map(|entity| LabelSet::reserved(entity.word())).collect();
    let rules = sections.iter().flat_map(|spec| &spec.section.rules);
    let selectors = rules.filter_map(|rule| match &rule.peers {
        Peers::Selected(selectors) => Some(selectors),
        Peers::Any | Peers::Services(_) => None,
    });
    let (mut prefixes, mut names) = (BTreeMap::<IpNet, Vec<_>>::new(), BTreeSet::new());
    for (id, policy) in policies {
        let Some(group) = &policy.group else { continue };
        for prefix in &group.prefixes {
            prefixes.entry(*prefix).or_default().push((&id.name, &group.labels));
        }
    }
    for selector in selectors.flatten() {
        match selector {
            Selector::Prefix { prefix, except } => {
                for prefix in iter::once(prefix).chain(except) {
                    prefixes.entry(*prefix).or_default();
                }
            }
            Selector::Group { which: _, except } => {
                for prefix in except {
                    prefixes.entry(*prefix).or_default();
                }
            }
            Selector::Name(pattern) => {
                names.insert(pattern.text());
            }
            Selector::Labels(_) | Selector::Entity(_) => {}
        }
    }
    for prefix in prefixes.keys() {
        let mut labels = LabelSet::reserved(Entity::World.word());
        let mut wider = Some(*prefix);
        while let Some(over) = wider {
            if let Some(groups) = prefixes.get(&over) {
                labels.insert_prefix(&over);
                groups.iter().for_each(|(name, own)| labels.insert_group(name, own));
            }
            wider = over.supernet();
        }
        others.push(labels);
    }
    for name in names {
        let mut labels = LabelSet::reserved(Entity::World.word());
        labels.insert(egret_core::identity::Source::Fqdn, name, "");
        others.push(labels);
    }
    others
}

/// The items under a key; none where there is no list.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_sequence).into_iter().flatten()
}

// === impl Spec ===

impl Spec<'_> {
    /// Every rule as it was written, with its path below the object.
    pub(super) fn written(&self) -> impl Iterator<Item = (String, &Value)> {
        ["ingress", "ingressDeny", "egress", "egressDeny"].into_iter().flat_map(move |key| {
            let rules = list(&self.text, key).enumerate();
            rules.map(move |(index, rule)| (format!("{}.{key}[{index}]", self.path), rule))
        })
    }
}

// === impl Found ===

impl<'a> Found<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, warnings: Vec::new() }
    }

    /// Notes a warning at a path from the object's root.
    pub(super) fn add(&mut self, id: &PolicyId, path: &str, warning: Warning) {
        let Warning { code, message, why, help } = warning;
        let mut diagnostic = Diagnostic::warning(code, message).note(why).help(help);
        if let Some(object) = self.cluster.policies.object(id) {
            diagnostic = diagnostic.at(object.locate_field(path));
        }
        self.warnings.push(diagnostic);
    }

    /// Notes a warning at a rule's or port's path, which begins below `spec`.
    pub(super) fn at_rule(&mut self, id: &PolicyId, path: &str, warning: Warning) {
        let path = if path.starts_with("specs[") { path.to_owned() } else { format!("spec.{path}") };
        self.add(id, &path, warning);
    }

    /// All of them, in the order of the files, each once.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut warnings = self.warnings;
        warnings.sort_by_key(|warning| {
            let place = warning.location.as_ref().map(|at| (at.source.path.clone(), at.span.start));
            (place, warning.code)
        });
        warnings.dedup();
        warnings
    }
}
