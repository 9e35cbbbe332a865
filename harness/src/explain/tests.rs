//! Explanations as a person reads them.

use egret_core::Protocol;
use egret_core::fqdn::Names;
use egret_core::judge::{self, Layer7, Party, Question};
use egret_core::rule::Dialect;
use egret_shared::DropReason;
use proptest::prelude::*;
use rstest::rstest;

use super::{Explanation, edits, explain_with_flips};
use crate::cluster::{Cluster, of_sources};
use crate::source::Source;

const CLUSTER: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web, tier: front } }
spec: {}
---
apiVersion: v1
kind: Pod
metadata: { name: db, namespace: shop, labels: { app: db } }
spec: { containers: [{ ports: [{ name: sql, containerPort: 5432 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { selector: { app: db }, ports: [{ port: 1, targetPort: sql }] }
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  endpointSelector:
    matchLabels:
      app: db
  ingress:
  - fromEndpoints:
    - matchLabels:
        app: web
        tier: front
    toPorts:
    - ports:
      - port: sql
        protocol: TCP
  ingressDeny:
  - fromCIDR:
    - 203.0.113.0/24
";

fn explained(change: (&str, &str), from: &str, to: &str, port: u16) -> Explanation {
    let source = Source::new("shop.yaml", CLUSTER.replace(change.0, change.1));
    let cluster = of_sources(&[source], None).unwrap();
    let compiled = judge::Cluster::new(&cluster.desired, &Names::default());
    let question = Question {
        from: Party::parse(from).unwrap(),
        to: Party::parse(to).unwrap(),
        protocol: Protocol::Tcp,
        port,
        layer7: None,
    };
    explain_with_flips(&cluster, &compiled, &Names::default(), &question).unwrap()
}

#[rstest]
#[case::allowed("allowed", ("", ""), "shop/web", "shop/db", 5432)]
#[case::through_a_service("service", ("", ""), "shop/web", "service/shop/db", 1)]
#[case::wrong_port("port", ("", ""), "shop/web", "shop/db", 80)]
#[case::wrong_label("label", ("tier: front } }", "tier: back } }"), "shop/web", "shop/db", 5432)]
#[case::denied("denied", ("", ""), "203.0.113.9", "shop/db", 5432)]
#[case::unenforced("unenforced", ("", ""), "shop/db", "shop/web", 80)]
#[case::outside("outside", ("", ""), "world", "host", 80)]
fn chains(
    #[case] name: &str,
    #[case] change: (&str, &str),
    #[case] from: &str,
    #[case] to: &str,
    #[case] port: u16,
) {
    insta::assert_snapshot!(name, explained(change, from, to, port).to_string());
}

#[test]
fn as_json() {
    let explanation = explained(("", ""), "shop/web", "shop/db", 80);
    insta::assert_snapshot!(serde_json::to_string_pretty(&explanation).unwrap());
}

/// A rule matches by its conditions exactly where it could have decided: whatever decided matches.
#[rstest]
#[case("shop/web", "shop/db", 5432)]
#[case("203.0.113.9", "shop/db", 5432)]
fn the_deciding_rule_matches(#[case] from: &str, #[case] to: &str, #[case] port: u16) {
    let explanation = explained(("", ""), from, to, port);
    let decided: Vec<_> = explanation.ingress.rules.iter().filter(|rule| rule.decides).collect();
    assert_eq!(decided.len(), 1);
    assert!(decided[0].matches, "{decided:?}");
}

/// What the policies of a random cluster hold; each is for `shop`.
const RULES: [&str; 9] = [
    "ingress: [{}]",
    "ingress: [{ fromEndpoints: [{ matchLabels: { app: web, tier: back } }] }]",
    "ingress: [{ fromEndpoints: [{ matchLabels: { app: web } }], toPorts: [{ ports: [{ port: sql }] }] }]",
    "ingress: [{ fromEntities: [cluster] }]",
    "ingress: [{ fromCIDR: [192.0.2.0/24] }]",
    "ingressDeny: [{ toPorts: [{ ports: [{ port: '5432' }] }] }, { fromEntities: [world] }]",
    "egress: [{ toEndpoints: [{ matchLabels: { app: db } }], toPorts: [{ ports: [{ port: '80' }] }] }]",
    "egressDeny: [{ toEntities: [host] }]",
    "enableDefaultDeny: { egress: false }, egressDeny: [{ toEndpoints: [{ matchLabels: { tier: front } }] }]",
];
const PARTIES: [&str; 4] = ["shop/web", "shop/db", "203.0.113.9", "host"];

fn random(chosen: &[(usize, bool)]) -> Cluster {
    let mut text = CLUSTER.rsplit_once("---").unwrap().0.to_owned();
    for (number, (rule, all)) in chosen.iter().enumerate() {
        let subject = if *all { "{}" } else { "{ matchLabels: { app: db } }" };
        text += &format!(
            "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
             metadata: {{ name: p{number}, namespace: shop }}\n\
             spec: {{ endpointSelector: {subject}, {} }}\n",
            RULES[*rule]
        );
    }
    of_sources(&[Source::new("random.yaml", text)], Some(Dialect::Cilium)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every change that is told turns the verdict over. Some change is told of what passes by one rule, and of what
    /// one end alone drops by default: where a rule drops, nothing else may allow it.
    #[test]
    fn every_change_that_is_told_turns_the_verdict_over(
        chosen in proptest::collection::vec((0..RULES.len(), any::<bool>()), 0..5),
        (from, to) in (0..PARTIES.len(), 0..PARTIES.len()),
        port in proptest::sample::select(vec![80, 5432]),
    ) {
        prop_assume!(from != to);
        let cluster = random(&chosen);
        let party = |text| Party::parse(text).unwrap();
        let (from, to) = (party(PARTIES[from]), party(PARTIES[to]));
        let question = Question { from, to, protocol: Protocol::Tcp, port, layer7: None };
        let names = Names::default();
        let compiled = judge::Cluster::new(&cluster.desired, &names);
        let answer = compiled.ask(&question).unwrap();
        let edits = edits(&cluster, &compiled, &names, &question).unwrap();
        for edit in &edits {
            let mut desired = cluster.desired.clone();
            edit.change.apply(&mut desired);
            let changed = judge::Cluster::new(&desired, &names).ask(&question).unwrap();
            prop_assert_ne!(answer.dropped().is_some(), changed.dropped().is_some(), "{}", edit);
        }
        let drops = [answer.egress.reason, answer.ingress.reason];
        let has_endpoint = answer.egress.endpoint.is_some() || answer.ingress.endpoint.is_some();
        let is_denied = drops.contains(&Some(DropReason::PolicyDeny));
        let by_several = answer.egress.by.len() + answer.ingress.by.len() > 1;
        if has_endpoint && !by_several && !is_denied && drops.iter().flatten().count() < 2 {
            prop_assert!(!edits.is_empty(), "nothing is told of {:?}", answer);
        }
    }
}

/// Requests, names and server names that a proxy refuses.
#[rstest]
#[case("rules: { http: [{ method: GET, path: /a }] }", Layer7::Http {
    method: "POST".into(), path: "/a?b=(c)".into(), host: String::new(), headers: Vec::new(),
}, "list `POST /a?b=(c)` in CiliumNetworkPolicy shop/p egress[0].toPorts[0]")]
#[case("rules: { dns: [{ matchName: a.com }] }", Layer7::Dns("b.com".into()),
    "list `b.com` in CiliumNetworkPolicy shop/p egress[0].toPorts[0]")]
#[case("serverNames: [a.com]", Layer7::ServerName("b.com".into()),
    "list `b.com` in CiliumNetworkPolicy shop/p egress[0].toPorts[0]")]
fn what_a_proxy_refuses(#[case] rules: &str, #[case] seen: Layer7, #[case] expected: &str) {
    let text = format!(
        "{}---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{ name: p, namespace: shop }}\n\
         spec: {{ endpointSelector: {{}}, egress: [{{ toEntities: [world], \
         toPorts: [{{ ports: [{{ port: '80', protocol: TCP }}], {rules} }}] }}] }}\n",
        CLUSTER.rsplit_once("---").unwrap().0
    );
    let cluster = of_sources(&[Source::new("p.yaml", text)], None).unwrap();
    let compiled = judge::Cluster::new(&cluster.desired, &Names::default());
    let (from, to) = (Party::parse("shop/web").unwrap(), Party::parse("203.0.113.9").unwrap());
    let question = Question { from, to, protocol: Protocol::Tcp, port: 80, layer7: Some(seen) };
    let edits = edits(&cluster, &compiled, &Names::default(), &question).unwrap();
    assert!(edits.iter().any(|edit| edit.text == expected), "{edits:?}");
}

/// A node has rules of its own.
#[test]
fn rules_of_a_node() {
    let text = format!(
        "{}---\napiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{ name: nodes }}\n\
         spec: {{ nodeSelector: {{}}, ingress: [{{ fromEntities: [remote-node] }}] }}\n",
        CLUSTER.rsplit_once("---").unwrap().0
    );
    let cluster = of_sources(&[Source::new("p.yaml", text)], None).unwrap();
    let compiled = judge::Cluster::new(&cluster.desired, &Names::default());
    let (from, to) = (Party::parse("203.0.113.9").unwrap(), Party::parse("node/node-1").unwrap());
    let question = Question { from, to, protocol: Protocol::Tcp, port: 22, layer7: None };
    let explanation = explain_with_flips(&cluster, &compiled, &Names::default(), &question).unwrap();
    assert_eq!(explanation.ingress.endpoint.as_deref(), Some("node node-1"));
    assert_eq!(explanation.ingress.rules.len(), 1);
    let expected = "add the entity `world` to the peers of CiliumClusterwideNetworkPolicy nodes ingress[0]";
    let flips = explanation.flips.unwrap();
    assert!(flips.iter().any(|flip| flip == expected), "{flips:?}");
}
