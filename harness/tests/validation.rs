//! What the API server refuses, by the schemas of the resources and its built-in checks, is refused here; what lies
//! just inside each limit is accepted. One row for each constraint (policy semantics 3.1 and 3.3).

use egret::cluster::of_sources;
use egret::source::Source;

/// What is said of a policy; `None`: it is accepted.
fn said(text: &str) -> Option<String> {
    let problems = of_sources(&[Source::new("p.yaml", text)], None).err()?;
    for problem in &problems {
        assert!(problem.location.is_some(), "no place: {problem:?}");
    }
    Some(problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; "))
}

fn document(version: &str, kind: &str, spec: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: a }}\nspec: {{ {spec} }}\n")
}

fn cilium(spec: &str) -> String {
    document("cilium.io/v2", "CiliumNetworkPolicy", spec)
}

/// One egress rule of a policy for all pods.
fn egress(rule: &str) -> String {
    cilium(&format!("endpointSelector: {{}}, egress: [{{ {rule} }}]"))
}

fn ingress(rule: &str) -> String {
    cilium(&format!("endpointSelector: {{}}, ingress: [{{ {rule} }}]"))
}

fn ports(item: &str) -> String {
    egress(&format!("toPorts: [{{ {item} }}]"))
}

fn port(port: &str) -> String {
    ports(&format!("ports: [{{ {port} }}]"))
}

fn http(rule: &str) -> String {
    ports(&format!("ports: [{{ port: '80', protocol: TCP }}], rules: {{ http: [{{ {rule} }}] }}"))
}

fn dns(rule: &str) -> String {
    ports(&format!("ports: [{{ port: '53' }}], rules: {{ dns: [{{ {rule} }}] }}"))
}

fn server(names: &str) -> String {
    ports(&format!("ports: [{{ port: '443', protocol: TCP }}], serverNames: [{names}]"))
}

fn icmp(field: &str) -> String {
    egress(&format!("icmps: [{{ fields: [{field}] }}]"))
}

fn group(spec: &str) -> String {
    document("cilium.io/v2", "CiliumCIDRGroup", spec)
}

fn tier(spec: &str) -> String {
    document("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", spec)
}

/// A rule of a tier for all namespaces.
fn tier_egress(rule: &str) -> String {
    tier(&format!("tier: Admin, priority: 1, subject: {{ namespaces: {{}} }}, egress: [{{ {rule} }}]"))
}

fn tier_port(protocol: &str) -> String {
    tier_egress(&format!("action: Accept, to: [{{ namespaces: {{}} }}], protocols: [{protocol}]"))
}

fn kubernetes(spec: &str) -> String {
    document("networking.k8s.io/v1", "NetworkPolicy", spec)
}

fn kubernetes_ingress(rule: &str) -> String {
    kubernetes(&format!("podSelector: {{}}, ingress: [{{ {rule} }}]"))
}

fn many(item: &str, number: usize) -> String {
    vec![item; number].join(", ")
}

/// Items that differ, since some lists are sets: `{}` stands for the number.
fn each(item: &str, number: usize) -> String {
    (1..=number).map(|at| item.replace("{}", &at.to_string())).collect::<Vec<_>>().join(", ")
}

/// Refused, each with what must be said.
fn refused() -> Vec<(String, &'static str)> {
    let long = "a".repeat(64);
    vec![
        // CiliumNetworkPolicy
        (cilium("ingress: [{}]"), "endpointSelector"),
        (cilium("endpointSelector: {}"), "ingress"),
        (cilium("endpointSelector: {}, nodeSelector: {}, ingress: [{}]"), "nodeSelector"),
        (cilium("nodeSelector: {}, ingress: [{}]"), "nodeSelector"),
        (cilium("endpointSelector: {}, ingress: []"), "ingress"),
        (cilium("endpointSelector: {}, ingress: [{}], labels: [{ value: x }]"), "key"),
        (
            cilium(&format!("endpointSelector: {{}}, ingress: [{{}}], log: {{ value: {} }}", "a".repeat(33))),
            "32",
        ),
        (cilium("endpointSelector: {}, ingress: [{}], log: { value: \"a\\x01b\" }"), "log.value"),
        (cilium("endpointSelector: {}, description: x"), "ingress"),
        (cilium("endpointSelector: { matchLabels: { a: '-b' } }, ingress: [{}]"), "-b"),
        (
            cilium(&format!("endpointSelector: {{ matchLabels: {{ a: {long} }} }}, ingress: [{{}}]")),
            "is not a label value",
        ),
        (cilium("endpointSelector: { matchExpressions: [{ key: a }] }, ingress: [{}]"), "operator"),
        (cilium("endpointSelector: { matchExpressions: [{ operator: Exists }] }, ingress: [{}]"), "key"),
        (cilium("endpointSelector: { matchExpressions: [{ key: a, operator: Is }] }, ingress: [{}]"), "Is"),
        (
            cilium("endpointSelector: { matchExpressions: [{ key: a, operator: In }] }, ingress: [{}]"),
            "value",
        ),
        (
            cilium(
                "endpointSelector: { matchExpressions: [{ key: a, operator: Exists, values: [b] }] }, ingress: [{}]",
            ),
            "values",
        ),
        (egress("authentication: { mode: perhaps }"), "perhaps"),
        (egress("authentication: {}"), "mode"),
        (icmp("{ family: IPv4 }"), "type"),
        (icmp("{ type: 256 }"), "256"),
        (icmp("{ type: Ping }"), "Ping"),
        (icmp("{ type: 8, family: IPv5 }"), "IPv5"),
        (icmp(&many("{ type: 8 }", 41)), "40"),
        (egress("icmps: [{ fields: [{ type: 8 }] }], toPorts: [{ ports: [{ port: '80' }] }]"), "icmps"),
        (egress("toCIDR: [10.0.0.0]"), "CIDR"),
        (egress("toCIDR: [10.0.0.0/33]"), "CIDR"),
        (egress("toCIDR: ['']"), "CIDR"),
        (egress("toCIDR: [10.0.0.0/08]"), "CIDR"),
        (egress("toCIDR: [10.0.0.00/8]"), "CIDR"),
        (egress("toCIDR: ['fe80::1%eth0/64']"), "CIDR"),
        (egress("toCIDRSet: [{}]"), "cidr"),
        (egress("toCIDRSet: [{ cidr: 10.0.0.0/8, cidrGroupRef: a }]"), "cidr"),
        (egress("toCIDRSet: [{ cidr: 10.0.0.0/8, except: [11.0.0.0/16] }]"), "10.0.0.0/8"),
        (egress("toCIDRSet: [{ cidrGroupRef: A }]"), "`A`"),
        (egress("toCIDRSet: [{ cidrGroupRef: '' }]"), "cidrGroupRef"),
        (egress("toCIDRSet: [{ cidrGroupRef: a., except: [10.0.0.0/8] }]"), "a."),
        (
            egress(&format!("toCIDRSet: [{{ cidrGroupRef: {} }}]", "a".repeat(254))),
            "is not the name of an object",
        ),
        (egress("toEntities: [world-ipv4]"), "world-ipv4"),
        (egress("toEntities: [World]"), "World"),
        (egress("toFQDNs: [{}]"), "matchName"),
        (egress("toFQDNs: [{ matchName: a.com, matchPattern: a.com }]"), "match"),
        (egress("toFQDNs: [{ matchName: 'a..com' }]"), "a..com"),
        (egress("toFQDNs: [{ matchName: '.com' }]"), ".com"),
        (egress("toFQDNs: [{ matchName: '*.com' }]"), "*.com"),
        (egress("toFQDNs: [{ matchName: 'ä.com' }]"), "ä.com"),
        (egress("toFQDNs: [{ matchName: '' }]"), "matchName"),
        (egress("toFQDNs: [{ matchPattern: 'a?.com' }]"), "a?.com"),
        (egress("toFQDNs: [{ matchPattern: '' }]"), "matchPattern"),
        (egress(&format!("toFQDNs: [{{ matchName: {} }}]", "a".repeat(256))), "255"),
        (egress(&format!("toFQDNs: [{{ matchPattern: {} }}]", "a".repeat(256))), "255"),
        (egress("toFQDNs: [{ matchName: a.com }], toCIDR: [10.0.0.0/8]"), "toFQDNs"),
        (egress("toEndpoints: [{}], toEntities: [world]"), "toEntities"),
        (egress("toRequires: [{}]"), "toRequires"),
        (ingress("fromRequires: [{}]"), "fromRequires"),
        (egress("toServices: [{ k8sServiceSelector: {} }]"), "selector"),
        (egress("toServices: [{ k8sService: { name: a } }]"), "name"),
        (ports(&format!("ports: [{}]", many("{ port: '80' }", 41))), "40"),
        (port("port: '65536'"), "65536"),
        (port("port: '-1'"), "-1"),
        (port("port: 'a_b'"), "a_b"),
        (port("port: '1', endPort: 65536"), "65535"),
        (port("port: '1', endPort: -1"), "65535"),
        (port("port: '1', protocol: ICMP"), "ICMP"),
        (port("port: '1', protocol: tcp"), "tcp"),
        (port("protocol: TCP"), "port"),
        (ports("ports: [{ port: '80' }], rules: { http: [{}], dns: [{ matchName: a.com }] }"), "rules"),
        (ports("ports: [{ port: '80', protocol: UDP }], rules: { http: [{}] }"), "TCP"),
        (ports("ports: [{ port: '0', protocol: TCP }], rules: { http: [{}] }"), "0"),
        (ports("ports: [{ port: '53', endPort: 54 }], rules: { dns: [{ matchName: a.com }] }"), "range"),
        (ports("rules: { dns: [{ matchName: a.com }] }"), "port"),
        (
            ingress("toPorts: [{ ports: [{ port: '53' }], rules: { dns: [{ matchName: a.com }] } }]"),
            "ingress",
        ),
        (dns("{ }").replace("[{ { } }]", "[{}]"), "matchName"),
        (dns("matchName: a.com, matchPattern: a.com"), "match"),
        (dns("matchName: '*.com'"), "*.com"),
        (dns("matchPattern: 'a b'"), "a b"),
        (http("path: '('"), "regular expression"),
        (http("method: '('"), "regular expression"),
        (http("headerMatches: [{ value: a }]"), "name"),
        (http("headerMatches: [{ name: a, mismatch: IGNORE }]"), "IGNORE"),
        (server(""), "serverNames"),
        (server("''"), "is empty"),
        (server("'a..b'"), "a..b"),
        (server("'a b'"), "a b"),
        (server("a.com, a.com"), "twice"),
        (server(&"a".repeat(256)), "255"),
        (ports("ports: [{ port: '443', protocol: TCP }], terminatingTLS: {}"), "secret"),
        (ports("ports: [{ port: '443', protocol: TCP }], terminatingTLS: { secret: {} }"), "name"),
        (ports("ports: [{ port: '443', protocol: TCP }], listener: { name: x }"), "envoyConfig"),
        (
            ports(
                "ports: [{ port: '443', protocol: TCP }], listener: { envoyConfig: { name: '' }, name: x }",
            ),
            "name",
        ),
        (
            ports(
                "ports: [{ port: '443', protocol: TCP }], listener: { envoyConfig: { kind: X, name: a }, name: x }",
            ),
            "X",
        ),
        (
            ports(
                "ports: [{ port: '443', protocol: TCP }], listener: { envoyConfig: { name: a }, name: x, priority: 0 }",
            ),
            "priority",
        ),
        (
            ports(
                "ports: [{ port: '443', protocol: TCP }], listener: { envoyConfig: { name: a }, name: x, priority: 101 }",
            ),
            "priority",
        ),
        // CiliumCIDRGroup
        (group(""), "externalCIDRs"),
        (group("externalCIDRs: [10.0.0.0]"), "CIDR"),
        // ClusterNetworkPolicy
        (tier("priority: 1, subject: { namespaces: {} }"), "tier"),
        (tier("tier: Admin, subject: { namespaces: {} }"), "priority"),
        (tier("tier: Admin, priority: 1"), "subject"),
        (tier("tier: Middle, priority: 1, subject: { namespaces: {} }"), "Middle"),
        (tier("tier: Admin, priority: 1001, subject: { namespaces: {} }"), "1000"),
        (tier("tier: Admin, priority: -1, subject: { namespaces: {} }"), "1000"),
        (tier("tier: Admin, priority: 1, subject: {}"), "subject"),
        (tier("tier: Admin, priority: 1, subject: { namespaces: {}, pods: { podSelector: {} } }"), "subject"),
        (tier("tier: Admin, priority: 1, subject: { pods: { namespaceSelector: {} } }"), "podSelector"),
        (
            tier(&format!(
                "tier: Admin, priority: 1, subject: {{ namespaces: {{}} }}, egress: [{}]",
                many("{ action: Deny, to: [{ namespaces: {} }] }", 26)
            )),
            "25",
        ),
        (
            tier(&format!(
                "tier: Admin, priority: 1, subject: {{ namespaces: {{}} }}, ingress: [{}]",
                many("{ action: Deny, from: [{ namespaces: {} }] }", 26)
            )),
            "25",
        ),
        (tier_egress("to: [{ namespaces: {} }]"), "action"),
        (tier_egress("action: Allow, to: [{ namespaces: {} }]"), "Allow"),
        (tier_egress("action: Deny"), "to"),
        (tier_egress("action: Deny, to: []"), "to"),
        (tier_egress(&format!("action: Deny, to: [{}]", many("{ namespaces: {} }", 26))), "25"),
        (tier_egress("action: Deny, to: [{}]"), "to[0]"),
        (tier_egress("action: Deny, to: [{ namespaces: {}, pods: { podSelector: {} } }]"), "to[0]"),
        (
            tier_egress(&format!("name: {}, action: Deny, to: [{{ namespaces: {{}} }}]", "a".repeat(101))),
            "100",
        ),
        (tier_egress("action: Deny, to: [{ networks: [] }]"), "networks"),
        (tier_egress("action: Deny, to: [{ networks: [10.0.0.0] }]"), "CIDR"),
        (tier_egress("action: Deny, to: [{ networks: [10.0.0.0/8, 10.0.0.0/8] }]"), "twice"),
        (tier_egress(&format!("action: Deny, to: [{{ networks: [{}] }}]", each("10.0.{}.0/24", 26))), "25"),
        (tier_egress("action: Accept, to: [{ domainNames: [] }]"), "domainNames"),
        (tier_egress("action: Accept, to: [{ domainNames: [a] }]"), "`a`"),
        (tier_egress("action: Accept, to: [{ domainNames: ['a.*.com'] }]"), "a.*.com"),
        (tier_egress("action: Accept, to: [{ domainNames: [a.com, a.com] }]"), "twice"),
        (tier_egress("action: Deny, to: [{ domainNames: [a.com] }]"), "domainNames"),
        (tier_port(""), "protocols"),
        (tier_port(&many("{ tcp: { destinationPort: { number: 80 } } }", 26)), "25"),
        (tier_port("{}"), "protocols[0]"),
        (tier_port("{ tcp: {} }"), "tcp"),
        (tier_port("{ tcp: { destinationPort: {} } }"), "destinationPort"),
        (
            tier_port("{ tcp: { destinationPort: { number: 80, range: { start: 1, end: 2 } } } }"),
            "destinationPort",
        ),
        (tier_port("{ tcp: { destinationPort: { number: 0 } } }"), "65535"),
        (tier_port("{ tcp: { destinationPort: { number: 65536 } } }"), "65535"),
        (tier_port("{ tcp: { destinationPort: { range: { start: 2 } } } }"), "end"),
        (tier_port("{ tcp: { destinationPort: { range: { start: 2, end: 2 } } } }"), "end"),
        (
            tier_port(
                "{ tcp: { destinationPort: { number: 80 } }, udp: { destinationPort: { number: 80 } } }",
            ),
            "protocols[0]",
        ),
        (
            tier_egress(
                "action: Deny, to: [{ networks: [10.0.0.0/8] }], protocols: [{ destinationNamedPort: web }]",
            ),
            "destinationNamedPort",
        ),
        // NetworkPolicy
        (kubernetes_ingress("ports: [{ protocol: ICMP }]"), "ICMP"),
        (kubernetes_ingress("ports: [{ port: 0 }]"), "65535"),
        (kubernetes_ingress("ports: [{ port: 65536 }]"), "65535"),
        (kubernetes_ingress("ports: [{ port: 'a b' }]"), "a b"),
        (kubernetes_ingress("ports: [{ port: sixteen-letters1 }]"), "is not a port name"),
        (kubernetes_ingress("ports: [{ port: '80' }]"), "80"),
        (kubernetes_ingress("ports: [{ port: a--b }]"), "a--b"),
        (kubernetes_ingress("ports: [{ port: -a }]"), "-a"),
        (kubernetes_ingress("ports: [{ port: 80, endPort: 79 }]"), "endPort"),
        (kubernetes_ingress("ports: [{ port: 80, endPort: 65536 }]"), "65535"),
        (kubernetes_ingress("ports: [{ port: web, endPort: 80 }]"), "endPort"),
        (kubernetes_ingress("ports: [{ endPort: 80 }]"), "endPort"),
        (kubernetes_ingress("from: [{}]"), "peer"),
        (kubernetes_ingress("from: [{ ipBlock: { cidr: 10.0.0.0/8 }, podSelector: {} }]"), "ipBlock"),
        (kubernetes_ingress("from: [{ ipBlock: { cidr: '' } }]"), "CIDR"),
        (kubernetes_ingress("from: [{ ipBlock: {} }]"), "cidr"),
        (
            kubernetes_ingress("from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.0.0.0/8] } }]"),
            "strict subset",
        ),
        (
            kubernetes_ingress("from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [11.0.0.0/16] } }]"),
            "strict subset",
        ),
        (kubernetes_ingress("from: [{ podSelector: { matchLabels: { 'a b': c } } }]"), "a b"),
        (kubernetes_ingress("from: [{ podSelector: { matchLabels: { a: 'b c' } } }]"), "b c"),
        (kubernetes_ingress("from: [{ podSelector: { matchLabels: { -a/b: c } } }]"), "-a/b"),
        (
            kubernetes_ingress("from: [{ podSelector: { matchExpressions: [{ key: a, operator: In }] } }]"),
            "value",
        ),
        (kubernetes("podSelector: {}, policyTypes: [ingress]"), "ingress"),
        (kubernetes("podSelector: {}, policyTypes: [Ingress, Egress, Ingress]"), "two"),
    ]
}

/// Accepted, since they lie just inside.
fn accepted() -> Vec<String> {
    vec![
        cilium("endpointSelector: {}, ingress: [{}], log: { value: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }"),
        cilium(&format!("endpointSelector: {{ matchLabels: {{ a: {} }} }}, ingress: [{{}}]", "a".repeat(63))),
        icmp(&many("{ type: 8 }", 40)),
        icmp("{ type: 255 }"),
        icmp("{ type: EchoRequest, family: IPv6 }"),
        egress("toCIDR: [0.0.0.0/0, '::/0', 10.0.0.1/8]"),
        egress("toCIDRSet: [{ cidr: 10.0.0.0/8, except: [10.0.0.0/8] }]"),
        egress("toFQDNs: [{ matchName: a_b.com. }]"),
        egress(&format!("toFQDNs: [{{ matchPattern: {} }}]", "a".repeat(255))),
        ports(&format!("ports: [{}]", many("{ port: '80' }", 40))),
        port("port: '65535'"),
        port("port: '80', endPort: 65535"),
        port("port: '80', endPort: 79"),
        port("protocol: GRE"),
        port("port: '0', protocol: VRRP"),
        server("'*.a.com', a.com"),
        ports(
            "ports: [{ port: '443', protocol: TCP }], listener: { envoyConfig: { name: a }, name: x, priority: 100 }",
        ),
        group("externalCIDRs: []"),
        tier("tier: Baseline, priority: 1000, subject: { pods: { podSelector: {}, namespaceSelector: {} } }"),
        tier(&format!(
            "tier: Admin, priority: 0, subject: {{ namespaces: {{}} }}, egress: [{}]",
            many("{ action: Pass, to: [{ namespaces: {} }] }", 25)
        )),
        tier_egress("action: Accept, to: [{ domainNames: ['*.a.com', b.com.] }]"),
        tier_port(
            "{ tcp: { destinationPort: { range: { start: 1, end: 65535 } } } }, { destinationNamedPort: web }",
        ),
        kubernetes_ingress("ports: [{ port: fifteen-letters }, { port: 80, endPort: 80 }]"),
        kubernetes_ingress("from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [10.0.0.0/9] } }]"),
        kubernetes("podSelector: {}, policyTypes: [Ingress, Egress]"),
        kubernetes("podSelector: {}, policyTypes: []"),
    ]
}

#[test]
fn what_the_api_server_refuses_is_refused() {
    let wrong: Vec<String> = refused()
        .into_iter()
        .filter_map(|(text, expected)| match said(&text) {
            None => Some(format!("accepted, expected `{expected}`:\n{text}")),
            Some(said) if !said.contains(expected) => {
                Some(format!("expected `{expected}`, said `{said}`:\n{text}"))
            }
            Some(_) => None,
        })
        .collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_lies_just_inside_is_accepted() {
    let wrong: Vec<String> =
        accepted().into_iter().filter_map(|text| Some(format!("{}:\n{text}", said(&text)?))).collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}
