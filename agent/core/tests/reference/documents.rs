//! Random policy documents that an API server would take, as JSON values.

use egret_core::rule::Dialect;
use egret_core::spec::{Document, PolicyKind};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::tiers;

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
            8 => cilium_policy("CiliumNetworkPolicy"),
            4 => cilium_policy("CiliumClusterwideNetworkPolicy"),
            2 => host_policy(),
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

fn namespace() -> impl Strategy<Value = &'static str> {
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
fn cidr_set() -> BoxedStrategy<Value> {
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

fn node_labels() -> Vec<(&'static str, Vec<&'static str>)> {
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
        ("node:zone", vec!["1", "2"]),
        ("io.cilium.k8s.policy.cluster", vec!["default"]),
    ]);
    labels
}

/// At most one of the peer fields, all of which a direction has.
fn peers(
    fields: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> BoxedStrategy<Vec<(&'static str, Option<Value>)>> {
    let one = prop::sample::select(fields)
        .prop_flat_map(|(key, item)| list(item, 0, 2).prop_map(move |list| vec![(key, Some(list))]));
    prop_oneof![1 => Just(Vec::new()), 4 => one].boxed()
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
        json!({ "k8sService": { "serviceName": "empty", "namespace": "" } }),
        json!({ "k8sServiceSelector": { "selector": { "matchLabels": { "kind": "web" } } } }),
        json!({ "k8sServiceSelector": { "selector": { "matchLabels": { "k8s:kind": "manual" } }, "namespace": "b" } }),
        json!({ "k8sServiceSelector": {
            "selector": { "matchExpressions": [{ "key": "kind", "operator": "NotIn", "values": ["web"] }] },
            "namespace": "a",
        } }),
    ])
    .boxed()
}

/// What a rule may look into: deny rules and nodes nothing, DNS is for egress alone.
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
        json!({ "port": "81", "protocol": "TCP" }),
        json!({ "port": "85", "protocol": "TCP" }),
        json!({ "protocol": "GRE" }),
    ]);
    let item = prop::option::weighted(0.9, list(port, 0, 2)).prop_map(|ports| object(vec![("ports", ports)]));
    let server = one_of(vec![
        json!({ "port": "53", "protocol": "UDP" }),
        json!({ "port": "53" }),
        json!({ "port": "http", "protocol": "TCP" }),
    ]);
    let asking = (list(server, 1, 1), list(name(), 1, 1))
        .prop_map(|(ports, names)| json!({ "ports": ports, "rules": { "dns": names } }));
    let requests = one_of(vec![
        json!({ "method": "GET" }),
        json!({ "path": "/public" }),
        json!({ "method": "GET|POST", "path": "/(a|public)(/b)?" }),
        json!({ "host": "a[.]com" }),
        json!({ "headers": ["x-token"] }),
        json!({ "headers": ["X-Token: 42"], "path": "" }),
        json!({ "headerMatches": [{ "name": "x-token", "value": "42" }] }),
        json!({ "headerMatches": [{ "name": "x-trace", "value": "1", "mismatch": "LOG" }], "method": "POST" }),
        json!({ "headerMatches": [{ "name": "x-token", "secret": { "name": "s" } }] }),
        json!({}),
    ]);
    let http = list(requests, 0, 2).prop_map(
        |requests| json!({ "ports": [{ "port": "81", "protocol": "TCP" }], "rules": { "http": requests } }),
    );
    let servers = prop::sample::subsequence(vec!["a.com", "*.a.com", "**.a.com", "*"], 1..=2);
    let tls = servers
        .prop_map(|names| json!({ "ports": [{ "port": "85", "protocol": "TCP" }], "serverNames": names }));
    let both = one_of(vec![
        json!({ "ports": [{ "port": "80", "endPort": 90, "protocol": "TCP" }], "rules": { "http": [{ "path": "/a/b" }] } }),
        json!({ "ports": [{ "port": "81", "protocol": "TCP" }], "serverNames": ["www.a.com"] }),
    ]);
    let looking = prop_oneof![3 => http, 3 => tls, 1 => both];
    let item = match layer7 {
        Layer7::No => item.boxed(),
        Layer7::AtIngress => prop_oneof![1 => item, 1 => looking].boxed(),
        Layer7::AtEgress => prop_oneof![2 => item, 1 => asking, 2 => looking].boxed(),
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

fn cilium_rule(prefix: &'static str, allow: bool, host: bool) -> BoxedStrategy<Value> {
    let key = |to: &'static str, from: &'static str| if prefix == "to" { to } else { from };
    let mut fields = vec![
        (key("toEndpoints", "fromEndpoints"), selector(peer_labels())),
        (key("toEndpoints", "fromEndpoints"), selector(peer_labels())),
        (key("toCIDR", "fromCIDR"), cidr()),
        (key("toCIDRSet", "fromCIDRSet"), cidr_set()),
        (key("toEntities", "fromEntities"), entity()),
        (key("toNodes", "fromNodes"), selector(node_labels())),
    ];
    let layer7 = match (prefix, allow && !host) {
        (_, false) => Layer7::No,
        ("to", true) => Layer7::AtEgress,
        (_, true) => Layer7::AtIngress,
    };
    if prefix == "to" {
        fields.push(("toServices", service()));
    }
    if prefix == "to" && allow {
        fields.push(("toFQDNs", name()));
    }
    (peers(fields), ports(layer7))
        .prop_map(|(mut fields, ports)| {
            fields.extend(ports);
            object(fields)
        })
        .boxed()
}

/// One spec, for pods or for nodes.
fn cilium_spec(host: bool) -> BoxedStrategy<Value> {
    let lists = (
        some(cilium_rule("from", true, host), 2),
        some(cilium_rule("from", false, host), 1),
        some(cilium_rule("to", true, host), 2),
        some(cilium_rule("to", false, host), 1),
    );
    let switch =
        prop::option::weighted(0.3, (prop::option::of(any::<bool>()), prop::option::of(any::<bool>())));
    let labels = if host { node_labels() } else { cilium_labels() };
    let subject = prop_oneof![2 => Just(json!({})), 1 => selector(labels)];
    (subject, lists, switch)
        .prop_map(move |(subject, (ingress, ingress_deny, mut egress, egress_deny), switch)| {
            let rules = [&ingress, &ingress_deny, &egress, &egress_deny];
            if rules.iter().all(|list| list.as_ref().is_none_or(|list| list == &json!([]))) {
                // A policy must have some rule.
                egress = Some(json!([{}]));
            }
            let switch = switch.map(|(ingress, egress)| {
                object(vec![("ingress", ingress.map(Value::from)), ("egress", egress.map(Value::from))])
            });
            object(vec![
                (if host { "nodeSelector" } else { "endpointSelector" }, Some(subject)),
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
    let specs = prop::option::weighted(0.2, list(cilium_spec(false), 1, 2));
    (namespace(), cilium_spec(false), specs)
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

fn host_policy() -> BoxedStrategy<Value> {
    cilium_spec(true)
        .prop_map(|spec| {
            json!({
                "apiVersion": "cilium.io/v2",
                "kind": "CiliumClusterwideNetworkPolicy",
                "metadata": {},
                "spec": spec,
            })
        })
        .boxed()
}
