//! Policies in tiers: order, passing on, peers, and documents that are refused.

use egret_core::rule::Dialect;
use rstest::rstest;

use crate::semantics::{DENIED_IN, DENIED_OUT, DROPPED_IN, DROPPED_OUT, check};
use crate::world::{cnp, knp, policies, tiered};

const FROM_A: &str = "from: [{ namespaces: { matchLabels: { kubernetes.io/metadata.name: a } } }]";
const TO_ALL: &str = "to: [{ networks: [0.0.0.0/0] }]";

fn rule(action: &str, rest: &str) -> String {
    format!("{{ action: {action}, {rest} }}")
}

fn admin(priority: u16, rules: &str) -> String {
    tiered("Admin", priority, &format!("ingress: [{rules}]"))
}

fn baseline(rules: &str) -> String {
    tiered("Baseline", 0, &format!("ingress: [{rules}]"))
}

/// A policy of an older kind for subject `a/s`.
fn older(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\n\
         spec: {{ subject: {{ pods: {{ namespaceSelector: {{}}, podSelector: {{ matchLabels: {{ app: s }} }} }} }}, {spec} }}\n"
    )
}

#[rstest]
#[case::nothing_else_changes(admin(0, &rule("Deny", FROM_A)), &[
    ("a/p1 -> a/s:80", DENIED_IN),
    ("b/p2 -> a/s:80", "ok"),
    ("203.0.113.5 -> a/s:80", "ok"),
    ("a/s -> a/p1:80", "ok"),
])]
#[case::first_rule_wins(admin(0, &format!("{}, {}", rule("Accept", FROM_A), rule("Deny", FROM_A))), &[("a/p1 -> a/s:80", "ok")])]
#[case::lower_priority_wins(admin(1, &rule("Accept", FROM_A)) + &admin(0, &rule("Deny", FROM_A)), &[("a/p1 -> a/s:80", DENIED_IN)])]
#[case::accept_beats_policies(admin(0, &rule("Accept", FROM_A)) + &knp("policyTypes: [Ingress]"), &[
    ("a/p1 -> a/s:80", "ok"),
    ("b/p2 -> a/s:80", DROPPED_IN),
])]
#[case::accept_beats_deny(admin(0, &rule("Accept", FROM_A)) + &cnp("ingressDeny: [{ fromEntities: [all] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
    ("b/p2 -> a/s:80", DENIED_IN),
])]
#[case::deny_beats_allow(admin(0, &rule("Deny", FROM_A)) + &knp("ingress: [{}]"), &[("a/p1 -> a/s:80", DENIED_IN), ("b/p2 -> a/s:80", "ok")])]
#[case::baseline_is_last(baseline(&rule("Deny", FROM_A)) + &knp("ingress: [{}]"), &[("a/p1 -> a/s:80", "ok")])]
#[case::baseline_after_nothing(baseline(&rule("Deny", FROM_A)), &[("a/p1 -> a/s:80", DENIED_IN), ("b/p2 -> a/s:80", "ok")])]
#[case::isolated_pods_never_reach_baseline(baseline(&rule("Accept", FROM_A)) + &knp("policyTypes: [Ingress]"), &[("a/p1 -> a/s:80", DROPPED_IN)])]
#[case::pass_to_policy(admin(0, &format!("{}, {}", rule("Pass", FROM_A), rule("Deny", FROM_A))) + &knp("ingress: [{ ports: [{ port: 80 }] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
    // Default deny behind a rule that passes has a row of its own, and is default deny all the same.
    ("a/p1 -> a/s:81", DROPPED_IN),
    ("b/p2 -> a/s:81", DROPPED_IN),
])]
#[case::pass_to_baseline(admin(0, &format!("{}, {}", rule("Pass", FROM_A), rule("Accept", FROM_A))) + &baseline(&rule("Deny", FROM_A)), &[
    ("a/p1 -> a/s:80", DENIED_IN),
])]
#[case::pass_to_nobody(admin(0, &format!("{}, {}", rule("Pass", FROM_A), rule("Deny", FROM_A))), &[("a/p1 -> a/s:80", "ok")])]
#[case::pass_of_one_port(admin(0, &format!("{}, {}", rule("Pass", &format!("{FROM_A}, protocols: [{{ tcp: {{ destinationPort: {{ number: 80 }} }} }}]")), rule("Deny", FROM_A))), &[
    ("a/p1 -> a/s:80", "ok"),
    ("a/p1 -> a/s:81", DENIED_IN),
    ("a/p1 -> a/s:80/UDP", DENIED_IN),
])]
#[case::pass_to_proxy(admin(0, &format!("{}, {}", rule("Pass", FROM_A), rule("Accept", FROM_A))) + &cnp("ingress: [{ fromEntities: [all], toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ method: GET }] } }] }]"), &[
    ("a/p1 -> GET a/s:80 /", "ok"),
    ("a/p1 -> POST a/s:80 /", "http 403"),
])]
#[case::accept_goes_past_the_proxy(admin(0, &rule("Accept", FROM_A)) + &cnp("ingress: [{ fromEntities: [all], toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ method: GET }] } }] }]"), &[
    ("a/p1 -> POST a/s:80 /", "ok"),
    ("b/p2 -> POST a/s:80 /", "http 403"),
])]
#[case::ports(admin(0, &rule("Deny", &format!("{FROM_A}, protocols: [{{ tcp: {{ destinationPort: {{ range: {{ start: 80, end: 84 }} }} }} }}, {{ destinationNamedPort: http }}]"))), &[
    ("a/p1 -> a/s:81", DENIED_IN),
    ("a/p1 -> a/s:8080", DENIED_IN),
    ("a/p1 -> a/s:85", "ok"),
    ("a/p1 -> a/s icmp", "ok"),
])]
#[case::nodes(tiered("Admin", 0, "egress: [{ action: Deny, to: [{ nodes: { matchLabels: { zone: node-1 } } }] }]"), &[
    ("a/s -> node node-1:8000", DENIED_OUT),
    ("a/s -> node node-2:8000", "refused"),
])]
#[case::reserved(admin(0, &rule("Deny", "from: [{ pods: { podSelector: { matchExpressions: [{ key: 'reserved:host', operator: Exists }] } } }]")), &[
    ("node node-1 -> a/s:80", DENIED_IN),
    ("node node-2 -> a/s:80", "ok"),
])]
#[case::domain_names(tiered("Admin", 0, &format!("egress: [{{ action: Accept, to: [{{ domainNames: ['*.a.com'] }}] }}, {{ action: Pass, to: [{{ namespaces: {{}} }}] }}, {{ action: Deny, {TO_ALL} }}]")) + &cnp("enableDefaultDeny: { egress: false }, egress: [{ toPorts: [{ ports: [{ port: '53' }], rules: { dns: [{ matchPattern: '*' }] } }] }]"), &[
    ("a/s -> http://y.x.a.com", "ok"),
    ("a/s -> http://a.com", DENIED_OUT),
])]
#[case::admin_v1alpha1(older("AdminNetworkPolicy", "anp", &format!("priority: 5, ingress: [{{ action: Allow, {FROM_A}, ports: [{{ portNumber: {{ protocol: TCP, port: 80 }} }}, {{ portRange: {{ start: 84, end: 86 }} }}] }}, {{ action: Deny, {FROM_A} }}]")), &[
    ("a/p1 -> a/s:80", "ok"),
    ("a/p1 -> a/s:85", "ok"),
    ("a/p1 -> a/s:81", DENIED_IN),
])]
#[case::baseline_v1alpha1(older("BaselineAdminNetworkPolicy", "default", &format!("ingress: [{{ action: Deny, {FROM_A}, ports: [{{ namedPort: http }}] }}]")), &[
    ("a/p1 -> a/s:8080", DENIED_IN),
    ("a/p1 -> a/s:80", "ok"),
])]
fn order(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

/// `networks` hold pods as the API says, and as Cilium's prefixes do not (sections 14 and 15).
#[rstest]
#[case(Dialect::Kubernetes, DENIED_OUT)]
#[case(Dialect::Cilium, "ok")]
fn networks(#[case] dialect: Dialect, #[case] to_pod: &str) {
    let policies = tiered("Admin", 0, &format!("egress: [{{ action: Deny, {TO_ALL} }}]"));
    check(&policies, dialect, &[("a/s -> 203.0.113.5:80", DENIED_OUT), ("a/s -> a/p1:80", to_pod)]);
}

/// A probe that nothing denies in the tiers meets the default of the ordinary policies.
#[test]
fn the_ordinary_default_stays() {
    let policies = tiered("Admin", 0, "egress: [{ action: Accept, to: [{ namespaces: {} }] }]")
        + &knp("policyTypes: [Egress]");
    check(
        &policies,
        Dialect::Kubernetes,
        &[("a/s -> a/p1:80", "ok"), ("a/s -> 203.0.113.5:80", DROPPED_OUT)],
    );
}

#[rstest]
#[case(tiered("Normal", 0, ""), "spec.tier: `Normal` is not a tier")]
#[case(tiered("Admin", 1001, ""), "spec.priority: `1001` is not a priority: it must be between 0 and 1000")]
#[case(admin(0, &rule("Allow", FROM_A)), "spec.ingress[0].action: `Allow` is not an action here")]
#[case(admin(0, &rule("Deny", "from: []")), "spec.ingress[0].from: `from` needs at least one peer")]
#[case(admin(0, &rule("Deny", "from: [{}]")), "spec.ingress[0].from[0]: a peer must have exactly one field")]
#[case(admin(0, &rule("Deny", "from: [{ networks: [0.0.0.0/0] }]")), "spec.ingress[0].from[0].networks: `networks` is no peer at ingress")]
#[case(
    admin(0, &rule("Deny", &format!("{FROM_A}, ports: [{{ namedPort: a }}]"))),
    "spec.ingress[0].ports: `ports` belongs to another version of this API"
)]
#[case(
    admin(0, &rule("Deny", &format!("{FROM_A}, protocols: [{{ tcp: {{}} }}]"))),
    "spec.ingress[0].protocols[0].tcp.destinationPort: exactly one of `number` and `range` must be given"
)]
#[case(
    admin(0, &rule("Deny", &format!("{FROM_A}, protocols: [{{ tcp: {{ destinationPort: {{ range: {{ start: 2, end: 2 }} }} }} }}]"))),
    "spec.ingress[0].protocols[0].tcp.destinationPort.range: `start` 2 must be less than `end` 2"
)]
#[case(
    tiered("Admin", 0, &format!("egress: [{{ action: Deny, {TO_ALL}, protocols: [{{ destinationNamedPort: http }}] }}]")),
    "spec.egress[0].protocols[0].destinationNamedPort: peers by `networks` have no named ports"
)]
#[case(
    tiered("Admin", 0, "egress: [{ action: Deny, to: [{ domainNames: [a.com] }] }]"),
    "spec.egress[0].to[0].domainNames: `domainNames` is supported in rules that accept only"
)]
#[case(
    tiered("Admin", 0, "egress: [{ action: Accept, to: [{ domainNames: ['a*.com'] }] }]"),
    "spec.egress[0].to[0].domainNames[0]: `a*.com` is not a domain name"
)]
#[case(admin(0, &vec![rule("Deny", FROM_A); 26].join(", ")), "spec.ingress: 26 rules: at most 25 are allowed")]
#[case(older("AdminNetworkPolicy", "anp", "ingress: []"), "spec.priority: `priority` must be given")]
#[case(
    older("BaselineAdminNetworkPolicy", "other", ""),
    "metadata.name: the one BaselineAdminNetworkPolicy of a cluster is named `default`"
)]
#[case(
    older("BaselineAdminNetworkPolicy", "default", &format!("ingress: [{}]", rule("Pass", FROM_A))),
    "spec.ingress[0].action: `Pass` is not an action here"
)]
fn refused(#[case] yaml: String, #[case] problem: &str) {
    let problems = policies(&yaml).expect_err("the document ought to be refused");
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [problem]);
}
