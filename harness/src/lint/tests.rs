//! Each warning by policies that deserve it, and by their neighbours that do not.

use egret_core::rule::Dialect;
use rstest::rstest;

use super::lint;
use crate::cluster::of_sources;
use crate::source::Source;

const WORLD: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: a, namespace: shop, labels: { app: a } }
spec: { containers: [{ ports: [{ name: http, containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: b, namespace: shop, labels: { app: b } }
spec: { containers: [{ ports: [{ containerPort: 9000 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: dns, namespace: kube-system, labels: { k8s-app: kube-dns } }
spec: { containers: [{ ports: [{ name: dns, containerPort: 53, protocol: UDP }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { selector: { app: b }, ports: [{ port: 9000 }] }
";

/// A policy of its API for pods with `app: a`.
fn policy(kind: &str, spec: &str) -> String {
    let (version, selector) = match kind {
        "NetworkPolicy" => ("networking.k8s.io/v1", "podSelector"),
        _ => ("cilium.io/v2", "endpointSelector"),
    };
    let selector = if spec.contains("Selector: {") && spec.starts_with(selector) {
        String::new()
    } else {
        format!("{selector}: {{ matchLabels: {{ app: a }} }}, ")
    };
    format!(
        "---\napiVersion: {version}\nkind: {kind}\nmetadata: {{ name: p, namespace: shop }}\nspec: {{ {selector}{spec} }}\n"
    )
}

fn cnp(spec: &str) -> String {
    policy("CiliumNetworkPolicy", spec)
}

fn knp(spec: &str) -> String {
    policy("NetworkPolicy", spec)
}

/// Codes with their places' texts, in order.
fn codes(world: &str, policies: &str, dialect: Dialect) -> Vec<&'static str> {
    let source = Source::new("all.yaml", format!("{world}{policies}"));
    let cluster = of_sources(&[source], Some(dialect)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let warnings = lint(&cluster);
    for warning in &warnings {
        assert!(warning.location.is_some(), "{warning:?}");
        assert!(warning.help.is_some() && !warning.notes.is_empty(), "{warning:?}");
    }
    let mut codes: Vec<_> = warnings.iter().filter_map(|warning| warning.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

const DNS: &str = "{ toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns } }], \
                   toPorts: [{ ports: [{ port: '53', protocol: UDP }], rules: { dns: [{ matchPattern: '*' }] } }] }";

const DNS_OF_KNP: &str = "{ ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }] }";

/// Somebody in the network of the node that all pods run on.
const HOST: &str = "---\napiVersion: v1\nkind: Pod\nmetadata: { name: exporter, namespace: kube-system }\n\
                    spec: { hostNetwork: true, containers: [{ ports: [{ containerPort: 9100 }] }] }\n";

const GROUP: &str = "---\napiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: { name: g }\n\
                     spec: { externalCIDRs: [203.0.113.0/28] }\n";

/// A policy of this tier that denies pods with `app: a` everything, behind other rules.
fn tier(tier: &str, before: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{ name: c }}\nspec:\n  \
         tier: {tier}\n  priority: 1\n  subject: {{ pods: {{ namespaceSelector: {{}}, podSelector: {{ matchLabels: {{ app: a }} }} }} }}\n  \
         ingress: [{before}{{ action: Deny, from: [{{ namespaces: {{}} }}] }}]\n"
    )
}

#[rstest]
#[case::nothing_odd(cnp("ingress: [{ fromEndpoints: [{ matchLabels: { app: b } }] }]"), &[])]
#[case::selects_no_pod(cnp("endpointSelector: { matchLabels: { app: x } }, ingress: [{ fromEntities: [world] }]"), &["selects-no-pod"])]
#[case::peer(cnp("ingress: [{ fromEndpoints: [{ matchLabels: { app: x } }] }]"), &["peer-matches-nothing"])]
#[case::peer_of_knp(knp("ingress: [{ from: [{ podSelector: { matchLabels: { app: x } } }] }]"), &["peer-matches-nothing"])]
#[case::hash(cnp("ingress: [{ fromEndpoints: [{ matchLabels: { pod-template-hash: x } }] }]"),
    &["label-outside-identity", "peer-matches-nothing"])]
#[case::other_namespace(
    cnp("endpointSelector: { matchLabels: { app: a, 'k8s:io.kubernetes.pod.namespace': other } }, ingress: [{ fromEntities: [world] }]"),
    &["other-namespace-overruled"])]
#[case::own_namespace(cnp("ingress: [{ fromEndpoints: [{}] }]"), &["own-namespace-only"])]
#[case::empty_rule(cnp("ingress: [{}]"), &["empty-rule"])]
#[case::empty_rule_of_knp(knp("ingress: [{}]"), &[])]
#[case::shadow(cnp("ingress: [{ fromEndpoints: [{ matchLabels: { app: b } }] }], ingressDeny: [{ fromEntities: [cluster] }]"),
    &["deny-shadows-allow", "probes-denied"])]
#[case::shadow_of_a_port(
    cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }], \
         ingressDeny: [{ toPorts: [{ ports: [{ port: '1', endPort: 100, protocol: TCP }] }] }]"),
    &["deny-shadows-allow"])]
#[case::no_shadow(
    cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }], \
         ingressDeny: [{ toPorts: [{ ports: [{ port: '81', protocol: TCP }] }] }]"), &[])]
#[case::pod_prefix(cnp("ingress: [{ fromCIDR: [10.0.0.0/8] }]"), &["prefix-over-cluster"])]
#[case::pod_prefix_of_knp(knp("ingress: [{ from: [{ ipBlock: { cidr: 10.0.1.0/24 } }] }]"), &["prefix-over-cluster"])]
#[case::outside(cnp("ingress: [{ fromCIDR: [0.0.0.0/0] }]"), &[])]
#[case::no_service(
    cnp(&format!("egress: [{DNS}, {{ toServices: [{{ k8sService: {{ serviceName: x, namespace: shop }} }}], toPorts: [{{ ports: [{{ port: '80' }}] }}] }}]")),
    &["fails-open"])]
#[case::empty_names(cnp(&format!("egress: [{DNS}, {{ toFQDNs: [], toPorts: [{{ ports: [{{ port: '80' }}] }}] }}]")), &["fails-open"])]
#[case::service_anywhere(
    cnp(&format!("egress: [{DNS}, {{ toServices: [{{ k8sService: {{ serviceName: db }} }}] }}]")), &["service-in-every-namespace"])]
#[case::except(
    cnp("ingress: [{ fromCIDRSet: [{ cidr: 203.0.113.0/24, except: [203.0.113.8/29] }] }, { fromCIDR: [203.0.113.0/28] }]"),
    &["except-allowed-elsewhere"])]
#[case::named_port(cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: web, protocol: TCP }] }] }]"), &["named-port-unknown"])]
#[case::known_port(cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: http, protocol: TCP }] }] }]"), &[])]
#[case::end_port(cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: '90', endPort: 80 }] }] }]"), &["end-port-below-port"])]
#[case::port_zero(cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: '0', protocol: TCP }] }] }]"), &["port-zero"])]
#[case::no_ports(cnp("ingress: [{ fromEntities: [world], toPorts: [{}] }]"), &["ports-match-nothing"])]
#[case::empty_ports(cnp("ingress: [{ fromEntities: [world], toPorts: [] }]"), &["empty-to-ports"])]
#[case::icmp(cnp("ingress: [{ fromEntities: [world], icmps: [{ fields: [{ type: 0 }] }] }]"), &["icmp-type-zero"])]
#[case::name(cnp("egress: [{ toFQDNs: [{ matchName: api.github.com }] }]"), &["default-deny-without-dns", "fqdn-without-dns-rule"])]
#[case::name_asked_for(cnp(&format!("egress: [{DNS}, {{ toFQDNs: [{{ matchName: api.github.com }}] }}]")), &[])]
#[case::placeholder(cnp(&format!("egress: [{DNS}, {{ toFQDNs: [{{ matchName: myservice.com }}] }}]")), &["placeholder-name"])]
#[case::dns_server(
    cnp("egress: [{ toEndpoints: [{ matchLabels: { app: b } }], toPorts: [{ ports: [{ port: '53', protocol: UDP }], rules: { dns: [{ matchPattern: '*' }] } }] }]"),
    &["dns-server-absent"])]
#[case::no_dns(knp("policyTypes: [Egress]"), &["default-deny-without-dns"])]
#[case::undeclared(knp("policyTypes: [Ingress], egress: [{}]"), &["undeclared-direction"])]
#[case::deny_only(cnp("ingressDeny: [{ fromEntities: [world] }]"), &["deny-only"])]
#[case::deny_with_switch(cnp("enableDefaultDeny: { ingress: false }, ingressDeny: [{ fromEntities: [world] }]"), &[])]
#[case::switch(cnp("enableDefaultDeny: { egress: true }, ingress: [{ fromEntities: [world] }]"), &["switch-without-rules"])]
#[case::shadow_of_a_group(
    format!("{}{GROUP}", cnp("egress: [{ toCIDRSet: [{ cidrGroupRef: g }] }], egressDeny: [{ toCIDR: [203.0.113.0/24] }]")),
    &["default-deny-without-dns", "deny-shadows-allow"])]
#[case::no_shadow_of_a_group(
    format!("{}{GROUP}", cnp("egress: [{ toCIDRSet: [{ cidrGroupRef: g }] }], egressDeny: [{ toCIDR: [203.0.113.0/29] }]")),
    &["default-deny-without-dns"])]
#[case::shadow_of_an_earlier_tier(format!("{}{}", knp("ingress: [{ from: [{ podSelector: { matchLabels: { app: b } } }] }]"), tier("Admin", "")),
    &["deny-shadows-allow"])]
#[case::no_shadow_of_a_later_tier(format!("{}{}", knp("ingress: [{ from: [{ podSelector: { matchLabels: { app: b } } }] }]"), tier("Baseline", "")), &[])]
#[case::no_shadow_behind_a_pass(
    format!("{}{}", knp("ingress: [{ from: [{ podSelector: { matchLabels: { app: b } } }] }]"), tier("Admin", "{ action: Pass, from: [{ namespaces: {} }] }, ")), &[])]
#[case::proxy(
    cnp("ingress: [{ fromEndpoints: [{ matchLabels: { app: b } }], toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ method: GET }] } }] }, \
         { fromEntities: [cluster], toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }]"),
    &["proxy-overruled"])]
#[case::proxy_beside_the_same_peers(
    cnp("ingress: [{ fromEndpoints: [{ matchLabels: { app: b } }], toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ method: GET }] } }] }, \
         { fromEndpoints: [{ matchLabels: { app: b } }], toPorts: [{ ports: [{ port: '80', protocol: TCP }] }] }]"), &["proxy-overruled"])]
#[case::switch_of_another(
    format!("{}{}", cnp("enableDefaultDeny: { ingress: false }, ingress: [{ fromEntities: [world] }]"),
        cnp("ingress: [{ fromEntities: [world] }]").replace("name: p", "name: q")), &["switch-overruled"])]
#[case::port_name_of_the_world(
    cnp(&format!("egress: [{DNS}, {{ toCIDR: [203.0.113.0/24], toPorts: [{{ ports: [{{ port: http, protocol: TCP }}] }}] }}]")), &["named-port-outside"])]
#[case::search_list(cnp(&format!("egress: [{}]", DNS.replace("'*'", "api.github.com"))), &["search-list-refused"])]
#[case::search_list_allowed(
    cnp(&format!("egress: [{}]", DNS.replace("{ matchPattern: '*' }", "{ matchName: api.github.com }, { matchPattern: '**.cluster.local' }"))), &[])]
#[case::every_port(cnp("ingress: [{ fromEntities: [world], toPorts: [{ ports: [{ port: '0' }] }] }]"), &["icmp-left-out", "port-zero"])]
#[case::every_port_of_knp(knp("ingress: [{ ports: [{ protocol: TCP }, { protocol: UDP }, { protocol: SCTP }] }]"), &["icmp-left-out"])]
#[case::two_protocols(knp("ingress: [{ ports: [{ protocol: TCP }, { protocol: UDP }] }]"), &[])]
#[case::probes(cnp("ingress: [{ fromEntities: [world] }], ingressDeny: [{ fromEntities: [cluster] }]"), &["probes-denied"])]
#[case::probes_of_a_port(
    cnp("ingress: [{ fromEntities: [world] }], ingressDeny: [{ toPorts: [{ ports: [{ port: '8080', protocol: TCP }] }] }]"), &["probes-denied"])]
#[case::no_probes_of_another_port(
    cnp("ingress: [{ fromEntities: [world] }], ingressDeny: [{ toPorts: [{ ports: [{ port: '22', protocol: TCP }] }] }]"), &[])]
#[case::the_node_itself(cnp("ingress: [{ fromEntities: [world] }], ingressDeny: [{ fromEntities: [host] }]"), &[])]
#[case::own_node(format!("{HOST}{}", knp(&format!("policyTypes: [Egress], egress: [{DNS_OF_KNP}]"))), &["own-node-closed"])]
#[case::own_node_opened(
    format!("{HOST}{}{}", knp(&format!("policyTypes: [Egress], egress: [{DNS_OF_KNP}]")), cnp("egress: [{ toEntities: [host] }]")), &[])]
#[case::api_server(cnp(&format!("egress: [{DNS}, {{ toEntities: [kube-apiserver] }}]")), &["api-server-nowhere"])]
#[case::api_server_in_the_world(
    cnp(&format!("egress: [{DNS}, {{ toEntities: [kube-apiserver] }}], egressDeny: [{{ toEntities: [world] }}]")),
    &["api-server-denied", "api-server-nowhere"])]
#[case::double_star(cnp(&format!("egress: [{}]", DNS.replace("'*'", "'a.**.com'"))), &["double-star-inside"])]
fn warnings(#[case] policies: String, #[case] expected: &[&str]) {
    assert_eq!(codes(WORLD, &policies, Dialect::Cilium), expected, "{policies}");
}

/// What the release before opens further.
#[rstest]
#[case::block(knp("ingress: [{ from: [{ ipBlock: { cidr: 203.0.113.0/24 } }] }]"), &["fails-open"])]
#[case::namespaces(
    knp("ingress: [{ from: [{ namespaceSelector: { matchExpressions: [{ key: team, operator: NotIn, values: [x] }] } }] }]"), &["fails-open"])]
#[case::groups(
    format!("{}{GROUP}", cnp("ingress: [{ fromCIDRSet: [{ cidrGroupSelector: { matchExpressions: [{ key: x, operator: NotIn, values: [y] }] } }] }]")),
    &["fails-open"])]
#[case::port_name(
    format!("{}{OTHER_HTTP}", cnp(&format!("egress: [{DNS}, {{ toEntities: [cluster], toPorts: [{{ ports: [{{ port: http, protocol: TCP }}] }}] }}]"))),
    &["named-port-ambiguous"])]
fn warnings_of_the_release_before(#[case] policies: String, #[case] expected: &[&str]) {
    assert_eq!(codes(WORLD, &policies, Dialect::Cilium119), expected, "{policies}");
    let newer = codes(WORLD, &policies, Dialect::Cilium);
    assert!(newer.is_empty(), "{newer:?}");
}

const OTHER_HTTP: &str = "---\napiVersion: v1\nkind: Pod\nmetadata: { name: c, namespace: shop, labels: { app: c } }\n\
                          spec: { containers: [{ ports: [{ name: http, containerPort: 8081 }] }] }\n";

#[test]
fn without_pods_nobody_is_missed() {
    let policies = cnp("ingress: [{ fromEndpoints: [{ matchLabels: { app: x } }] }]");
    assert!(codes("", &policies, Dialect::Cilium).is_empty());
}

#[test]
fn prefixes_mean_pods_in_the_text_of_the_kubernetes_api() {
    let policies = knp("ingress: [{ from: [{ ipBlock: { cidr: 10.0.1.0/24 } }] }]");
    assert!(codes(WORLD, &policies, Dialect::Kubernetes).is_empty());
}

#[test]
fn a_warning_shows_place_reason_and_remedy() {
    let source = Source::new("p.yaml", cnp("ingress: [{}]"));
    let warnings = lint(&of_sources(&[source], None).unwrap());
    insta::assert_snapshot!(crate::diagnostic::render_all(&warnings, crate::diagnostic::Style::Plain));
    insta::assert_snapshot!("github", crate::report::findings::github(&warnings));
    insta::assert_snapshot!("sarif", crate::report::findings::sarif(&warnings));
    insta::assert_snapshot!("json", crate::report::findings::json(&warnings));
}
