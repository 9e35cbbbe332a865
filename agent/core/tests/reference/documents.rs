//! Random policy documents that an API server would take, as JSON values.

use egret_core::rule::Dialect;
use egret_core::spec::{Document, PolicyKind};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{cilium, tiers};

/// Reads a value as the document that it says it is.
pub(crate) fn read(value: &Value) -> Document {
    let text = |key: &str| value[key].as_str().unwrap();
    let kind = PolicyKind::of(text("apiVersion"), text("kind")).unwrap();
    Document::deserialize_kind(kind, value).unwrap()
}

/// One document; in the Kubernetes dialect none of Cilium's.
pub(crate) fn document(dialect: Dialect) -> BoxedStrategy<Value> {
    match dialect {
        Dialect::Kubernetes => prop_oneof![3 => network_policy(), 2 => tiers::policy()].boxed(),
        Dialect::Cilium | Dialect::Cilium119 => prop_oneof![
            4 => network_policy(),
            8 => cilium::policy("CiliumNetworkPolicy"),
            4 => cilium::policy("CiliumClusterwideNetworkPolicy"),
            2 => cilium::host_policy(),
            3 => cidr_group(),
            4 => tiers::policy(),
        ]
        .boxed(),
    }
}

/// An object of the fields that are there.
pub(crate) fn object(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

pub(crate) fn one_of(values: Vec<Value>) -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(values)
}

/// Some of a list's items, as a list, or no list.
pub(crate) fn some(
    item: impl Strategy<Value = Value> + 'static,
    most: usize,
) -> BoxedStrategy<Option<Value>> {
    prop::option::weighted(0.6, list(item, 0, most)).boxed()
}

pub(crate) fn list(
    item: impl Strategy<Value = Value> + 'static,
    least: usize,
    most: usize,
) -> BoxedStrategy<Value> {
    prop::collection::vec(item, least..=most).prop_map(Value::from).boxed()
}

/// A label selector with up to two expressions.
pub(crate) fn selector(labels: Vec<(&'static str, Vec<&'static str>)>) -> BoxedStrategy<Value> {
    let pair = prop::sample::select(labels.clone())
        .prop_flat_map(|(key, values)| prop::sample::select(values).prop_map(move |value| (key, value)));
    let matched =
        prop::option::weighted(0.5, pair).prop_map(|pair| pair.map(|(key, value)| json!({ key: value })));
    let expression =
        (prop::sample::select(labels), prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]))
            .prop_map(|((key, values), operator)| match operator {
                "In" | "NotIn" => json!({ "key": key, "operator": operator, "values": [values[0]] }),
                _ => json!({ "key": key, "operator": operator }),
            });
    let expressions = prop::option::weighted(0.3, list(expression, 1, 2));
    (matched, expressions)
        .prop_map(|(matched, expressions)| {
            object(vec![("matchLabels", matched), ("matchExpressions", expressions)])
        })
        .boxed()
}

pub(crate) fn pod_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("app", vec!["x", "y"]),
        ("tier", vec!["db", ""]),
        ("pod-template-hash", vec!["1"]),
        ("app.kubernetes.io/name", vec!["x"]),
    ]
}

pub(crate) fn namespace_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![("team", vec!["red", "blue"]), ("kubernetes.io/metadata.name", vec!["a", "b"])]
}

pub(crate) fn namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b"])
}

/// Prefixes with what may be left out of each.
pub(crate) const PREFIXES: [(&str, &[&str]); 8] = [
    ("203.0.113.0/24", &["203.0.113.5/32", "203.0.113.8/29"]),
    ("203.0.113.4/30", &["203.0.113.6/32"]),
    ("198.51.100.2/32", &[]),
    ("10.0.0.0/8", &["10.0.1.0/24", "10.0.0.0/30"]),
    ("10.0.1.11/32", &[]),
    ("0.0.0.0/0", &["203.0.113.0/24", "10.0.0.0/8"]),
    ("::/0", &["2001:db8:1::/48"]),
    ("2001:db8::/32", &["2001:db8:f::/48"]),
];

/// Names of groups of prefixes; of the last there is none.
const GROUPS: [&str; 4] = ["policy-0", "policy-1", "policy-2", "missing"];

/// One item of `toCIDRSet`: a prefix, or groups of them by name or by label, with exceptions.
pub(crate) fn cidr_set() -> BoxedStrategy<Value> {
    let cuts = || {
        let cuts = vec!["203.0.113.5/32", "203.0.113.0/29", "10.0.1.0/24"];
        prop::option::weighted(0.4, prop::sample::subsequence(cuts, 1..=2))
    };
    let by_name = (prop::sample::select(GROUPS.to_vec()), cuts()).prop_map(|(name, cuts)| {
        object(vec![("cidrGroupRef", Some(json!(name))), ("except", cuts.map(|cuts| json!(cuts)))])
    });
    let by_label = (selector(group_labels()), cuts()).prop_map(|(labels, cuts)| {
        object(vec![("cidrGroupSelector", Some(labels)), ("except", cuts.map(|cuts| json!(cuts)))])
    });
    prop_oneof![2 => block(), 1 => by_name, 1 => by_label].boxed()
}

fn group_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![("use", vec!["office", "cloud"]), ("io.cilium.policy.cidrgroupname/policy-0", vec![""])]
}

fn cidr_group() -> BoxedStrategy<Value> {
    let prefixes: Vec<_> = PREFIXES.iter().map(|(cidr, _)| *cidr).collect();
    let labels = prop::option::of(prop::sample::select(vec!["office", "cloud"]));
    (prop::sample::subsequence(prefixes, 0..=3), labels, any::<bool>())
        .prop_map(|(prefixes, word, new)| {
            json!({
                "apiVersion": if new { "cilium.io/v2" } else { "cilium.io/v2alpha1" },
                "kind": "CiliumCIDRGroup",
                "metadata": { "labels": word.map(|word| json!({ "use": word })) },
                "spec": { "externalCIDRs": prefixes },
            })
        })
        .boxed()
}

pub(crate) fn node_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![("zone", vec!["1", "2"])]
}

/// `{cidr, except}`.
fn block() -> BoxedStrategy<Value> {
    prop::sample::select(PREFIXES.to_vec())
        .prop_flat_map(|(cidr, excepts)| {
            let excepts = prop::sample::subsequence(excepts.to_vec(), 0..=excepts.len());
            excepts.prop_map(move |excepts| match excepts.as_slice() {
                [] => json!({ "cidr": cidr }),
                excepts => json!({ "cidr": cidr, "except": excepts }),
            })
        })
        .boxed()
}

fn network_policy() -> BoxedStrategy<Value> {
    let selecting = |labels| prop::option::weighted(0.6, selector(labels));
    let peer = prop_oneof![
        selector(pod_labels()).prop_map(|pods| json!({ "podSelector": pods })),
        (selector(namespace_labels()), selecting(pod_labels())).prop_map(|(namespaces, pods)| {
            object(vec![("namespaceSelector", Some(namespaces)), ("podSelector", pods)])
        }),
        block().prop_map(|block| json!({ "ipBlock": block })),
    ];
    let port = one_of(vec![
        json!({}),
        json!({ "protocol": "UDP" }),
        json!({ "protocol": "SCTP" }),
        json!({ "port": 80 }),
        json!({ "port": "http" }),
        json!({ "port": "http", "protocol": "UDP" }),
        json!({ "port": 80, "endPort": 90 }),
        json!({ "port": 81, "endPort": 9000, "protocol": "TCP" }),
        json!({ "port": 53, "protocol": "UDP" }),
    ]);
    let rule = |peers: &'static str| {
        (some(peer.clone(), 2), some(port.clone(), 2))
            .prop_map(move |(of, ports)| object(vec![(peers, of), ("ports", ports)]))
    };
    let types =
        prop::option::of(one_of(vec![json!(["Ingress"]), json!(["Egress"]), json!(["Ingress", "Egress"])]));
    (namespace(), selecting(pod_labels()), types, some(rule("from"), 2), some(rule("to"), 2))
        .prop_map(|(namespace, pods, types, ingress, egress)| {
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": { "namespace": namespace },
                "spec": object(vec![
                    ("podSelector", pods),
                    ("policyTypes", types),
                    ("ingress", ingress),
                    ("egress", egress),
                ]),
            })
        })
        .boxed()
}
