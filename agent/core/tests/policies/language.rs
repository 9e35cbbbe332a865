//! What policies mean beyond addresses and ports: HTTP, server names, groups of prefixes, nodes, services by label,
//! and where Cilium 1.19 reads otherwise.

use egret_core::rule::Dialect;
use rstest::rstest;

use crate::semantics::{DENIED_IN, DENIED_OUT, DROPPED_IN, DROPPED_OUT, check};
use crate::world::{cnp, group, host, knp, named_cnp, policies};

/// An ingress rule for HTTP on port 80.
fn http(peers: &str, rules: &str) -> String {
    format!(
        "{{ {peers}toPorts: [{{ ports: [{{ port: '80', protocol: TCP }}], rules: {{ http: [{rules}] }} }}] }}"
    )
}

const FROM_P1: &str = "fromEndpoints: [{ matchLabels: { app: x } }], ";

/// Vector 21's rule with others beside it.
fn public(others: &str) -> String {
    cnp(&format!("ingress: [{}{others}]", http(FROM_P1, "{ method: GET, path: /public }")))
}

#[rstest]
#[case::v21(public(""), &[
    ("a/p1 -> GET a/s:80 /public", "ok"),
    ("a/p1 -> GET a/s:80 /public?x", "http 403"),
    ("a/p1 -> POST a/s:80 /public", "http 403"),
    ("a/p1 -> TLS a/s:80", "reset"),
])]
#[case::v22(public(&format!(", {{ {FROM_P1}toPorts: [{{ ports: [{{ port: '80', protocol: TCP }}] }}] }}")), &[
    ("a/p1 -> POST a/s:80 /x", "ok"),
])]
#[case::v22_other_selector(public(", { toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }"), &[
    ("a/p1 -> POST a/s:80 /x", "ok"),
    ("b/p2 -> POST a/s:80 /x", "ok"),
])]
#[case::v22_range(public(", { toPorts: [{ ports: [{ port: '70', endPort: 90, protocol: TCP }] }] }"), &[
    ("a/p1 -> POST a/s:80 /x", "ok"),
])]
#[case::v23(public(&format!(", {{ {} }}", FROM_P1.trim_end_matches(", "))), &[("a/p1 -> POST a/s:80 /x", "ok")])]
#[case::v24(format!("{}{}", public(""), named_cnp("deny", &format!("ingressDeny: [{{ {FROM_P1}toPorts: [{{ ports: [{{ port: '80' }}] }}] }}]"))), &[
    ("a/p1 -> GET a/s:80 /public", DENIED_IN),
])]
#[case::v25(public(""), &[("b/p2 -> GET a/s:80 /public", DROPPED_IN)])]
#[case::other_port_does_not_open(public(", { toPorts: [{ ports: [{ port: '81', protocol: TCP }] }] }"), &[
    ("a/p1 -> POST a/s:80 /x", "http 403"),
])]
#[case::own_node(public(", { fromEntities: [cluster], toPorts: [{ ports: [{ port: '81' }] }] }"), &[("node node-1 -> POST a/s:80 /x", "ok")])]
#[case::no_default_deny(public("").replace("ingress: [", "enableDefaultDeny: { ingress: false }, ingress: ["), &[
    ("a/p1 -> POST a/s:80 /x", "ok"),
    ("b/p2 -> GET a/s:80 /", "ok"),
])]
#[case::named_port(cnp("ingress: [{ toPorts: [{ ports: [{ port: http, protocol: TCP }], rules: { http: [{ path: /a }] } }] }]"), &[
    ("a/p1 -> GET a/s:8080 /a", "ok"),
    ("a/p1 -> GET a/s:8080 /b", "http 403"),
    ("a/p1 -> GET a/s:80 /a", DROPPED_IN),
])]
#[case::range(cnp("ingress: [{ toPorts: [{ ports: [{ port: '80', endPort: 85, protocol: TCP }], rules: { http: [{ path: /a }] } }] }]"), &[
    ("a/p1 -> GET a/s:81 /a", "ok"),
    ("a/p1 -> GET a/s:85 /b", "http 403"),
])]
#[case::headers(cnp(&format!("ingress: [{}]", http("", "{ headers: [X-Key, 'X-Value: 1'] }"))), &[
    ("a/p1 -> GET a/s:80 / X-Key=0 X-Value=1", "ok"),
    ("a/p1 -> GET a/s:80 / x-key=0 x-value=1", "ok"),
    ("a/p1 -> GET a/s:80 / X-Value=1", "http 403"),
    ("a/p1 -> GET a/s:80 / X-Key=0 X-Value=2", "http 403"),
])]
#[case::mismatches(cnp(&format!("ingress: [{}]", http("", "{ headerMatches: [{ name: X-A, value: '1', mismatch: REPLACE }, { name: X-B, value: '2' }] }"))), &[
    ("a/p1 -> GET a/s:80 / X-B=2", "ok"),
    ("a/p1 -> GET a/s:80 / X-A=1", "http 403"),
])]
#[case::egress(cnp("egress: [{ toEndpoints: [{ matchLabels: { app: x } }], toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ host: '10[.]0[.]1[.]11' }] } }] }]"), &[
    ("a/s -> GET a/p1:80 /", "ok"),
    ("a/s -> GET a/p1:81 /", DROPPED_OUT),
])]
#[case::nobody_behind_the_proxy(cnp("egress: [{ toPorts: [{ ports: [{ port: '82', protocol: TCP }], rules: { http: [{}] } }] }]"), &[
    ("a/s -> GET a/p1:82 /", "http 503"),
])]
#[case::empty_list(cnp("ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [] } }] }]"), &[("a/p1 -> TLS a/s:80", "reset"), ("a/p1 -> POST a/s:80 /", "ok")])]
fn requests(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

/// An allow to TLS servers by name, with DNS open.
fn server_names(names: &str, others: &str) -> String {
    cnp(&format!(
        "egress: [{{ toEntities: [world], toPorts: [{{ ports: [{{ port: '443', protocol: TCP }}], serverNames: [{names}] }}] }}, \
         {{ toEntities: [cluster] }}{others}]"
    ))
}

#[rstest]
#[case::v42(server_names("www.a.com", ""), &[
    ("a/s -> https://www.a.com", "ok"),
    ("a/s -> https://WWW.A.com.", "ok"),
    ("a/s -> https://c.net", "reset"),
    ("a/s -> TLS 198.51.100.1:443", "reset"),
    ("a/s -> GET 198.51.100.1:443 /", "reset"),
    ("a/s -> http://www.a.com", DROPPED_OUT),
])]
#[case::star(server_names("'*.a.com'", ""), &[
    ("a/s -> https://www.a.com", "ok"),
    ("a/s -> https://a.com", "reset"),
    ("a/s -> https://y.x.a.com", "reset"),
])]
#[case::stars(server_names("'**.a.com', c.net", ""), &[
    ("a/s -> https://y.x.a.com", "ok"),
    ("a/s -> https://c.net", "ok"),
])]
#[case::same_peers_stay_tls(server_names("www.a.com", ", { toEntities: [world], toPorts: [{ ports: [{ port: '443', protocol: TCP }] }] }"), &[
    ("a/s -> https://c.net", "reset"),
])]
#[case::other_peers_open(server_names("www.a.com", ", { toCIDR: [0.0.0.0/0] }"), &[("a/s -> https://c.net", "ok")])]
fn handshakes(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

fn groups() -> String {
    group("v2", "one", "x", "203.0.113.4/31, '2001:db8::/32'")
        + &group("v2alpha1", "two", "y", "203.0.113.6/32")
}

#[rstest]
#[case::by_name(groups() + &cnp("egress: [{ toCIDRSet: [{ cidrGroupRef: one }] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
    ("a/s -> 203.0.113.6:80", DROPPED_OUT),
])]
#[case::except(groups() + &cnp("egress: [{ toCIDRSet: [{ cidrGroupRef: one, except: [203.0.113.5/32] }] }]"), &[
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
])]
#[case::by_label(groups() + &cnp("egress: [{ toCIDRSet: [{ cidrGroupSelector: { matchLabels: { zone: y } } }] }]"), &[
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
    ("a/s -> 203.0.113.6:80", "ok"),
])]
#[case::denied(groups() + &cnp("egress: [{ toEntities: [world] }], egressDeny: [{ toCIDRSet: [{ cidrGroupRef: two }] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
    ("a/s -> 203.0.113.6:80", DENIED_OUT),
])]
#[case::absent(groups() + &cnp("egress: [{ toCIDRSet: [{ cidrGroupRef: three }] }]"), &[("a/s -> 203.0.113.5:80", DROPPED_OUT)])]
#[case::r4(groups() + &cnp("egress: [{ toCIDRSet: [{ cidrGroupSelector: { matchExpressions: [{ key: zone, operator: NotIn, values: [x] }] } }] }]"), &[
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
    ("a/s -> 203.0.113.6:80", "ok"),
    ("a/s -> 140.82.121.6:80", "ok"),
    ("a/s -> a/p1:80", DROPPED_OUT),
    ("a/s -> node node-1:8000", DROPPED_OUT),
])]
fn prefix_groups(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

#[rstest]
#[case::from_nodes(cnp("ingress: [{ fromNodes: [{ matchLabels: { zone: node-2 } }] }]"), &[
    ("node node-2 -> a/s:80", "ok"),
    ("a/p1 -> a/s:80", DROPPED_IN),
])]
#[case::from_other_nodes(cnp("ingress: [{ fromNodes: [{ matchLabels: { zone: node-3 } }] }]"), &[("node node-2 -> a/s:80", DROPPED_IN)])]
#[case::never_the_own(cnp("egress: [{ toNodes: [{}] }]"), &[
    ("a/s -> node node-1:8000", DROPPED_OUT),
    ("a/s -> node node-2:8000", "refused"),
])]
#[case::host_ingress(host("ingress: [{ fromEntities: [cluster], toPorts: [{ ports: [{ port: '22' }] }] }]"), &[
    ("a/s -> node node-1:8000", DROPPED_IN),
    ("b/p2 -> node node-1:22", "refused"),
    ("node node-2 -> node node-1:8000", DROPPED_IN),
    ("203.0.113.5 -> node node-1:22", DROPPED_IN),
    // The policy is not for pods, nor for what nodes begin themselves.
    ("203.0.113.5 -> a/s:80", "ok"),
    ("node node-1 -> a/s:80", "ok"),
])]
#[case::host_egress(host("egress: [{ toEntities: [cluster] }], egressDeny: [{ toPorts: [{ ports: [{ port: '81' }] }] }]"), &[
    ("node node-1 -> a/s:80", "ok"),
    ("b/host -> a/s:81", DENIED_OUT),
    ("node node-1 -> 203.0.113.5:80", DROPPED_OUT),
    ("a/s -> 203.0.113.5:80", "ok"),
])]
#[case::services_by_label(cnp("egress: [{ toServices: [{ k8sServiceSelector: { selector: { matchLabels: { app: x } }, namespace: a } }] }]"), &[
    ("a/s -> a/p1:80", "ok"),
    ("a/s -> b/p2:80", DROPPED_OUT),
])]
#[case::services_in_deny(cnp("egress: [{ toEntities: [all] }], egressDeny: [{ toServices: [{ k8sService: { serviceName: web } }] }]"), &[
    ("a/s -> a/p1:80", "ok"),
])]
#[case::services_in_deny_with_ports(cnp("egress: [{ toEntities: [all] }], egressDeny: [{ toServices: [{ k8sService: { serviceName: web } }], toPorts: [{ ports: [{ port: '80' }] }] }]"), &[
    ("a/s -> 203.0.113.5:80", DENIED_OUT),
    ("a/s -> a/p1:81", "ok"),
])]
#[case::groups_of_clouds(cnp("egress: [{ toGroups: [{ aws: { securityGroupsIds: [sg-1] } }] }]"), &[("a/s -> 203.0.113.5:80", DROPPED_OUT)])]
#[case::protocols_without_ports(cnp("ingress: [{ toPorts: [{ ports: [{ protocol: GRE }, { port: '0', protocol: VRRP }] }] }]"), &[("a/p1 -> a/s:80", DROPPED_IN)])]
fn peers(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

/// The rows of section 15 in which 1.19 and 1.20 differ, each in both.
#[rstest]
#[case::r1(
    knp("ingress: [{ from: [{ ipBlock: { cidr: 203.0.113.5/32 } }] }]"),
    &[("a/p1 -> a/s:80", "ok"), ("b/p2 -> a/s:80", DROPPED_IN), ("203.0.113.5 -> a/s:80", "ok")],
    &[("a/p1 -> a/s:80", DROPPED_IN), ("b/p2 -> a/s:80", DROPPED_IN), ("203.0.113.5 -> a/s:80", "ok")]
)]
#[case::r1_egress(
    knp("policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 203.0.113.5/32 } }] }]"),
    &[("a/s -> a/p1:80", DROPPED_OUT)],
    &[("a/s -> a/p1:80", DROPPED_OUT)]
)]
#[case::r3_disagreeing(
    cnp("egress: [{ toPorts: [{ ports: [{ port: http, protocol: TCP }] }] }]"),
    &[("a/s -> a/p1:8080", DROPPED_OUT), ("a/s -> a/p3:9090", DROPPED_OUT)],
    &[("a/s -> a/p1:8080", "ok"), ("a/s -> a/p3:9090", "ok")]
)]
#[case::r3_deny(
    cnp("egress: [{ toEntities: [all] }], egressDeny: [{ toPorts: [{ ports: [{ port: http, protocol: TCP }] }] }]"),
    &[("a/s -> a/p1:8080", "ok")],
    &[("a/s -> a/p1:8080", DENIED_OUT)]
)]
#[case::r3_unique(
    cnp("egress: [{ toPorts: [{ ports: [{ port: dns-tcp, protocol: TCP }] }] }]"),
    &[("a/s -> 203.0.113.5:53", "refused")],
    &[("a/s -> 203.0.113.5:53", DROPPED_OUT)]
)]
#[case::r4(
    groups() + &cnp("egress: [{ toCIDRSet: [{ cidrGroupSelector: { matchExpressions: [{ key: zone, operator: NotIn, values: [x] }] } }] }]"),
    &[("a/s -> a/p1:80", "ok"), ("a/s -> node node-1:8000", "ok")],
    &[("a/s -> a/p1:80", DROPPED_OUT), ("a/s -> node node-1:8000", DROPPED_OUT)]
)]
fn releases(#[case] policies: String, #[case] old: &[(&str, &str)], #[case] new: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium119, old);
    check(&policies, Dialect::Cilium, new);
}

/// What is accepted without effect is listed with its place.
#[rstest]
#[case::authentication(cnp("ingress: [{ fromEntities: [all], authentication: { mode: required } }]"), &["spec.ingress[0].authentication"])]
#[case::disabled(cnp("ingress: [{ fromEntities: [all], authentication: { mode: disabled } }]"), &[])]
#[case::log(cnp("ingress: [{}], log: { value: text }, labels: [{ key: a, value: b, source: k8s }]"), &[])]
#[case::tls(
    cnp("egress: [{ toPorts: [{ ports: [{ port: '443', protocol: TCP }], terminatingTLS: { secret: { name: s } }, originatingTLS: { secret: { name: s } }, rules: { http: [{ headerMatches: [{ name: a, secret: { name: s } }] }] } }] }]"),
    &[
        "spec.egress[0].toPorts[0].terminatingTLS",
        "spec.egress[0].toPorts[0].originatingTLS",
        "spec.egress[0].toPorts[0].rules.http[0].headerMatches[0].secret",
    ]
)]
#[case::listener(cnp("egress: [{ toPorts: [{ ports: [{ port: '80' }], listener: { name: l, envoyConfig: { kind: CiliumEnvoyConfig, name: c }, priority: 1 } }] }]"), &["spec.egress[0].toPorts[0].listener"])]
#[case::groups(cnp("ingress: [{ fromGroups: [{ aws: {} }] }]"), &["spec.ingress[0].fromGroups"])]
#[case::no_requires(cnp("ingress: [{ fromRequires: [] }]"), &[])]
#[case::host_dns(host("egress: [{ toPorts: [{ ports: [{ port: '53' }], rules: { dns: [{ matchPattern: '*' }] } }] }]"), &["spec.egress[0].toPorts[0].rules.dns"])]
fn not_simulated(#[case] yaml: String, #[case] paths: &[&str]) {
    let policy = policies(&yaml).unwrap().remove(0);
    let listed: Vec<&str> = policy.not_simulated.iter().map(|item| item.path.as_str()).collect();
    assert_eq!(listed, paths);
}
