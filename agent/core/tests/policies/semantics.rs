//! What policies mean, as tables of probes: the decision vectors and the measured rows of the policy semantics.

use egret_core::model::Model;
use egret_core::rule::Dialect;
use rstest::rstest;

use crate::world::{ccnp, cnp, desired, knp, named_cnp, probe, text};

pub(crate) const DROPPED_IN: &str = "timeout ingress 133";
pub(crate) const DENIED_IN: &str = "timeout ingress 181";
pub(crate) const DROPPED_OUT: &str = "timeout egress 133";
pub(crate) const DENIED_OUT: &str = "timeout egress 181";

/// Makes probes in their order and compares each with its text.
#[track_caller]
pub(crate) fn check(policies: &str, dialect: Dialect, expected: &[(&str, &str)]) {
    let mut model = Model::new();
    model.apply(&desired(policies, dialect));
    let seen: Vec<(&str, String)> =
        expected.iter().map(|(line, _)| (*line, text(&model.probe(&probe(line))))).collect();
    let expected: Vec<(&str, String)> =
        expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
    assert_eq!(seen, expected, "under {policies}");
}

const DENY_ALL_IN: &str = "policyTypes: [Ingress]";
const P1: &str = "{ matchLabels: { app: x } }";

/// Section 12, by the number of the vector; 21 to 25 and 42 stand in `language`, and 40, 41 and 45 are about
/// packets and options that the model does not have.
#[rstest]
#[case::v1(String::new(), &[("a/p1 -> a/s:80", "ok"), ("203.0.113.5 -> a/s:80", "ok"), ("a/s -> 203.0.113.5:80", "ok")])]
#[case::v2_to_v4(knp(DENY_ALL_IN), &[
    ("a/p1 -> a/s:80", DROPPED_IN),
    ("node node-1 -> a/s:80", "ok"),
    ("b/host -> a/s:80", "ok"),
    ("node node-2 -> a/s:80", DROPPED_IN),
])]
#[case::v5(knp(DENY_ALL_IN), &[("a/s -> a/p1:80", "ok"), ("a/s -> a/p1 icmp", "ok")])]
#[case::v6(knp("ingress: [{}]"), &[("a/p1 -> a/s:80", "ok"), ("203.0.113.5 -> a/s icmp", "ok")])]
#[case::v7(cnp("ingress: [{}]"), &[("a/p1 -> a/s:80", DROPPED_IN)])]
#[case::v8(cnp("ingress: [{ fromEndpoints: [{}] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
    ("b/p2 -> a/s:80", DROPPED_IN),
    ("203.0.113.5 -> a/s:80", DROPPED_IN),
    ("node node-1 -> a/s:80", "ok"),
])]
#[case::v9(ccnp("ingress: [{ fromEndpoints: [{}] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
    ("b/p2 -> a/s:80", "ok"),
    ("203.0.113.5 -> a/s:80", DROPPED_IN),
    ("node node-2 -> a/s:80", DROPPED_IN),
])]
#[case::v10(cnp("ingress: [{ fromEntities: [all] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
    ("203.0.113.5 -> a/s icmp", "ok"),
    ("node node-2 -> a/s:80", "ok"),
])]
#[case::v11(cnp("ingress: [{ fromEndpoints: [], toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }]"), &[
    ("a/p1 -> a/s:80", DROPPED_IN),
])]
#[case::v12(cnp("ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }]"), &[
    ("203.0.113.5 -> a/s:80", "ok"),
    ("203.0.113.5 -> a/s icmp", DROPPED_IN),
    ("a/p1 -> a/s:80/UDP", DROPPED_IN),
])]
#[case::v13(cnp("egress: [{ toCIDR: [0.0.0.0/0] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
    ("a/s -> a/p1:80", DROPPED_OUT),
    ("a/s -> node node-2:80", DROPPED_OUT),
    ("a/s -> node node-1:80", DROPPED_OUT),
])]
#[case::v14(cnp("egress: [{ toCIDRSet: [{ cidr: 203.0.113.0/24, except: [203.0.113.5/32] }] }]"), &[
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
    ("a/s -> 203.0.113.6:80", "ok"),
])]
#[case::v15(cnp("egress: [{ toCIDRSet: [{ cidr: 203.0.113.0/24, except: [203.0.113.5/32] }] }, { toCIDR: [203.0.113.5/32] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
])]
#[case::v16(cnp("egress: [{ toCIDR: [203.0.113.5/32] }], egressDeny: [{ toCIDR: [203.0.113.0/28] }]"), &[
    ("a/s -> 203.0.113.5:80", DENIED_OUT),
])]
#[case::v17(cnp("egressDeny: [{ toEntities: [world] }]"), &[
    ("a/s -> a/p1:80", DROPPED_OUT),
    ("a/s -> 203.0.113.5:80", DENIED_OUT),
])]
#[case::v18(cnp("egressDeny: [{ toEntities: [world] }], enableDefaultDeny: { egress: false }"), &[
    ("a/s -> a/p1:80", "ok"),
    ("a/s -> 203.0.113.5:80", DENIED_OUT),
])]
#[case::v19(cnp(&format!("ingressDeny: [{{ toPorts: [{{ ports: [{{ port: '80', protocol: TCP }}] }}] }}], ingress: [{{ fromEndpoints: [{P1}] }}]")), &[
    ("a/p1 -> a/s:80", DENIED_IN),
    ("a/p1 -> a/s:81", "ok"),
    ("a/p1 -> a/s icmp", "ok"),
    ("node node-1 -> a/s:80", DENIED_IN),
])]
#[case::v20(cnp(&format!("ingress: [{{ fromEndpoints: [{P1}], toPorts: [{{ ports: [{{ port: '80' }}] }}] }}], ingressDeny: [{{ fromEndpoints: [{P1}] }}]")), &[
    ("a/p1 -> a/s:80", DENIED_IN),
])]
#[case::v32(cnp("egress: [{ toPorts: [{ ports: [{ port: '80', endPort: 90, protocol: TCP }] }] }]"), &[
    ("a/s -> a/p1:85", "ok"),
    ("a/s -> a/p1:91", DROPPED_OUT),
    ("a/s -> a/p1:85/UDP", DROPPED_OUT),
])]
#[case::v33(cnp("egress: [{ toPorts: [{ ports: [{ port: '80', endPort: 70, protocol: TCP }] }] }]"), &[
    ("a/s -> a/p1:80", "ok"),
    ("a/s -> a/p1:75", DROPPED_OUT),
])]
#[case::v34(cnp("egress: [{ toPorts: [{ ports: [{ port: http, protocol: TCP }] }] }]"), &[
    ("a/s -> a/p1:8080", "ok"),
    ("a/s -> a/p1:9090", DROPPED_OUT),
    ("a/s -> a/p3:9090", "ok"),
    ("a/s -> a/p3:http", "ok"),
    ("a/s -> 203.0.113.5:8080", DROPPED_OUT),
])]
#[case::v35(cnp("ingress: [{ icmps: [{ fields: [{ type: EchoRequest }] }] }]"), &[
    ("a/p1 -> a/s icmp", "ok"),
    ("a/p1 -> a/s:80", DROPPED_IN),
])]
#[case::v36(knp("policyTypes: [Ingress], ingress: [{}], egress: [{ to: [{ ipBlock: { cidr: 198.51.100.0/24 } }] }]"), &[
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
])]
#[case::v37_one_item(knp("ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: blue } }, podSelector: { matchLabels: { app: z } } }] }]"), &[
    ("b/p2 -> a/s:80", DROPPED_IN),
])]
#[case::v37_two_items(knp("ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: blue } } }, { podSelector: { matchLabels: { app: z } } }] }]"), &[
    ("b/p2 -> a/s:80", "ok"),
])]
#[case::v39(knp("policyTypes: [Ingress, Egress]"), &[
    ("a/s -> service a/self:80", "ok"),
    ("a/s -> a/s:80", "ok"),
])]
#[case::v44(cnp("egress: [{ toServices: [{ k8sService: { serviceName: web, namespace: a } }], toPorts: [{ ports: [{ port: '8080' }] }] }]"), &[
    ("a/s -> service a/web:8000", "ok"),
    ("a/s -> a/p1:8000", DROPPED_OUT),
    ("a/s -> a/p3:8080", DROPPED_OUT),
])]
fn vectors(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

/// Section 15, by the number of the row.
#[rstest]
#[case::r2(knp("ingress: [{ from: [{ namespaceSelector: { matchExpressions: [{ key: team, operator: NotIn, values: [red] }] } }] }]"), &[
    ("b/p2 -> a/s:80", "ok"),
    ("a/p1 -> a/s:80", DROPPED_IN),
    ("203.0.113.5 -> a/s:80", DROPPED_IN),
    ("node node-2 -> a/s:80", DROPPED_IN),
])]
#[case::r6(knp("policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 0.0.0.0/0 } }] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
    ("a/s -> a/p1:80", DROPPED_OUT),
    ("a/s -> node node-2:80", DROPPED_OUT),
])]
#[case::r7(knp("policyTypes: [Ingress, Egress]"), &[
    ("a/s -> node node-1:8000", DROPPED_OUT),
    ("node node-1 -> a/s:80", "ok"),
])]
#[case::r7_deny(cnp("ingress: [{ fromEntities: [all] }], ingressDeny: [{ fromEntities: [host] }]"), &[
    ("node node-1 -> a/s:80", DENIED_IN),
    ("node node-2 -> a/s:80", "ok"),
])]
#[case::r9(knp("ingress: [{ ports: [{ port: 80 }] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
    ("a/p1 -> a/s icmp", DROPPED_IN),
])]
#[case::r10(cnp("egressDeny: [{}]"), &[("a/s -> a/p1:80", DROPPED_OUT)])]
#[case::r11_services(cnp("egress: [{ toServices: [{ k8sService: { serviceName: absent } }], toPorts: [{ ports: [{ port: '80' }] }] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
    ("a/s -> 203.0.113.5:81", DROPPED_OUT),
])]
#[case::r11_names(cnp("egress: [{ toFQDNs: [], toPorts: [{ ports: [{ port: '80' }] }] }]"), &[("a/s -> 203.0.113.5:80", "ok")])]
#[case::r11_without_ports(cnp("egress: [{ toFQDNs: [] }, { toServices: [] }]"), &[("a/s -> 203.0.113.5:80", DROPPED_OUT)])]
#[case::r11_entities(cnp("egress: [{ toEntities: [], toPorts: [{ ports: [{ port: '80' }] }] }]"), &[("a/s -> 203.0.113.5:80", DROPPED_OUT)])]
#[case::r13(cnp("ingress: [{ icmps: [{ fields: [{ type: 0 }] }] }]"), &[("a/p1 -> a/s icmp", "ok")])]
#[case::r15(cnp("ingress: [{ toPorts: [{ ports: [{ port: '0', protocol: ANY }] }] }]"), &[
    ("a/p1 -> a/s:81", "ok"),
    ("a/p1 -> a/s:80/UDP", "ok"),
    ("a/p1 -> a/s:80/SCTP", "ok"),
    ("a/p1 -> a/s icmp", DROPPED_IN),
])]
#[case::r16_nothing(cnp("ingress: [{ toPorts: [{}] }, { fromEntities: [all], toPorts: [{ ports: [] }] }]"), &[("a/p1 -> a/s:80", DROPPED_IN)])]
#[case::r16_l3(cnp("ingress: [{ fromEntities: [all], toPorts: [] }]"), &[("a/p1 -> a/s icmp", "ok")])]
#[case::r18(cnp("enableDefaultDeny: { egress: true }, ingress: [{}]"), &[("a/s -> 203.0.113.5:80", "ok")])]
#[case::r18_other_wins(format!("{}{}", cnp("enableDefaultDeny: { ingress: false }, ingress: [{ fromEntities: [world] }]"), knp(DENY_ALL_IN)), &[
    ("203.0.113.5 -> a/s:80", "ok"),
    ("a/p1 -> a/s:80", DROPPED_IN),
])]
#[case::r20_reserved(cnp("ingress: [{ fromEndpoints: [{ matchLabels: { 'reserved:world': '' } }] }]"), &[
    ("203.0.113.5 -> a/s:80", "ok"),
    ("a/p1 -> a/s:80", DROPPED_IN),
])]
#[case::r22(cnp("egress: [{ toCIDR: [203.0.113.0/24] }, { toCIDRSet: [{ cidr: 203.0.0.0/16, except: [203.0.113.5/32] }], toPorts: [{ ports: [{ port: '81' }] }] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
    ("a/s -> 203.0.113.6:81", "ok"),
])]
#[case::nested_prefixes(cnp("egress: [{ toCIDR: [203.0.113.0/24] }], egressDeny: [{ toCIDR: [203.0.113.4/30] }]"), &[
    ("a/s -> 203.0.113.5:80", DENIED_OUT),
    ("a/s -> 203.0.113.6:80", DENIED_OUT),
    ("a/s -> 203.0.113.9:80", "unreachable"),
])]
#[case::cluster(cnp("egress: [{ toEntities: [cluster] }]"), &[
    ("a/s -> b/p2:80", "ok"),
    ("a/s -> node node-2:80", "refused"),
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
])]
#[case::other_namespace(cnp("egress: [{ toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': b } }] }]"), &[
    ("a/s -> b/p2:80", "ok"),
    ("a/s -> a/p1:80", DROPPED_OUT),
])]
#[case::namespace_labels(cnp("egress: [{ toEndpoints: [{ matchLabels: { io.cilium.k8s.namespace.labels.team: blue } }] }]"), &[
    ("a/s -> b/p2:80", "ok"),
    ("a/s -> a/p1:80", DROPPED_OUT),
])]
#[case::default_allow(cnp("enableDefaultDeny: { egress: false }, egress: [{ toCIDR: [203.0.113.5/32] }]"), &[("a/s -> a/p1:80", "ok")])]
#[case::no_backend(String::new(), &[("a/s -> service a/empty:80", "timeout egress 158")])]
fn measured(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}

/// Where Kubernetes reads the same words otherwise (sections 1 and 14).
#[rstest]
#[case::types_as_written(knp("policyTypes: [Ingress], egress: [{ to: [{ ipBlock: { cidr: 198.51.100.0/24 } }] }]"), &[
    ("a/s -> 203.0.113.5:80", "ok"),
])]
#[case::block_holds_pods(knp("policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.0.1.13/32] } }] }]"), &[
    ("a/s -> a/p1:80", "ok"),
    ("a/s -> a/p3:80", DROPPED_OUT),
    ("a/s -> b/p2:80", "ok"),
    ("a/s -> node node-2:8000", "refused"),
    ("a/s -> 203.0.113.5:80", DROPPED_OUT),
])]
#[case::own_node(knp("policyTypes: [Ingress, Egress]"), &[
    ("a/s -> node node-1:8000", "ok"),
    ("node node-1 -> a/s:80", "ok"),
    ("a/s -> node node-2:80", DROPPED_OUT),
])]
#[case::all_labels(knp("ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: pod-template-hash, operator: DoesNotExist }] } }] }]"), &[
    ("a/p1 -> a/s:80", "ok"),
])]
fn kubernetes(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Kubernetes, expected);
}

const DNS: &str = "{ toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns } }], \
     toPorts: [{ ports: [{ port: '53', protocol: ANY }], rules: { dns: [{ matchPattern: '*' }] } }] }";

fn names(list: &str) -> String {
    cnp(&format!("egress: [{{ toFQDNs: [{list}] }}, {DNS}]"))
}

fn dns_rule(list: &str) -> String {
    cnp(&format!("egress: [{}]", DNS.replace("{ matchPattern: '*' }", list)))
}

/// Names: vectors 26 to 31, and section 11.4.
#[rstest]
#[case::v27(names("{ matchName: a.com }"), &[
    ("a/s -> http://a.com", "ok"),
    ("a/s -> http://www.a.com", DROPPED_OUT),
    ("a/s -> dns www.a.com", "ok"),
])]
#[case::v28(names("{ matchPattern: '*.a.com' }"), &[
    ("a/s -> http://www.a.com", "ok"),
    ("a/s -> http://a.com", DROPPED_OUT),
    ("a/s -> http://y.x.a.com", DROPPED_OUT),
])]
#[case::v29(names("{ matchPattern: '**.a.com' }"), &[
    ("a/s -> http://www.a.com", "ok"),
    ("a/s -> http://y.x.a.com", "ok"),
    ("a/s -> http://a.com", DROPPED_OUT),
])]
#[case::v30(names("{ matchName: A.com }"), &[("a/s -> http://a.COM.", "ok")])]
#[case::v31(names("{ matchName: alias.com }"), &[
    ("a/s -> http://c.net", DROPPED_OUT),
    ("a/s -> http://alias.com", "ok"),
    ("a/s -> http://c.net", "ok"),
])]
#[case::raw_address(names("{ matchName: api.github.com }"), &[
    ("a/s -> 140.82.121.6:80", DROPPED_OUT),
    ("a/s -> http://api.github.com", "ok"),
    ("a/s -> 140.82.121.6:80", "ok"),
    ("a/s -> 140.82.121.6 icmp", "ok"),
    ("a/s -> http://shared.com", "ok"),
])]
#[case::no_dns_rule(cnp("egress: [{ toFQDNs: [{ matchName: a.com }] }]"), &[("a/s -> http://a.com", "dns timeout egress 133")])]
#[case::plain_dns(cnp(&format!("egress: [{{ toFQDNs: [{{ matchName: a.com }}] }}, {}]", DNS.replace(", rules: { dns: [{ matchPattern: '*' }] }", ""))), &[
    ("a/s -> http://a.com", DROPPED_OUT),
])]
#[case::refused(dns_rule("{ matchName: a.com }"), &[
    ("a/s -> dns c.net", "dns refused"),
    // The search list's first candidate is refused, and then the name is asked for as it is.
    ("a/s -> dns a.com", "ok"),
])]
#[case::plain_rule_opens_names(format!("{}{}", dns_rule("{ matchName: a.com }"), named_cnp("plain", "egress: [{ toPorts: [{ ports: [{ port: '53' }] }] }]")), &[
    ("a/s -> dns c.net", "ok"),
])]
#[case::l3_rule_does_not(format!("{}{}", dns_rule("{ matchName: a.com }"), named_cnp("plain", "egress: [{ toEntities: [cluster] }]")), &[
    ("a/s -> dns c.net", "dns refused"),
])]
#[case::nothing_denied(dns_rule("{ matchName: a.com }").replace("egress: [", "enableDefaultDeny: { egress: false }, egress: ["), &[
    ("a/s -> dns c.net", "ok"),
])]
#[case::deny_beats_names(names("{ matchName: a.com }").replace("egress: [", "egressDeny: [{ toCIDR: [198.51.100.2/32] }], egress: ["), &[
    ("a/s -> http://a.com", DENIED_OUT),
])]
#[case::missing_name(String::new(), &[("a/s -> http://absent.example", "nxdomain"), ("a/s -> dns web", "ok"), ("a/s -> dns web.a.svc.cluster.local.", "ok")])]
fn resolving(#[case] policies: String, #[case] expected: &[(&str, &str)]) {
    check(&policies, Dialect::Cilium, expected);
}
