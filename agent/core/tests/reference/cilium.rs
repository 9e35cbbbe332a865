//! Random policies of Cilium, as JSON values.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::documents::{PREFIXES, cidr_set, list, namespace, node_labels, object, one_of, selector, some};

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

pub(crate) fn policy(kind: &'static str) -> BoxedStrategy<Value> {
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

pub(crate) fn host_policy() -> BoxedStrategy<Value> {
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
