//! The case's namespaces and the cluster's: the same, or behind a prefix that keeps a case to itself.

use serde_json::Value;

/// Labels by which policies name a namespace, as the end of a key: Cilium writes a source before them.
const NAMESPACE_KEYS: [&str; 2] = ["kubernetes.io/metadata.name", "io.kubernetes.pod.namespace"];

/// How namespaces are renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    pub(super) prefix: Option<String>,
}

impl Naming {
    /// The cluster's name for a namespace. `kube-system` is the cluster's own and nobody's to rename.
    pub(super) fn namespace(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) if name != "kube-system" => format!("{prefix}{name}"),
            Some(_) | None => name.to_owned(),
        }
    }

    /// The case's name for a namespace of the cluster.
    pub(super) fn in_case<'a>(&self, name: &'a str) -> &'a str {
        self.prefix.as_deref().and_then(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
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
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> Value {
        json!({
            "metadata": { "name": "a", "namespace": "x" },
            "spec": {
                "ingress": [{ "from": [
                    { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "y", "team": "y" } } },
                    { "namespaceSelector": { "matchExpressions": [
                        { "key": "kubernetes.io/metadata.name", "operator": "In", "values": ["y", "kube-system"] },
                        { "key": "team", "operator": "In", "values": ["y"] },
                    ] } },
                ] }],
                "egress": [
                    { "toEndpoints": [{ "matchLabels": { "k8s:io.kubernetes.pod.namespace": "y" } }] },
                    { "toServices": [{ "k8sService": { "serviceName": "s", "namespace": "y" } }] },
                ],
            },
        })
    }

    #[test]
    fn namespaces_in_policies_get_the_prefix() {
        let naming = Naming { prefix: Some("t-".into()) };
        let mut document = policy();
        naming.policy(&mut document);
        assert_eq!(document["metadata"]["namespace"], "t-x");
        let from = &document["spec"]["ingress"][0]["from"];
        let labels = json!({ "kubernetes.io/metadata.name": "t-y", "team": "y" });
        assert_eq!(from[0]["namespaceSelector"]["matchLabels"], labels);
        let expressions = &from[1]["namespaceSelector"]["matchExpressions"];
        assert_eq!(expressions[0]["values"], json!(["t-y", "kube-system"]));
        assert_eq!(expressions[1]["values"], json!(["y"]));
        let egress = &document["spec"]["egress"];
        let labels = json!({ "k8s:io.kubernetes.pod.namespace": "t-y" });
        assert_eq!(egress[0]["toEndpoints"][0]["matchLabels"], labels);
        assert_eq!(egress[1]["toServices"][0]["k8sService"]["namespace"], "t-y");
    }

    #[test]
    fn without_a_prefix_a_policy_stays_as_it_is() {
        let mut document = policy();
        Naming::default().policy(&mut document);
        assert_eq!(document, policy());
    }
}
