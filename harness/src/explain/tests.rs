//! Explanations as a person reads them.

use egret_core::Protocol;
use egret_core::fqdn::Names;
use egret_core::judge::{self, Party, Question};
use rstest::rstest;

use super::{Explanation, explain};
use crate::cluster::of_sources;
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
    explain(&cluster, &compiled, &question).unwrap()
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
