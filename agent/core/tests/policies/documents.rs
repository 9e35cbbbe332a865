//! Which documents are refused, where, and with which words.

use egret_core::author::PolicyId;
use egret_core::spec::{Document, PolicyKind};
use rstest::rstest;

use crate::world::{ccnp, cnp, knp, policies, world};

/// Every problem as `path: problem`.
fn problems(yaml: &str) -> Vec<String> {
    let problems = policies(yaml).expect_err("the document ought to be refused");
    problems.iter().map(ToString::to_string).collect()
}

#[rstest]
#[case::names_in_deny(
    cnp("egressDeny: [{ toFQDNs: [{ matchName: a.com }] }]"),
    "spec.egressDeny[0].toFQDNs: `toFQDNs` is not supported in a deny rule"
)]
#[case::rules_in_deny(
    cnp("egressDeny: [{ toPorts: [{ ports: [{ port: '80' }], rules: { dns: [{ matchName: a.com }] } }] }]"),
    "spec.egressDeny[0].toPorts[0].rules: a deny rule cannot have `rules`: what it matches is dropped unseen"
)]
#[case::authentication_in_deny(
    cnp("ingressDeny: [{ fromEntities: [all], authentication: { mode: required } }]"),
    "spec.ingressDeny[0].authentication: a deny rule cannot ask for authentication: what it matches is dropped"
)]
#[case::two_peers(
    cnp("egress: [{ toFQDNs: [{ matchName: a.com }], toCIDR: [10.0.0.0/8] }]"),
    "spec.egress[0].toFQDNs: `toCIDR` and `toFQDNs` may not stand in one rule"
)]
#[case::bad_cidr(
    cnp("egress: [{ toCIDR: [10.0.0.0/8, 10.0.0.0/33] }]"),
    "spec.egress[0].toCIDR[1]: `10.0.0.0/33` is not a CIDR"
)]
#[case::bare_address(
    cnp("egress: [{ toCIDR: [10.0.0.1] }]"),
    "spec.egress[0].toCIDR[0]: `10.0.0.1` is not a CIDR"
)]
#[case::except_outside(
    cnp("egress: [{ toCIDRSet: [{ cidr: 10.0.0.0/8, except: [11.0.0.0/16] }] }]"),
    "spec.egress[0].toCIDRSet[0].except[0]: exception `11.0.0.0/16` must lie inside `10.0.0.0/8`"
)]
#[case::cidr_or_group(
    cnp("egress: [{ toCIDRSet: [{ except: [10.0.0.0/8] }] }]"),
    "spec.egress[0].toCIDRSet[0]: exactly one of `cidr`, `cidrGroupRef` and `cidrGroupSelector` must be given"
)]
#[case::dns_without_port(
    cnp("egress: [{ toPorts: [{ rules: { dns: [{ matchPattern: '*' }] } }] }]"),
    "spec.egress[0].toPorts[0].rules.dns: DNS rules need a port"
)]
#[case::dns_at_ingress(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '53' }], rules: { dns: [{ matchPattern: '*' }] } }] }]"),
    "spec.ingress[0].toPorts[0].rules.dns: DNS rules are not supported at ingress"
)]
#[case::dns_range(
    cnp(
        "egress: [{ toPorts: [{ ports: [{ port: '53', endPort: 54 }], rules: { dns: [{ matchPattern: '*' }] } }] }]"
    ),
    "spec.egress[0].toPorts[0].ports[0].endPort: DNS rules do not support port ranges"
)]
#[case::dns_any_port(
    cnp("egress: [{ toPorts: [{ ports: [{ port: '0' }], rules: { dns: [{ matchPattern: '*' }] } }] }]"),
    "spec.egress[0].toPorts[0].ports[0].port: DNS rules cannot be used with port 0"
)]
#[case::many_ports(
    cnp(&format!("ingress: [{{ toPorts: [{{ ports: [{}] }}] }}]", "{ port: '80' }, ".repeat(41))),
    "spec.ingress[0].toPorts[0].ports: 41 ports: at most 40 are allowed"
)]
#[case::no_port(
    cnp("ingress: [{ toPorts: [{ ports: [{ protocol: TCP }] }] }]"),
    "spec.ingress[0].toPorts[0].ports[0]: `port` must be given"
)]
#[case::bad_port(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '70000' }] }] }]"),
    "spec.ingress[0].toPorts[0].ports[0].port: `70000` is not a port: it must be between 0 and 65535"
)]
#[case::icmp_port(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '8', protocol: ICMP }] }] }]"),
    "spec.ingress[0].toPorts[0].ports[0].protocol: `ICMP` has no ports"
)]
#[case::icmps_and_ports(
    cnp("ingress: [{ icmps: [{ fields: [{ type: 8 }] }], toPorts: [{ ports: [{ port: '80' }] }] }]"),
    "spec.ingress[0].icmps: `icmps` and `toPorts` may not stand in one rule"
)]
#[case::bad_icmp(
    cnp("ingress: [{ icmps: [{ fields: [{ type: Echoo }] }] }]"),
    "spec.ingress[0].icmps[0].fields[0].type: `Echoo` is not a type of ICMP"
)]
#[case::bad_entity(
    cnp("egress: [{ toEntities: [world-ipv4] }]"),
    "spec.egress[0].toEntities[0]: `world-ipv4` is not an entity"
)]
#[case::bad_name(
    cnp("egress: [{ toFQDNs: [{ matchName: 'a?.com' }] }]"),
    "spec.egress[0].toFQDNs[0].matchName: `a?.com` has characters other than letters, digits, `-`, `_` and `.`"
)]
#[case::bad_pattern(
    cnp("egress: [{ toFQDNs: [{ matchPattern: 'a[bc].com' }] }]"),
    "spec.egress[0].toFQDNs[0].matchPattern: `a[bc].com` has characters other than letters, digits, `-`, `_`, `.` and `*`"
)]
#[case::two_names(
    cnp("egress: [{ toFQDNs: [{ matchName: a.com, matchPattern: '*' }] }]"),
    "spec.egress[0].toFQDNs[0]: exactly one of `matchName` and `matchPattern` must be given"
)]
#[case::empty_lists(
    cnp("ingress: [], egress: []"),
    "spec: a policy must have at least one rule in `ingress`, `ingressDeny`, `egress` or `egressDeny`"
)]
#[case::operator(
    cnp("ingress: [{ fromEndpoints: [{ matchExpressions: [{ key: a, operator: Equals, values: [b] }] }] }]"),
    "spec.ingress[0].fromEndpoints[0].matchExpressions[0].operator: `Equals` is not an operator of label selectors"
)]
#[case::values_missing(
    cnp("ingress: [{ fromEndpoints: [{ matchExpressions: [{ key: a, operator: In }] }] }]"),
    "spec.ingress[0].fromEndpoints[0].matchExpressions[0].values: `In` needs at least one value"
)]
#[case::values_given(
    cnp("ingress: [{ fromEndpoints: [{ matchExpressions: [{ key: a, operator: Exists, values: [b] }] }] }]"),
    "spec.ingress[0].fromEndpoints[0].matchExpressions[0].values: `Exists` takes no values"
)]
#[case::label_source(
    cnp("ingress: [{ fromEndpoints: [{ matchLabels: { 'k9s:a': b } }] }]"),
    "spec.ingress[0].fromEndpoints[0].matchLabels.k9s:a: `k9s` is not a source of labels"
)]
#[case::http_any(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '80' }], rules: { http: [{}] } }] }]"),
    "spec.ingress[0].toPorts[0].ports[0].protocol: HTTP rules apply to `TCP` alone"
)]
#[case::http_any_port(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '0', protocol: TCP }], rules: { http: [{}] } }] }]"),
    "spec.ingress[0].toPorts[0].ports[0].port: HTTP rules cannot be used with port 0"
)]
#[case::http_regex(
    cnp(
        "ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ path: '/(' }] } }] }]"
    ),
    "spec.ingress[0].toPorts[0].rules.http[0].path: `/(` is not a regular expression: unclosed group"
)]
#[case::http_only_re2(
    cnp(
        "ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ path: '\\pL' }] } }] }]"
    ),
    "spec.ingress[0].toPorts[0].rules.http[0].path: `\\pL` has a Unicode class such as `\\pL`, which Envoy takes and Egret cannot simulate"
)]
#[case::header_action(
    cnp(
        "ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ headerMatches: [{ name: a, mismatch: DROP }] }] } }] }]"
    ),
    "spec.ingress[0].toPorts[0].rules.http[0].headerMatches[0].mismatch: `DROP` is not an action"
)]
#[case::header_name(
    cnp(
        "ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ headers: ['X:1'] }] } }] }]"
    ),
    "spec.ingress[0].toPorts[0].rules.http[0].headers[0]: `X:1` is not the name of a header"
)]
#[case::two_kinds(
    cnp(
        "egress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{}], dns: [{ matchName: a }] } }] }]"
    ),
    "spec.egress[0].toPorts[0].rules: only one kind of `rules` may stand in one item"
)]
#[case::no_kind(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: {} }] }]"),
    "spec.ingress[0].toPorts[0].rules: `rules` needs `http` or `dns`"
)]
#[case::kafka(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { kafka: [] } }] }]"),
    "spec.ingress[0].toPorts[0].rules.kafka: `kafka` was removed from Cilium 1.20"
)]
#[case::names_and_rules(
    cnp(
        "egress: [{ toPorts: [{ ports: [{ port: '443', protocol: TCP }], serverNames: [a.com], rules: { http: [{}] } }] }]"
    ),
    "spec.egress[0].toPorts[0].serverNames: `serverNames` may not stand beside `rules` without `terminatingTLS`"
)]
#[case::no_server_name(
    cnp("egress: [{ toPorts: [{ ports: [{ port: '443', protocol: TCP }], serverNames: [] }] }]"),
    "spec.egress[0].toPorts[0].serverNames: `serverNames` needs at least one name"
)]
#[case::empty_server_name(
    cnp("egress: [{ toPorts: [{ ports: [{ port: '443', protocol: TCP }], serverNames: [''] }] }]"),
    "spec.egress[0].toPorts[0].serverNames[0]: `` is empty"
)]
#[case::server_names_in_deny(
    cnp("egressDeny: [{ toPorts: [{ ports: [{ port: '443' }], serverNames: [a.com] }] }]"),
    "spec.egressDeny[0].toPorts[0].serverNames: a deny rule cannot have `serverNames`: what it matches is dropped unseen"
)]
#[case::listener_at_ingress(
    cnp(
        "ingress: [{ toPorts: [{ ports: [{ port: '80' }], listener: { name: l, envoyConfig: { name: c } } }] }]"
    ),
    "spec.ingress[0].toPorts[0].listener: listener `l` is not allowed at ingress"
)]
#[case::listener_priority(
    cnp(
        "egress: [{ toPorts: [{ ports: [{ port: '80' }], listener: { name: l, envoyConfig: { name: c }, priority: 101 } }] }]"
    ),
    "spec.egress[0].toPorts[0].listener.priority: a listener's priority is between 1 and 100"
)]
#[case::requires(
    cnp("ingress: [{ fromRequires: [{}] }]"),
    "spec.ingress[0].fromRequires: `fromRequires` was removed from Cilium 1.19"
)]
#[case::mode(
    cnp("ingress: [{ fromEntities: [all], authentication: { mode: always } }]"),
    "spec.ingress[0].authentication.mode: `always` is not a mode of authentication"
)]
#[case::log(
    cnp(&format!("ingress: [{{}}], log: {{ value: {} }}", "x".repeat(33))),
    "spec.log.value: the text is at most 32 printable characters"
)]
#[case::extended_port(
    cnp("ingress: [{ toPorts: [{ ports: [{ port: '1', protocol: GRE }] }] }]"),
    "spec.ingress[0].toPorts[0].ports[0].port: a protocol without ports takes no `port`"
)]
#[case::group_name(
    cnp("egress: [{ toCIDRSet: [{ cidrGroupRef: G }] }]"),
    "spec.egress[0].toCIDRSet[0].cidrGroupRef: `G` is not the name of an object"
)]
#[case::service(
    cnp("egress: [{ toServices: [{}] }]"),
    "spec.egress[0].toServices[0]: `k8sService` or `k8sServiceSelector` must be given"
)]
#[case::host_rules(
    "{ apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: { name: n }, spec: { nodeSelector: {}, egress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{}] } }] }] } }".into(),
    "spec.egress[0].toPorts[0].rules.http: HTTP rules are not supported at a node's egress"
)]
#[case::node_selector(
    "{ apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: { name: n }, spec: { nodeSelector: {}, ingress: [{}] } }".into(),
    "spec.nodeSelector: a CiliumNetworkPolicy cannot select nodes"
)]
#[case::no_selector(
    "{ apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: { name: n }, spec: { ingress: [{}] } }".into(),
    "spec: a policy must have an `endpointSelector`"
)]
#[case::no_spec(
    "{ apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: { name: n } }".into(),
    "spec: `spec` or `specs` must be given"
)]
#[case::k8s_protocol(
    knp("ingress: [{ ports: [{ protocol: ICMP }] }]"),
    "spec.ingress[0].ports[0].protocol: `ICMP` is not a protocol of network policies"
)]
#[case::k8s_port(
    knp("ingress: [{ ports: [{ port: 0 }] }]"),
    "spec.ingress[0].ports[0].port: `0` is not a port: it must be between 1 and 65535"
)]
#[case::k8s_string_port(
    knp("ingress: [{ ports: [{ port: '80' }] }]"),
    "spec.ingress[0].ports[0].port: `80` is not a port name"
)]
#[case::k8s_end_below(
    knp("ingress: [{ ports: [{ port: 80, endPort: 79 }] }]"),
    "spec.ingress[0].ports[0].endPort: `endPort` 79 is below `port` 80"
)]
#[case::k8s_end_named(
    knp("ingress: [{ ports: [{ port: http, endPort: 79 }] }]"),
    "spec.ingress[0].ports[0].endPort: `endPort` needs a `port` that is a number"
)]
#[case::k8s_end_alone(
    knp("ingress: [{ ports: [{ endPort: 79 }] }]"),
    "spec.ingress[0].ports[0].endPort: `endPort` needs `port`"
)]
#[case::k8s_peer(knp("ingress: [{ from: [{}] }]"), "spec.ingress[0].from[0]: a peer must name somebody")]
#[case::k8s_two_peers(
    knp("ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: 10.0.0.0/8 } }] }]"),
    "spec.ingress[0].from[0]: `ipBlock` may not stand beside another peer in the same item"
)]
#[case::k8s_cidr(
    knp("egress: [{ to: [{ ipBlock: { cidr: '' } }] }]"),
    "spec.egress[0].to[0].ipBlock.cidr: `` is not a CIDR"
)]
#[case::k8s_except(
    knp("egress: [{ to: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.0.0.0/8] } }] }]"),
    "spec.egress[0].to[0].ipBlock.except[0]: exception `10.0.0.0/8` must be a strict subset of `10.0.0.0/8`"
)]
#[case::k8s_type(knp("policyTypes: [ingress]"), "spec.policyTypes[0]: `ingress` is not a policy type")]
fn refused(#[case] yaml: String, #[case] problem: &str) {
    assert_eq!(problems(&yaml), [problem]);
}

#[rstest]
#[case::unknown_key(cnp("egres: [{}]"), "unknown field `egres`")]
#[case::port_number(cnp("ingress: [{ toPorts: [{ ports: [{ port: 80 }] }] }]"), "expected a string")]
#[case::k8s_unknown_key(knp("ingress: [{ froms: [] }]"), "unknown field `froms`")]
#[case::bool_label(
    knp("ingress: [{ from: [{ podSelector: { matchLabels: { a: true } } }] }]"),
    "expected a string"
)]
fn not_of_the_shape(#[case] yaml: String, #[case] message: &str) {
    let yaml = yaml.trim_start_matches("---\n");
    let value: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
    let kind =
        if yaml.contains("cilium.io") { PolicyKind::CiliumNetworkPolicy } else { PolicyKind::NetworkPolicy };
    let error = Document::deserialize_kind(kind, value).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn every_problem_is_named() {
    let yaml = cnp("egress: [{ toCIDR: [x] }, { toEntities: [y] }]");
    assert_eq!(problems(&yaml).len(), 2);
}

#[test]
fn ids_and_namespaces() {
    let id = |kind: &str, namespace: Option<&str>, name: &str| PolicyId {
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let of = |yaml: &str| (*policies(yaml).unwrap().remove(0).id).clone();
    assert_eq!(of(&knp("ingress: []")), id("NetworkPolicy", Some("a"), "knp"));
    assert_eq!(of(&ccnp("ingress: [{}]")), id("CiliumClusterwideNetworkPolicy", None, "ccnp"));
    let nameless =
        "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: n }, spec: {} }";
    assert_eq!(of(nameless), id("NetworkPolicy", Some("default"), "n"));
    assert_eq!(PolicyKind::of("cilium.io/v1", "CiliumNetworkPolicy"), None);
}

#[test]
fn selected_endpoints_and_rule_paths() {
    let world = world();
    let names = |yaml: &str| -> Vec<String> {
        policies(yaml).unwrap().remove(0).selects(&world).iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&cnp("ingress: [{}]")), ["a/s"]);
    // hostNetwork pods have no endpoint; `reserved` labels are on none of these.
    let everywhere = "{ apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: { name: n }, \
                      spec: { endpointSelector: { matchLabels: { app: x } }, ingress: [{}] } }";
    assert_eq!(names(everywhere), ["a/p1", "b/p2"]);
    let paths = |yaml: &str| policies(yaml).unwrap().remove(0).rule_paths();
    assert_eq!(
        paths(&cnp(
            "egress: [{ toPorts: [{ ports: [{ port: '53' }] }] }], egressDeny: [{ toEntities: [world] }]"
        )),
        ["egress[0]", "egress[0].toPorts[0]", "egressDeny[0]"]
    );
    let specs = "{ apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: { name: n }, \
                 specs: [{ endpointSelector: {}, ingress: [{}] }, { endpointSelector: {}, egress: [{}] }] }";
    assert_eq!(paths(specs), ["specs[0].ingress[0]", "specs[1].egress[0]"]);
}
