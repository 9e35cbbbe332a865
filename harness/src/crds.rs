//! The custom resource definitions of the policy kinds that the agent watches, from the types that read them.
//!
//! The API server takes structural schemas only, which schemars does not write: `structural` turns one into the
//! other. What the types cannot say, such as the words of an enumeration, stands in `checks`.

mod checks;
mod structural;

use egret_core::spec::PolicyKind;
use egret_core::spec::cilium_cidr_group::CidrGroupSpec;
use egret_core::spec::cilium_network_policy::CiliumSpec;
use egret_core::spec::cluster_network_policy::ClusterSpec;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Every definition as file name and text, in the order of their names.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let definitions = [
        Definition {
            kind: PolicyKind::CiliumCidrGroup,
            plural: "ciliumcidrgroups",
            short: "ccg",
            columns: vec![],
            status: false,
            body: || json!({ "spec": shape::<CidrGroupSpec>() }),
            required: &["spec"],
        },
        Definition {
            kind: PolicyKind::CiliumClusterwideNetworkPolicy,
            plural: "ciliumclusterwidenetworkpolicies",
            short: "ccnp",
            columns: vec![VALID],
            status: true,
            body: cilium,
            required: &[],
        },
        Definition {
            kind: PolicyKind::CiliumNetworkPolicy,
            plural: "ciliumnetworkpolicies",
            short: "cnp",
            columns: vec![AGE, VALID],
            status: true,
            body: cilium,
            required: &[],
        },
        Definition {
            kind: PolicyKind::ClusterNetworkPolicy,
            plural: "clusternetworkpolicies",
            // `cnp` is taken: what two kinds claim, kubectl resolves by chance.
            short: "knp",
            columns: vec![("Tier", "string", ".spec.tier"), ("Priority", "integer", ".spec.priority"), AGE],
            status: true,
            body: || json!({ "spec": shape::<ClusterSpec>() }),
            required: &["spec"],
        },
    ];
    definitions.iter().map(|definition| (format!("{}.yaml", definition.plural), definition.text())).collect()
}

type Column = (&'static str, &'static str, &'static str);

const AGE: Column = ("Age", "date", ".metadata.creationTimestamp");
const VALID: Column = ("Valid", "string", ".status.conditions[?(@.type=='Valid')].status");

/// What a definition says beside the shape of its objects.
struct Definition {
    kind: PolicyKind,
    plural: &'static str,
    short: &'static str,
    columns: Vec<Column>,
    status: bool,
    body: fn() -> Value,
    required: &'static [&'static str],
}

// === impl Definition ===

impl Definition {
    fn text(&self) -> String {
        let document = self.document();
        let text = serde_yaml::to_string(&document).expect("a JSON value with text keys always serialises");
        format!("# Written by `cargo xtask crds` from the types in agent/core/src/spec/.\n{text}")
    }

    fn document(&self) -> Value {
        let kind = self.kind.kind();
        let versions = self.kind.api_versions();
        let group =
            versions.first().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
        let scope = if self.kind.is_namespaced() { "Namespaced" } else { "Cluster" };
        let mut annotations = json!({});
        if group.ends_with(".k8s.io") {
            // The API server takes definitions below k8s.io only with the proposal that they come from.
            annotations["api-approved.kubernetes.io"] =
                "https://github.com/kubernetes-sigs/network-policy-api/pull/300".into();
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{}.{group}", self.plural), "annotations": annotations },
            "spec": {
                "group": group,
                "names": {
                    "kind": kind,
                    "listKind": format!("{kind}List"),
                    "plural": self.plural,
                    "singular": kind.to_lowercase(),
                    "shortNames": [self.short],
                },
                "scope": scope,
                "versions": versions
                    .iter()
                    .enumerate()
                    .map(|(index, version)| self.version(version, index == 0))
                    .collect::<Vec<_>>(),
            },
        })
    }

    fn version(&self, version: &str, newest: bool) -> Value {
        let (_, name) = version.split_once('/').unwrap_or(("", version));
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|(name, kind, path)| json!({ "name": name, "type": kind, "jsonPath": path }))
            .collect();
        let mut document = json!({
            "name": name,
            "served": true,
            "storage": newest,
            "additionalPrinterColumns": columns,
            "schema": { "openAPIV3Schema": self.schema() },
        });
        if self.status {
            document["subresources"] = json!({ "status": {} });
        }
        document
    }

    fn schema(&self) -> Value {
        let mut properties = json!({
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
        });
        let mut body = (self.body)();
        if self.status {
            body["status"] = status();
        }
        for (name, schema) in body.as_object().into_iter().flatten() {
            properties[name] = schema.clone();
        }
        let mut required = vec!["metadata"];
        required.extend(self.required);
        let mut schema = json!({ "type": "object", "required": required, "properties": properties });
        checks::add(&mut schema, self.kind);
        schema
    }
}

/// `spec` and `specs` of both kinds of Cilium policies.
fn cilium() -> Value {
    json!({
        "spec": shape::<CiliumSpec>(),
        "specs": { "type": "array", "items": shape::<CiliumSpec>() },
    })
}

/// The conditions that the agent writes, in the shape of `metav1.Condition`.
fn status() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status"],
                    "properties": {
                        "type": text,
                        "status": text,
                        "reason": text,
                        "message": text,
                        "lastTransitionTime": { "type": "string", "format": "date-time" },
                        "observedGeneration": { "type": "integer", "format": "int64" },
                    },
                },
            },
        },
    })
}

/// The structural schema of a type.
fn shape<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    structural::rewrite(&mut schema);
    schema
}

#[cfg(test)]
mod tests;
