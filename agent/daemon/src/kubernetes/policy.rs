//! A policy object as rules, or as what keeps it from being in force.

use std::sync::Arc;

use egret_core::rule::Policy;
use egret_core::spec::{self, Document, InvalidSpec, PolicyKind};
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::kind::Kind;

/// What a valid policy's condition says (Cilium `operator/pkg/ciliumenvoyconfig`, `pkg/policy/k8s`: the operator's
/// text for policies).
const VALID: &str = "Policy validation succeeded";

/// One policy object.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyPart {
    /// Its rules, or everything that is wrong with it.
    ///
    /// A wrong policy is not in force, as if it did not exist: Cilium does not import what it cannot parse either
    /// (`pkg/policy/k8s/cilium_network_policy.go`). The previous version does not stay in force in its place, so that
    /// what is in force follows from the objects of the cluster alone, also after a restart.
    pub rules: Result<Arc<Policy>, String>,
    /// The object's conditions.
    pub conditions: Vec<Value>,
}

impl PolicyPart {
    /// Reads an object of a kind.
    pub(super) fn of(kind: PolicyKind, object: &DynamicObject) -> Self {
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        Self { rules: rules(kind, object).map(Arc::new), conditions: conditions.cloned().unwrap_or_default() }
    }

    /// The conditions that the object ought to have; `None` when it has them.
    #[must_use]
    pub fn wanted_conditions(&self, now: &str) -> Option<Vec<Value>> {
        let (status, message) = match &self.rules {
            Ok(_) => ("True", VALID),
            Err(problem) => ("False", problem.as_str()),
        };
        let is_valid = |condition: &&Value| condition.get("type").is_some_and(|kind| kind == "Valid");
        let present = self.conditions.iter().find(is_valid);
        let says = |key: &str| present.and_then(|condition| condition.get(key)?.as_str());
        if says("status") == Some(status) && says("message") == Some(message) {
            return None;
        }
        let since = if says("status") == Some(status) { says("lastTransitionTime") } else { None };
        let wanted = json!({
            "type": "Valid",
            "status": status,
            "message": message,
            "lastTransitionTime": since.unwrap_or(now),
        });
        let others = self.conditions.iter().filter(|condition| !is_valid(condition)).cloned();
        Some(others.chain([wanted]).collect())
    }
}

fn rules(kind: PolicyKind, object: &DynamicObject) -> Result<Policy, String> {
    let document =
        Document::deserialize_kind(kind, written(kind, object)).map_err(|error| error.to_string())?;
    spec::understand(&document).map_err(|invalid| {
        let texts: Vec<String> = invalid.iter().map(text).collect();
        texts.join("; ")
    })
}

/// As `egret validate` says it.
fn text(invalid: &InvalidSpec) -> String {
    let InvalidSpec { path, problem, help } = invalid;
    match help {
        Some(help) => format!("`{path}`: {problem} ({help})"),
        None => format!("`{path}`: {problem}"),
    }
}

/// What the object's author wrote: without what the API server and controllers add.
fn written(kind: PolicyKind, object: &DynamicObject) -> Value {
    let metadata = &object.metadata;
    let mut document = Map::new();
    if let Value::Object(fields) = &object.data {
        document.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    document.remove("status");
    // Items of a list do not say what they are.
    document.insert("apiVersion".into(), Kind::Policy(kind).api_version().into());
    document.insert("kind".into(), kind.kind().into());
    let namespace = metadata.namespace.as_ref().map(|namespace| ("namespace", json!(namespace)));
    let fields = [("name", json!(metadata.name)), ("labels", json!(metadata.labels))];
    let fields = fields.into_iter().chain(namespace).map(|(key, value)| (key.to_owned(), value));
    document.insert("metadata".into(), Value::Object(fields.collect()));
    Value::Object(document)
}
