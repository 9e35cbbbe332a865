//! Two versions of a small shop: what changes for all pairs, and for what was recorded.

use egret_core::fqdn::Names;
use egret_core::judge;

use super::{Difference, Effect, Recorded, Version, compare, read_record};
use crate::cluster::{Cluster, of_sources};
use crate::matrix::tests::SHOP;
use crate::source::Source;

fn load(file: &str, text: &str) -> (Cluster, judge::Cluster) {
    let cluster = of_sources(&[Source::new(file, text)], None).unwrap();
    let compiled = judge::Cluster::new(&cluster.desired, &Names::default());
    (cluster, compiled)
}

/// What `with` makes of the shop and of the same shop after a change.
fn between(
    change: impl Fn(&str) -> String,
    with: impl Fn(Version<'_>, Version<'_>) -> Difference,
) -> Difference {
    let ((old, before), (new, after)) = (load("old.yaml", SHOP), load("new.yaml", &change(SHOP)));
    with(
        Version { cluster: &before, places: &old.policies },
        Version { cluster: &after, places: &new.policies },
    )
}

fn all(old: Version<'_>, new: Version<'_>) -> Difference {
    compare(old, new, &[])
}

#[test]
fn another_peer_loosens_and_tightens() {
    let found = between(|text| text.replace("app: api, io", "app: web, io"), all);
    insta::assert_snapshot!(found.text());
    assert!(found.has(Effect::Loosened) && found.has(Effect::Tightened));
}

#[test]
fn a_smaller_prefix_tightens_the_rest_of_it() {
    let found = between(|text| text.replace("192.0.2.0/24", "192.0.2.0/28"), all);
    insta::assert_snapshot!(found.markdown());
    assert!(!found.has(Effect::Loosened) && found.has(Effect::Tightened));
}

#[test]
fn a_proxy_in_between_tightens_the_sender() {
    let found = between(|text| text.replace(", rules: { dns: [{ matchPattern: \"*\" }] }", ""), all);
    let workloads: Vec<&str> = found.workloads.iter().map(|workload| workload.workload.as_str()).collect();
    assert_eq!(workloads, ["shop/api"]);
    assert!(found.has(Effect::Loosened) && !found.has(Effect::Tightened));
}

#[test]
fn nothing_changes_but_names_and_order() {
    let found = between(|text| text.replace("name: dns,", "name: other,"), all);
    assert_eq!(found, Difference::default());
    assert_eq!(found.text(), "no flow changes\n");
}

#[test]
fn pods_that_come_and_go_are_named() {
    let found = between(|text| text.replace("replicas: 2", "replicas: 3"), all);
    assert_eq!((found.added.as_slice(), found.removed.len()), (&["shop/web-2".to_owned()][..], 0));
    assert!(found.workloads.is_empty());
}

const RECORD: &str = r#"
{"id":"1","from":"shop/api-0","to":"data/db-0","port":5432,"protocol":"TCP"}
{"flow":{"verdict":"FORWARDED","IP":{"source":"10.0.1.9","destination":"10.0.1.8","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":1,"destination_port":5432}},"source":{"namespace":"shop","pod_name":"api-7d9c-xyz","workloads":[{"name":"api","kind":"Deployment"}]},"destination":{"namespace":"data","pod_name":"db-1"},"is_reply":false}}
{"flow":{"IP":{"source":"10.0.1.8","destination":"10.0.1.9"},"l4":{"TCP":{"destination_port":1}},"source":{"namespace":"data","pod_name":"db-1"},"destination":{"namespace":"shop","pod_name":"api-0"},"is_reply":true}}
{"flow":{"IP":{"source":"192.0.2.7","destination":"10.0.1.8"},"l4":{"TCP":{"destination_port":5432}},"source":{"labels":["reserved:world"]},"destination":{"namespace":"data","pod_name":"db-1"}}}
{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.1.8"},"l4":{"ICMPv4":{"type":8}},"source":{"labels":["reserved:host"]},"destination":{"namespace":"data","pod_name":"db-1"}}}
{"flow":{"IP":{"source":"10.0.0.1","destination":"10.0.1.8"},"l4":{"VRRP":{"vrid":8}},"source":{},"destination":{}}}
{"from":"shop/gone-0","to":"data/db-0","port":5432}
"#;

#[test]
fn what_was_recorded_says_what_would_break() {
    let record = read_record(RECORD.as_bytes()).unwrap();
    let found = between(
        |text| text.replace("app: api, io", "app: web, io"),
        |old, new| Difference::of_record(old, new, &record),
    );
    insta::assert_snapshot!(found.text());
}

#[test]
fn lines_that_are_no_flows() {
    for (line, problem) in [
        ("{", "not JSON"),
        ("{}", "neither `from` and `to`, nor a Hubble `flow`"),
        (r#"{"from":"a"}"#, "not a flow"),
        (r#"{"from":"a//b","to":"c"}"#, "`a//b` is no party"),
        (r#"{"from":"a","to":"c","protocol":"XTP"}"#, "`XTP` is no protocol"),
        (r#"{"flow":{"IP":{"source":"x","destination":"y"}}}"#, "not a Hubble flow"),
    ] {
        let error = read_record(format!("\n{line}\n").as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("line 2: {problem}")), "{line}: {error}");
    }
    assert_eq!(read_record("{\"flow\":{}}".as_bytes()).unwrap(), [Recorded::Skipped]);
}
