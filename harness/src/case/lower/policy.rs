//! Policy objects of a case: read strictly, understood by the engine, kept with their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use egret_core::ObjectName;
use egret_core::author::PolicyId;
use egret_core::rule::Policy;
use egret_core::spec::{self, PolicyKind};
use egret_core::world::World;
use serde::Deserializer;

use super::problems::Problems;
use super::world::check_namespace;
use crate::case::PolicyLocations;
use crate::diagnostic::Diagnostic;
use crate::yaml::{Manifest, Shape};

/// A policy in force, and the object that it came from.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    /// The policy as the engine understands it; `None` when it was refused, so that a later step that names
    /// it is not blamed as well.
    pub(super) policy: Option<Arc<Policy>>,
    /// The object.
    pub(super) object: Manifest,
}

/// Policies in force.
pub(super) type Policies = BTreeMap<PolicyId, Applied>;

#[derive(Clone, Copy)]
struct PolicyShape(PolicyKind);

impl Shape for PolicyShape {
    type Output = spec::Document;

    fn deserialize<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Output, D::Error> {
        spec::Document::deserialize_kind(self.0, deserializer)
    }
}

/// Puts one object in force.
pub(super) fn apply(
    object: &Manifest,
    world: &World,
    policies: &mut Policies,
    problems: &mut Problems,
) -> Option<PolicyId> {
    let (id, policy) = read(object, problems)?;
    if let Some(namespace) = &id.namespace {
        check_namespace(world, namespace, &object.locate("metadata.namespace"), problems);
    }
    policies.insert(id.clone(), Applied { policy: policy.map(Arc::new), object: object.clone() });
    Some(id)
}

/// What is wrong with an object, whatever world it is applied to.
pub(in crate::case) fn check_policy(object: &Manifest) -> Vec<Diagnostic> {
    let mut problems = Problems::default();
    read(object, &mut problems);
    problems.finish().err().unwrap_or_default()
}

/// Reads one object: its identity, and the policy unless the engine refuses its content.
pub(crate) fn read(object: &Manifest, problems: &mut Problems) -> Option<(PolicyId, Option<Policy>)> {
    if !object.is_mapping() {
        problems.add(Diagnostic::error("an object is a mapping").at(object.locate("")));
        return None;
    }
    let kind = kind_of(object, problems)?;
    let id = id_of(kind, object, problems)?;
    let document = problems.take(object.read(PolicyShape(kind)));
    let policy = document.and_then(|document| {
        problems.take(spec::understand(&document).map_err(|invalid| {
            invalid.into_iter().map(|invalid| refusal(object, invalid)).collect::<Vec<_>>()
        }))
    });
    Some((id, policy))
}

/// Kind, namespace and name, which every object has whatever its content.
fn id_of(kind: PolicyKind, object: &Manifest, problems: &mut Problems) -> Option<PolicyId> {
    let name = problems.expect(object.text(&["metadata", "name"]), || {
        Diagnostic::error("an object needs `metadata.name`").at(object.locate_field("metadata"))
    })?;
    let namespace = object.text(&["metadata", "namespace"]).unwrap_or(ObjectName::DEFAULT_NAMESPACE);
    problems.check_name(name, &object.locate("metadata.name")).then(|| PolicyId {
        kind: kind.kind().to_owned(),
        namespace: kind.is_namespaced().then(|| namespace.to_owned()),
        name: name.to_owned(),
    })
}

/// The kind, or what is wrong with it.
fn kind_of(object: &Manifest, problems: &mut Problems) -> Option<PolicyKind> {
    let (version, kind) = (object.text(&["apiVersion"]), object.text(&["kind"]));
    let (Some(version), Some(kind)) = (version, kind) else {
        problems.add(Diagnostic::error("an object needs `apiVersion` and `kind`").at(object.locate("kind")));
        return None;
    };
    problems.expect(PolicyKind::of(version, kind), || {
        if let Some(known) = PolicyKind::ALL.iter().find(|known| known.kind() == kind) {
            return Diagnostic::error(format!("`{kind}` has no version `{version}`"))
                .at(object.locate("apiVersion"))
                .help(format!("did you mean `{}`?", known.api_version()));
        }
        Diagnostic::error(format!("a step cannot apply a `{kind}`"))
            .at(object.locate("kind"))
            .nearest(kind, &PolicyKind::ALL.map(PolicyKind::kind))
            .note("pods, services, namespaces and nodes belong into `world` or `change`")
    })
}

/// What the engine refuses, with the place of the field.
fn refusal(object: &Manifest, invalid: spec::InvalidSpec) -> Diagnostic {
    let problem = Diagnostic::error(format!("`{}`: {}", invalid.path, invalid.problem))
        .at(object.locate_field(&invalid.path));
    match invalid.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The policy that `Kind namespace/name` names among those in force.
pub(super) fn find(text: &str, policies: &Policies) -> Option<PolicyId> {
    let (kind, name) = text.split_once(' ')?;
    let full = ObjectName::parse(name);
    let is_named = |id: &&PolicyId| {
        id.kind == kind
            && match &id.namespace {
                Some(namespace) => (namespace, &id.name) == (&full.namespace, &full.name),
                None => id.name == name,
            }
    };
    policies.keys().find(is_named).cloned()
}

/// The policies in force, as the engine understands them.
pub(super) fn understood(policies: &Policies) -> BTreeMap<Arc<PolicyId>, Arc<Policy>> {
    let understood = policies.values().filter_map(|applied| applied.policy.clone());
    understood.map(|policy| (Arc::clone(&policy.id), policy)).collect()
}

/// Where the rules of the policies in force stand.
pub(super) fn locations(policies: &Policies) -> PolicyLocations {
    PolicyLocations::new(policies.iter().map(|(id, applied)| (id.clone(), applied.object.clone())).collect())
}
