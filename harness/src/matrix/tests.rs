//! Pages of a small shop, in every format.

use egret_core::Protocol;
use egret_core::fqdn::Names;
use egret_core::judge;

use super::{Filter, Page, Wanted, fits, page, parse_traffic};
use crate::cluster::of_sources;
use crate::source::Source;

/// Three workloads; the database lets the API in, and a prefix; DNS of the API goes through the proxy.
pub(crate) const SHOP: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec: { replicas: 2, template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web, ports: [{ containerPort: 8080 }] }] } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: api, namespace: shop }
spec: { replicas: 1, template: { metadata: { labels: { app: api } }, spec: { containers: [{ name: api }] } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db, namespace: data }
spec: { replicas: 3, template: { metadata: { labels: { app: db } }, spec: { containers: [{ name: db, ports: [{ containerPort: 5432 }] }] } } }
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: db, namespace: data }
spec:
  endpointSelector: {}
  ingress:
    - fromEndpoints: [{ matchLabels: { app: api, io.kubernetes.pod.namespace: shop } }]
      toPorts: [{ ports: [{ port: \"5432\", protocol: TCP }] }]
    - fromCIDR: [192.0.2.0/24]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: dns, namespace: shop }
spec:
  endpointSelector: { matchLabels: { app: api } }
  enableDefaultDeny: { egress: false }
  egress:
    - toEntities: [world]
      toPorts: [{ ports: [{ port: \"53\", protocol: UDP }], rules: { dns: [{ matchPattern: \"*\" }] } }]
";

fn shown(wanted: &Wanted) -> Page {
    let cluster = of_sources(&[Source::new("shop.yaml", SHOP)], None).unwrap();
    page(&judge::Cluster::new(&cluster.desired, &Names::default()), &cluster.policies, wanted)
}

#[test]
fn a_table_for_people_with_reasons() {
    let wanted = Wanted { from: vec![Filter::new("shop")], ..Wanted::default() };
    insta::assert_snapshot!(shown(&wanted).text(true));
}

/// Pods that nobody can tell apart are told apart by the filters.
#[test]
fn filters_choose_pods_and_not_parties() {
    let wanted = Wanted {
        traffic: vec![(Protocol::Tcp, 5432)],
        from: vec![Filter::new("data/db-0")],
        to: vec![Filter::new("data/db-1"), Filter::new("data/db-2")],
    };
    let found = shown(&wanted);
    let parties: Vec<_> = found.parties.iter().map(|party| (party.name.as_str(), party.sends)).collect();
    assert_eq!(parties, [("data/db", true), ("data/db ×2", false)]);
    assert_eq!(found.pairs.len(), 1);
    let itself =
        Wanted { from: vec![Filter::new("data/db-0")], to: vec![Filter::new("data/db-0")], ..wanted };
    assert!(shown(&itself).pairs.is_empty());
}

#[test]
fn a_table_in_markdown() {
    insta::assert_snapshot!(shown(&Wanted::default()).markdown());
}

#[test]
fn a_line_for_each_flow() {
    let wanted = Wanted {
        traffic: vec![(Protocol::Tcp, 5432)],
        from: vec![Filter::new("shop/*"), Filter::new("world")],
        to: vec![Filter::new("data/db-1")],
    };
    insta::assert_snapshot!(shown(&wanted).csv());
}

#[test]
fn a_graph_has_edges_where_something_passes() {
    let wanted = Wanted { to: vec![Filter::new("data")], ..Wanted::default() };
    insta::assert_snapshot!(shown(&wanted).dot());
}

#[test]
fn a_document_for_programs() {
    let wanted =
        Wanted { from: vec![Filter::new("shop/api*")], to: vec![Filter::new("data")], ..Wanted::default() };
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown(&wanted)).unwrap());
}

#[test]
fn a_browser_loads_nothing_else() {
    let mut page = shown(&Wanted::default());
    page.parties[0].name = "<b>&\"".to_owned();
    let html = page.html();
    assert!(html.contains("&lt;b&gt;&amp;&quot;") && !html.contains("<b>"), "{html}");
    for loads in ["<script", "src=", "href=", "url(", "@import", "http:", "https:"] {
        assert!(!html.contains(loads), "{loads}");
    }
    assert_eq!(html.matches("<tr>").count(), page.parties.len() + 1);
    assert!(html.contains("CiliumNetworkPolicy data/db ingress[0].toPorts[0] (shop.yaml:"), "{html}");
}

#[test]
fn patterns_of_parties() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a/*", "a/b-0", true),
        ("*/b*0", "a/b-0", true),
        ("*/b*1", "a/b-0", false),
        ("*", "", true),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn ports_of_a_command_line() {
    assert_eq!(parse_traffic("80"), Ok((Protocol::Tcp, 80)));
    assert_eq!(parse_traffic("53/UDP"), Ok((Protocol::Udp, 53)));
    for wrong in ["http", "80/XTP", "70000", ""] {
        assert!(parse_traffic(wrong).is_err(), "{wrong}");
    }
}
