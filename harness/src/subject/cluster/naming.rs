//! The case's namespaces and the cluster's: the same, or behind a prefix that keeps a case to itself.

use std::collections::BTreeSet;

use egret_core::World;
use egret_core::probe::{Opening, Peer, Probe, Request};
use serde_json::Value;

/// Labels by which policies name a namespace, as the end of a key: Cilium writes a source before them.
const NAMESPACE_KEYS: [&str; 2] = ["kubernetes.io/metadata.name", "io.kubernetes.pod.namespace"];
/// Keys under which policies have a name of DNS, or a pattern of such names.
const DNS_KEYS: [&str; 2] = ["matchName", "matchPattern"];
/// The cluster's own, which nobody renames.
const SYSTEM: &str = "kube-system";

/// How namespaces are renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    pub(super) prefix: Option<String>,
    /// The namespaces of the world that is there: names of DNS with others are not the case's.
    namespaces: BTreeSet<String>,
}

impl Naming {
    /// With this prefix, or the same names on both sides.
    pub(super) const fn new(prefix: Option<String>) -> Self {
        Self { prefix, namespaces: BTreeSet::new() }
    }

    /// Takes the namespaces of a world for the case's.
    pub(super) fn of_world(&mut self, world: &World) {
        self.namespaces = world.namespaces.keys().cloned().collect();
    }

    /// The cluster's name for a namespace. `kube-system` is the cluster's own and nobody's to rename.
    pub(super) fn namespace(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) if name != SYSTEM => format!("{prefix}{name}"),
            Some(_) | None => name.to_owned(),
        }
    }

    /// The case's name for a namespace of the cluster.
    pub(super) fn in_case<'a>(&self, name: &'a str) -> &'a str {
        self.prefix.as_deref().and_then(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
    }

    /// What a client in the cluster is asked for a probe of the case: names of services have the cluster's namespaces.
    pub(super) fn probe(&self, probe: &Probe) -> Probe {
        let mut probe = probe.clone();
        match &mut probe.request {
            Request::Dns { name, .. }
            | Request::Connect { to: Peer::Name(name), .. }
            | Request::Ping { to: Peer::Name(name) }
            | Request::Forge { to: Peer::Name(name), .. }
            | Request::Keep { open: Some(Opening { to: Peer::Name(name), .. }), .. } => {
                *name = self.dns(name);
            }
            Request::Connect { .. } | Request::Ping { .. } | Request::Forge { .. } | Request::Keep { .. } => {
            }
        }
        probe
    }

    /// A name of DNS, or a pattern of such names, with the cluster's name for a namespace of the case. The namespace
    /// stands before `svc`, or ends a name of two labels that a search list makes whole:
    /// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>
    fn dns(&self, name: &str) -> String {
        // A dot at the end makes it whole, and whole it has a domain.
        let (bare, dot) = name.strip_suffix('.').map_or((name, ""), |bare| (bare, "."));
        let mut labels: Vec<&str> = bare.split('.').collect();
        let is_service = match labels.as_slice() {
            [_, _] | [_, _, _] if !dot.is_empty() => false,
            [_, _] => true,
            [_, _, svc, ..] => svc.eq_ignore_ascii_case("svc"),
            [] | [_] => false,
        };
        let Some(namespace) = labels.get_mut(1).filter(|_| is_service) else { return name.to_owned() };
        let in_case = namespace.to_lowercase();
        let in_cluster = self.namespace(&in_case);
        if in_cluster == in_case || !self.namespaces.contains(&in_case) {
            return name.to_owned();
        }
        *namespace = &in_cluster;
        labels.join(".") + dot
    }

    /// A policy with the names of its namespaces in the cluster; without a prefix, the same document.
    pub(super) fn policy(&self, document: &mut Value) {
        if self.prefix.is_none() {
            return;
        }
        if let Some(Value::String(namespace)) = document.pointer_mut("/metadata/namespace") {
            *namespace = self.namespace(namespace);
        }
        for part in ["spec", "specs"] {
            if let Some(part) = document.get_mut(part) {
                self.rename(part);
            }
        }
    }

    fn rename(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Object(object) => {
                let key = object.get("key").and_then(Value::as_str).is_some_and(names_namespaces);
                for (name, inner) in object.iter_mut() {
                    match inner {
                        Value::String(text) if names_namespaces(name) || name == "namespace" => {
                            *text = self.namespace(text);
                        }
                        Value::String(text) if DNS_KEYS.contains(&name.as_str()) => *text = self.dns(text),
                        Value::Array(values) if key && name == "values" => {
                            for value in values {
                                if let Value::String(text) = value {
                                    *text = self.namespace(text);
                                }
                            }
                        }
                        other @ (Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::String(_)
                        | Value::Array(_)
                        | Value::Object(_)) => self.rename(other),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn names_namespaces(key: &str) -> bool {
    let bare = key.rsplit_once(':').map_or(key, |(_, bare)| bare);
    NAMESPACE_KEYS.contains(&bare)
}

#[cfg(test)]
mod tests;
