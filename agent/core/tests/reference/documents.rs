//! Random policy documents that an API server would take, as JSON values.

use egret_core::rule::Dialect;
use egret_core::spec::{Document, PolicyKind};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Reads a value as the document that it says it is.
pub(crate) fn read(value: &Value) -> Document {
    let text = |key: &str| value[key].as_str().unwrap();
    let kind = PolicyKind::of(text("apiVersion"), text("kind")).unwrap();
    Document::deserialize_kind(kind, value).unwrap()
}

/// One document; in the Kubernetes dialect a NetworkPolicy.
pub(crate) fn document(dialect: Dialect) -> BoxedStrategy<Value> {
    match dialect {
        Dialect::Kubernetes => network_policy().boxed(),
        Dialect::Cilium | Dialect::Cilium119 => prop_oneof![
            2 => network_policy(),
            4 => cilium_policy("CiliumNetworkPolicy"),
            2 => cilium_policy("CiliumClusterwideNetworkPolicy"),
        ]
        .boxed(),
    }
}

/// An object of the fields that are there.
fn object(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn one_of(values: Vec<Value>) -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(values)
}

/// Some of a list's items, as a list, or no list.
fn some(item: impl Strategy<Value = Value> + 'static, most: usize) -> BoxedStrategy<Option<Value>> {
    prop::option::weighted(0.6, list(item, 0, most)).boxed()
}

fn list(item: impl Strategy<Value = Value> + 'static, least: usize, most: usize) -> BoxedStrategy<Value> {
    prop::collection::vec(item, least..=most).prop_map(Value::from).boxed()
}

/// A label selector with up to two expressions.
fn selector(labels: Vec<(&'static str, Vec<&'static str>)>) -> BoxedStrategy<Value> {
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

fn pod_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("app", vec!["x", "y"]),
        ("tier", vec!["db", ""]),
        ("pod-template-hash", vec!["1"]),
        ("app.kubernetes.io/name", vec!["x"]),
    ]
}

fn namespace_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![("team", vec!["red", "blue"]), ("kubernetes.io/metadata.name", vec!["a", "b"])]
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b"])
}

/// Prefixes with what may be left out of each.
const PREFIXES: [(&str, &[&str]); 8] = [
    ("203.0.113.0/24", &["203.0.113.5/32", "203.0.113.8/29"]),
    ("203.0.113.4/30", &["203.0.113.6/32"]),
    ("198.51.100.2/32", &[]),
    ("10.0.0.0/8", &["10.0.1.0/24", "10.0.0.0/30"]),
    ("10.0.1.11/32", &[]),
    ("0.0.0.0/0", &["203.0.113.0/24", "10.0.0.0/8"]),
    ("::/0", &["2001:db8:1::/48"]),
    ("2001:db8::/32", &["2001:db8:f::/48"]),
];

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

fn cilium_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("app", vec!["x", "y"]),
        ("k8s:app", vec!["x"]),
        ("any:tier", vec!["db", ""]),
        ("k8s:pod-template-hash", vec!["1"]),
        ("io.kubernetes.pod.namespace", vec!["a", "b"]),
        ("k8s:io.cilium.k8s.namespace.labels.team", vec!["red", "blue"]),
        ("io.cilium.k8s.policy.serviceaccount", vec!["default"]),
    ]
}

fn peer_labels() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut labels = cilium_labels();
    labels.extend([
        ("reserved:host", vec![""]),
        ("reserved:remote-node", vec![""]),
        ("reserved:world", vec![""]),
    ]);
    labels
}

/// At most one of the peer fields, all of which a direction has.
fn peers(
    fields: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Vec<(&'static str, Option<Value>)>> {
    let one = prop::sample::select(fields)
        .prop_flat_map(|(key, item)| list(item, 0, 2).prop_map(move |list| vec![(key, Some(list))]));
    prop_oneof![1 => Just(Vec::new()), 6 => one].boxed()
}

fn cidr() -> BoxedStrategy<Value> {
    one_of(PREFIXES.iter().map(|(cidr, _)| json!(cidr)).collect()).boxed()
}

fn entity() -> BoxedStrategy<Value> {
    let words = ["all", "world", "cluster", "host", "remote-node", "kube-apiserver", "init", "none"];
    one_of(words.map(Value::from).to_vec()).boxed()
}

fn name() -> BoxedStrategy<Value> {
    one_of(vec![
        json!({ "matchName": "a.com" }),
        json!({ "matchName": "C.net." }),
        json!({ "matchPattern": "*.a.com" }),
        json!({ "matchPattern": "**.a.com" }),
        json!({ "matchPattern": "*" }),
        json!({ "matchPattern": "w*w.a.*" }),
    ])
    .boxed()
}

fn service() -> BoxedStrategy<Value> {
    one_of(vec![
        json!({ "k8sService": { "serviceName": "web" } }),
        json!({ "k8sService": { "serviceName": "web", "namespace": "b" } }),
        json!({ "k8sService": { "serviceName": "manual", "namespace": "b" } }),
        json!({ "k8sService": { "serviceName": "missing", "namespace": "a" } }),
    ])
    .boxed()
}

/// What a rule may look into: deny rules nothing, DNS is for egress alone.
#[derive(Clone, Copy)]
enum Layer7 {
    No,
    AtIngress,
    AtEgress,
}

/// `toPorts` and `icmps`, of which at most one is there.
fn ports(layer7: Layer7) -> BoxedStrategy<Vec<(&'static str, Option<Value>)>> {
    let port = one_of(vec![
        json!({ "port": "0" }),
        json!({ "port": "0", "protocol": "UDP" }),
        json!({ "port": "80" }),
        json!({ "port": "80", "protocol": "TCP" }),
        json!({ "port": "80", "endPort": 90, "protocol": "TCP" }),
        json!({ "port": "80", "endPort": 70, "protocol": "ANY" }),
        json!({ "port": "HTTP", "protocol": "TCP" }),
        json!({ "port": "53", "protocol": "UDP" }),
        json!({ "port": "1", "endPort": 65535 }),
        json!({ "port": "80", "protocol": "SCTP" }),
    ]);
    let item = prop::option::weighted(0.9, list(port, 0, 2)).prop_map(|ports| object(vec![("ports", ports)]));
    let server = one_of(vec![
        json!({ "port": "53", "protocol": "UDP" }),
        json!({ "port": "53" }),
        json!({ "port": "http", "protocol": "TCP" }),
    ]);
    let asking = (list(server, 1, 1), list(name(), 1, 1))
        .prop_map(|(ports, names)| json!({ "ports": ports, "rules": { "dns": names } }));
    let looking = one_of(vec![
        json!({ "ports": [{ "port": "81", "protocol": "TCP" }], "rules": { "http": [{ "method": "GET" }] } }),
        json!({ "ports": [{ "port": "85", "protocol": "TCP" }], "serverNames": ["*.a.com"] }),
    ]);
    let item = match layer7 {
        Layer7::No => item.boxed(),
        Layer7::AtIngress => prop_oneof![2 => item, 1 => looking].boxed(),
        Layer7::AtEgress => prop_oneof![2 => item, 1 => asking, 1 => looking].boxed(),
    };
    let field = one_of(vec![
        json!({ "type": 8 }),
        json!({ "type": 0 }),
        json!({ "type": "EchoRequest", "family": "IPv6" }),
        json!({ "type": "3", "family": "IPv4" }),
    ]);
    let icmp = list(field, 1, 2).prop_map(|fields| json!({ "fields": fields }));
    prop_oneof![
        4 => Just(Vec::new()),
        6 => list(item, 0, 3).prop_map(|items| vec![("toPorts", Some(items))]),
        1 => list(icmp, 0, 2).prop_map(|items| vec![("icmps", Some(items))]),
    ]
    .boxed()
}

fn cilium_rule(prefix: &'static str, allow: bool) -> BoxedStrategy<Value> {
    let key = |to: &'static str, from: &'static str| if prefix == "to" { to } else { from };
    let mut fields = vec![
        (key("toEndpoints", "fromEndpoints"), selector(peer_labels())),
        (key("toEndpoints", "fromEndpoints"), selector(peer_labels())),
        (key("toCIDR", "fromCIDR"), cidr()),
        (key("toCIDRSet", "fromCIDRSet"), block()),
        (key("toEntities", "fromEntities"), entity()),
    ];
    let layer7 = match (prefix, allow) {
        (_, false) => Layer7::No,
        ("to", true) => Layer7::AtEgress,
        (_, true) => Layer7::AtIngress,
    };
    if matches!(layer7, Layer7::AtEgress) {
        fields.extend([("toFQDNs", name()), ("toServices", service())]);
    }
    (peers(fields), ports(layer7))
        .prop_map(|(mut fields, ports)| {
            fields.extend(ports);
            object(fields)
        })
        .boxed()
}

fn cilium_spec() -> BoxedStrategy<Value> {
    let lists = (
        some(cilium_rule("from", true), 2),
        some(cilium_rule("from", false), 1),
        some(cilium_rule("to", true), 2),
        some(cilium_rule("to", false), 1),
    );
    let switch =
        prop::option::weighted(0.3, (prop::option::of(any::<bool>()), prop::option::of(any::<bool>())));
    let subject = prop_oneof![2 => Just(json!({})), 1 => selector(cilium_labels())];
    (subject, lists, switch)
        .prop_map(|(subject, (ingress, ingress_deny, mut egress, egress_deny), switch)| {
            let rules = [&ingress, &ingress_deny, &egress, &egress_deny];
            if rules.iter().all(|list| list.as_ref().is_none_or(|list| list == &json!([]))) {
                // A policy must have some rule.
                egress = Some(json!([{}]));
            }
            let switch = switch.map(|(ingress, egress)| {
                object(vec![("ingress", ingress.map(Value::from)), ("egress", egress.map(Value::from))])
            });
            object(vec![
                ("endpointSelector", Some(subject)),
                ("ingress", ingress),
                ("ingressDeny", ingress_deny),
                ("egress", egress),
                ("egressDeny", egress_deny),
                ("enableDefaultDeny", switch),
            ])
        })
        .boxed()
}

fn cilium_policy(kind: &'static str) -> BoxedStrategy<Value> {
    let specs = prop::option::weighted(0.2, list(cilium_spec(), 1, 2));
    (namespace(), cilium_spec(), specs)
        .prop_map(move |(namespace, spec, specs)| {
            let mut document = object(vec![
                ("apiVersion", Some(json!("cilium.io/v2"))),
                ("kind", Some(json!(kind))),
                ("metadata", Some(json!({}))),
                ("spec", Some(spec)),
                ("specs", specs),
            ]);
            if kind == "CiliumNetworkPolicy" {
                document["metadata"]["namespace"] = namespace.into();
            }
            document
        })
        .boxed()
}
