//! Random policies in tiers: ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::documents::{PREFIXES, list, namespace_labels, object, one_of, pod_labels, selector, some};

/// What differs between the versions of the API.
#[derive(Clone, Copy)]
enum Version {
    Cluster,
    Admin,
    Baseline,
}

pub(crate) fn policy() -> BoxedStrategy<Value> {
    prop_oneof![
        5 => written(Version::Cluster),
        2 => written(Version::Admin),
        1 => written(Version::Baseline),
    ]
    .boxed()
}

fn written(version: Version) -> BoxedStrategy<Value> {
    let subject = prop_oneof![
        2 => Just(json!({ "namespaces": {} })),
        1 => selector(namespace_labels()).prop_map(|namespaces| json!({ "namespaces": namespaces })),
        1 => pods().prop_map(|pods| json!({ "pods": pods })),
    ];
    let tier = prop::sample::select(vec!["Admin", "Admin", "Baseline"]);
    // Few numbers, so that policies also share one.
    let order = (tier, prop::sample::select(vec![0, 1, 1000]));
    (subject, some(rule(version, "from"), 3), some(rule(version, "to"), 3), order)
        .prop_map(move |(subject, ingress, egress, (tier, priority))| {
            let (api, kind) = match version {
                Version::Cluster => ("v1alpha2", "ClusterNetworkPolicy"),
                Version::Admin => ("v1alpha1", "AdminNetworkPolicy"),
                Version::Baseline => ("v1alpha1", "BaselineAdminNetworkPolicy"),
            };
            let is_cluster = matches!(version, Version::Cluster);
            let has_priority = !matches!(version, Version::Baseline);
            json!({
                "apiVersion": format!("policy.networking.k8s.io/{api}"),
                "kind": kind,
                "metadata": {},
                "spec": object(vec![
                    ("tier", is_cluster.then(|| json!(tier))),
                    ("priority", has_priority.then(|| json!(priority))),
                    ("subject", Some(subject)),
                    ("ingress", ingress),
                    ("egress", egress),
                ]),
            })
        })
        .boxed()
}

fn pods() -> BoxedStrategy<Value> {
    let namespaces = prop::option::of(selector(namespace_labels()));
    let by_labels = (namespaces, selector(pod_labels())).prop_map(|(namespaces, pods)| {
        object(vec![("namespaceSelector", namespaces), ("podSelector", Some(pods))])
    });
    let reserved =
        json!({ "podSelector": { "matchExpressions": [{ "key": "reserved:host", "operator": "Exists" }] } });
    prop_oneof![5 => by_labels, 1 => Just(reserved)].boxed()
}

fn rule(version: Version, field: &'static str) -> BoxedStrategy<Value> {
    let actions = match version {
        Version::Cluster => vec!["Accept", "Deny", "Pass"],
        Version::Admin => vec!["Allow", "Deny", "Pass"],
        Version::Baseline => vec!["Allow", "Deny"],
    };
    let own = prop_oneof![
        1 => Just(json!({ "namespaces": {} })),
        2 => selector(namespace_labels()).prop_map(|namespaces| json!({ "namespaces": namespaces })),
        2 => pods().prop_map(|pods| json!({ "pods": pods })),
    ];
    let zones = selector(vec![("zone", vec!["1", "2"])]).prop_map(|nodes| json!({ "nodes": nodes }));
    let prefixes: Vec<_> = PREFIXES.iter().map(|(cidr, _)| *cidr).collect();
    let networks =
        prop::sample::subsequence(prefixes, 1..=2).prop_map(|networks| json!({ "networks": networks }));
    let plain = prop_oneof![2 => own.clone(), 1 => zones, 2 => networks];
    let names = one_of(vec![
        json!({ "domainNames": ["a.com"] }),
        json!({ "domainNames": ["*.a.com", "C.net."] }),
        json!({ "domainNames": ["www.a.com"] }),
    ]);
    let with = move |peers: BoxedStrategy<Value>, named| {
        (peers, prop::option::weighted(0.6, ports(version, named))).boxed()
    };
    (prop::sample::select(actions), any::<u8>())
        .prop_flat_map(move |(action, which)| {
            let accepts = action == "Accept" || action == "Allow";
            let parts = match (field, which % 4) {
                // Peers without named ports stand in rules without such ports, names in rules that accept.
                ("to", 0) if accepts => with(list(names.clone(), 1, 1), false),
                ("to", 1 | 2) => with(list(plain.clone(), 1, 2), false),
                _ => with(list(own.clone(), 1, 2), true),
            };
            parts.prop_map(move |(peers, ports)| {
                let key = if matches!(version, Version::Cluster) { "protocols" } else { "ports" };
                object(vec![("action", Some(json!(action))), (field, Some(peers)), (key, ports)])
            })
        })
        .boxed()
}

fn ports(version: Version, named: bool) -> BoxedStrategy<Value> {
    let (mut items, name) = match version {
        Version::Cluster => (
            vec![
                json!({ "tcp": { "destinationPort": { "number": 80 } } }),
                json!({ "tcp": { "destinationPort": { "range": { "start": 80, "end": 90 } } } }),
                json!({ "udp": { "destinationPort": { "number": 53 } } }),
                json!({ "sctp": { "destinationPort": { "range": { "start": 1, "end": 65535 } } } }),
            ],
            json!({ "destinationNamedPort": "http" }),
        ),
        Version::Admin | Version::Baseline => (
            vec![
                json!({ "portNumber": { "port": 80 } }),
                json!({ "portNumber": { "port": 53, "protocol": "UDP" } }),
                json!({ "portRange": { "start": 80, "end": 90, "protocol": "TCP" } }),
            ],
            json!({ "namedPort": "http" }),
        ),
    };
    items.extend(named.then_some(name));
    list(one_of(items), 1, 2)
}
