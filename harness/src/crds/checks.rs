//! What a schema can check of what `egret validate` checks: words, patterns, bounds, exactly one of several fields.
//!
//! Each row names fields by the end of their path. The rows say what Cilium's and the network policy API's own
//! definitions say, so that a manifest is taken or refused by both alike; the rest is the agent's to refuse, in
//! the object's status.

use egret_core::spec::PolicyKind;
use serde_json::{Value, json};

/// A name with dots, of which the last may stand at the end.
const NAME: &str = r"^([-a-zA-Z0-9_]+[.]?)+$";
/// The same with `*`.
const PATTERN: &str = r"^([-a-zA-Z0-9_*]+[.]?)+$";
/// A DNS subdomain.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Fields that deny rules do not have, although one type reads both forms.
const NOT_IN_DENY: [&str; 10] = [
    "ingressDeny[].authentication",
    "ingressDeny[].toPorts[].rules",
    "ingressDeny[].toPorts[].listener",
    "egressDeny[].authentication",
    "egressDeny[].toFQDNs",
    "egressDeny[].toPorts[].rules",
    "egressDeny[].toPorts[].listener",
    "Deny[].toPorts[].serverNames",
    "Deny[].toPorts[].originatingTLS",
    "Deny[].toPorts[].terminatingTLS",
];

/// Adds the checks of a kind to its schema, and takes out what it does not have.
///
/// # Panics
/// A row fits no field: the types have changed under it.
pub(super) fn add(schema: &mut Value, kind: PolicyKind) {
    if matches!(kind, PolicyKind::CiliumNetworkPolicy | PolicyKind::CiliumClusterwideNetworkPolicy) {
        for end in NOT_IN_DENY {
            assert!(remove(schema, "", end) > 0, "no field of {} ends in `{end}`", kind.kind());
        }
    }
    for (end, check) in rows(kind) {
        let found = visit(schema, "", end, &check);
        assert!(found > 0, "no field of {} ends in `{end}`", kind.kind());
    }
}

fn rows(kind: PolicyKind) -> Vec<(&'static str, Value)> {
    let mut rows = match kind {
        PolicyKind::CiliumNetworkPolicy | PolicyKind::CiliumClusterwideNetworkPolicy => cilium(),
        PolicyKind::CiliumCidrGroup => vec![("externalCIDRs[]", json!({ "format": "cidr" }))],
        PolicyKind::ClusterNetworkPolicy => cluster(),
        PolicyKind::NetworkPolicy
        | PolicyKind::AdminNetworkPolicy
        | PolicyKind::BaselineAdminNetworkPolicy => Vec::new(),
    };
    if kind != PolicyKind::CiliumCidrGroup {
        rows.push((
            "matchExpressions[].operator",
            json!({ "enum": ["In", "NotIn", "Exists", "DoesNotExist"] }),
        ));
    }
    rows
}

fn cilium() -> Vec<(&'static str, Value)> {
    let entities = json!({ "enum": [
        "all", "world", "world-ipv4", "world-ipv6", "cluster", "host", "init", "ingress", "unmanaged",
        "remote-node", "health", "none", "kube-apiserver",
    ] });
    let subject = exactly_one(&["endpointSelector", "nodeSelector"]);
    let prefix = json!({ "format": "cidr" });
    let one_prefix = exactly_one(&["cidr", "cidrGroupRef", "cidrGroupSelector"]);
    let one_name = exactly_one(&["matchName", "matchPattern"]);
    vec![
        (
            "",
            json!({ "x-kubernetes-validations": [
                { "rule": "has(self.spec) || has(self.specs)", "message": "spec or specs must be provided" },
            ] }),
        ),
        (".spec", subject.clone()),
        (".specs[]", subject),
        ("log.value", json!({ "maxLength": 32 })),
        ("authentication.mode", json!({ "enum": ["disabled", "required", "test-always-fail"] })),
        ("fromEntities[]", entities.clone()),
        ("toEntities[]", entities),
        ("fromCIDR[]", prefix.clone()),
        ("toCIDR[]", prefix.clone()),
        ("CIDRSet[].cidr", prefix.clone()),
        ("CIDRSet[].except[]", prefix),
        ("CIDRSet[].cidrGroupRef", json!({ "maxLength": 253, "pattern": SUBDOMAIN })),
        ("fromCIDRSet[]", one_prefix.clone()),
        ("toCIDRSet[]", one_prefix),
        ("Groups[]", json!({ "x-kubernetes-preserve-unknown-fields": true })),
        ("toFQDNs[]", one_name.clone()),
        ("rules.dns[]", one_name),
        ("matchName", json!({ "maxLength": 255, "pattern": NAME })),
        ("matchPattern", json!({ "maxLength": 255, "pattern": PATTERN })),
        ("serverNames", json!({ "minItems": 1 })),
        ("serverNames[]", json!({ "maxLength": 255, "pattern": PATTERN })),
        ("toPorts[].rules", exactly_one(&["http", "dns"])),
        ("toPorts[].ports", json!({ "maxItems": 40 })),
        ("ports[].endPort", json!({ "minimum": 0, "maximum": 65535 })),
        (
            "ports[].protocol",
            json!({ "enum":
                ["TCP", "UDP", "SCTP", "VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH", "ICMP", "ICMPv6", "ANY"]
            }),
        ),
        ("headerMatches[].mismatch", json!({ "enum": ["LOG", "ADD", "DELETE", "REPLACE"] })),
        ("headerMatches[].name", json!({ "minLength": 1 })),
        ("listener.name", json!({ "minLength": 1 })),
        ("listener.priority", json!({ "minimum": 1, "maximum": 100 })),
        ("envoyConfig.kind", json!({ "enum": ["CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig"] })),
        ("envoyConfig.name", json!({ "minLength": 1 })),
        ("icmps[].fields", json!({ "maxItems": 40 })),
        ("fields[].family", json!({ "enum": ["IPv4", "IPv6"] })),
    ]
}

fn cluster() -> Vec<(&'static str, Value)> {
    let several = json!({ "minItems": 1, "maxItems": 25 });
    let one = json!({ "minProperties": 1, "maxProperties": 1 });
    let port = json!({ "minimum": 1, "maximum": 65535 });
    let action = json!({ "enum": ["Accept", "Deny", "Pass"] });
    vec![
        ("spec.tier", json!({ "enum": ["Admin", "Baseline"] })),
        ("spec.priority", json!({ "minimum": 0, "maximum": 1000 })),
        ("spec.subject", one.clone()),
        ("spec.ingress", json!({ "maxItems": 25 })),
        ("spec.egress", json!({ "maxItems": 25 })),
        ("ingress[].action", action.clone()),
        ("egress[].action", action),
        ("gress[].name", json!({ "maxLength": 100 })),
        ("ingress[].from", several.clone()),
        ("egress[].to", several.clone()),
        ("ingress[].from[]", one.clone()),
        ("egress[].to[]", one.clone()),
        ("to[].networks", several.clone()),
        ("to[].networks[]", json!({ "format": "cidr", "maxLength": 43 })),
        ("to[].domainNames", several.clone()),
        ("gress[].protocols", several),
        ("gress[].protocols[]", one.clone()),
        ("destinationPort", one),
        ("destinationPort.number", port.clone()),
        ("range.start", port.clone()),
        ("range.end", port),
    ]
}

/// Exactly one of these fields is there.
fn exactly_one(fields: &[&str]) -> Value {
    let forms: Vec<Value> = fields.iter().map(|field| json!({ "required": [field] })).collect();
    json!({ "oneOf": forms })
}

/// Adds a check to every field whose path ends like this; the number of those fields. The empty end is the root.
fn visit(schema: &mut Value, path: &str, end: &str, check: &Value) -> usize {
    let Some(object) = schema.as_object_mut() else { return 0 };
    let mut found = 0;
    if if end.is_empty() { path.is_empty() } else { path.ends_with(end) } {
        object.extend(check.as_object().cloned().into_iter().flatten());
        found += 1;
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, inner) in properties {
            found += visit(inner, &format!("{path}.{name}"), end, check);
        }
    }
    if let Some(items) = object.get_mut("items") {
        found += visit(items, &format!("{path}[]"), end, check);
    }
    found
}

/// Takes out every field whose path ends like this; the number of those fields.
fn remove(schema: &mut Value, path: &str, end: &str) -> usize {
    let Some(object) = schema.as_object_mut() else { return 0 };
    let mut found = 0;
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        let before = properties.len();
        properties.retain(|name, _| !format!("{path}.{name}").ends_with(end));
        found += before - properties.len();
        for (name, inner) in properties {
            found += remove(inner, &format!("{path}.{name}"), end);
        }
    }
    if let Some(items) = object.get_mut("items") {
        found += remove(items, &format!("{path}[]"), end);
    }
    found
}
