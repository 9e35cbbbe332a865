//! Lines in, lines out.

use std::io::BufReader;

use egret_core::fqdn::Names;
use egret_core::judge;
use rstest::rstest;

use super::{Counts, answer_lines};
use crate::cluster::{Cluster, of_sources};
use crate::diff::read_record;
use crate::source::Source;

const CLUSTER: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: a, labels: { app: a } }
spec: {}
---
apiVersion: v1
kind: Pod
metadata: { name: b, labels: { app: b } }
spec: {}
---
apiVersion: v1
kind: Service
metadata: { name: b }
spec: { selector: { app: b }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: p
spec:
  endpointSelector: { matchLabels: { app: b } }
  ingress:
  - fromEndpoints: [{ matchLabels: { app: a } }]
    toPorts:
    - ports: [{ port: '80' }]
  ingressDeny:
  - fromEntities: [world]
";

fn cluster() -> Cluster {
    of_sources(&[Source::new("all.yaml", CLUSTER)], None).unwrap()
}

fn answers(lines: &str) -> (String, Counts) {
    let cluster = cluster();
    let compiled = judge::Cluster::new(&cluster.desired, &Names::default());
    let mut out = Vec::new();
    let counts =
        answer_lines(&compiled, &cluster.policies, BufReader::new(lines.as_bytes()), &mut out).unwrap();
    (String::from_utf8(out).unwrap(), counts)
}

#[test]
fn one_line_for_each_line_in_order() {
    let (out, counts) = answers(
        "{\"id\":\"7\",\"from\":\"default/a\",\"to\":\"default/b\",\"port\":80,\"protocol\":\"TCP\"}\n\
         \n\
         {\"id\":8,\"from\":\"default/a\",\"to\":\"default/b\",\"port\":81}\n\
         {\"from\":\"world\",\"to\":\"b\",\"port\":80}\n\
         {\"id\":\"s\",\"from\":\"a\",\"to\":\"service/default/b\",\"port\":80}\n\
         {\"id\":\"n\",\"from\":\"host\",\"to\":\"b\",\"protocol\":\"ICMP\"}",
    );
    insta::assert_snapshot!(out);
    assert_eq!(counts, Counts { lines: 5, bad: 0 });
}

#[test]
fn what_comes_again_is_answered_alike() {
    let line = "{\"id\":1,\"from\":\"a\",\"to\":\"b\",\"port\":80}\n";
    let (out, _) = answers(&line.repeat(3));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1]), (3, lines[1], lines[2]));
}

#[rstest]
#[case::not_json("nonsense", "expected ident at column 2")]
#[case::field(r#"{"id":1,"from":"a","to":"b","ports":80}"#, "unknown field `ports`")]
#[case::missing(r#"{"id":1,"from":"a","port":80}"#, "missing field `to`")]
#[case::port(r#"{"id":1,"from":"a","to":"b"}"#, "`port` is missing")]
#[case::range(r#"{"id":1,"from":"a","to":"b","port":65536}"#, "invalid value: integer `65536`, expected u16")]
#[case::protocol(r#"{"id":1,"from":"a","to":"b","port":1,"protocol":"tcp"}"#, "`tcp` is no protocol")]
#[case::icmp(r#"{"id":1,"from":"a","to":"b","port":1,"protocol":"ICMP"}"#, "give `icmp_type`")]
#[case::pod(r#"{"id":1,"from":"x","to":"b","port":1}"#, "there is no pod `default/x`")]
#[case::party(r#"{"id":1,"from":"a/b/c","to":"b","port":1}"#, "`a/b/c` names no pod")]
#[case::service(r#"{"id":1,"from":"a","to":"service/default/b","port":1}"#, "has no port 1/TCP")]
#[case::layers(
    r#"{"id":1,"from":"a","to":"b","port":1,"dns":"x","sni":"y"}"#,
    "one of `http`, `dns` and `sni`"
)]
fn bad_lines(#[case] line: &str, #[case] expected: &str) {
    let good = r#"{"id":2,"from":"a","to":"b","port":80}"#;
    let (out, counts) = answers(&format!("{line}\n{good}\n"));
    assert_eq!(counts, Counts { lines: 2, bad: 1 });
    let (bad, good) = out.split_once('\n').unwrap();
    let bad: serde_json::Value = serde_json::from_str(bad).unwrap();
    let id = if line == "nonsense" { serde_json::Value::Null } else { 1.into() };
    assert_eq!(bad["id"], id);
    assert!(bad["error"].as_str().unwrap().contains(expected), "{bad}");
    assert!(good.contains("\"verdict\":\"forwarded\""), "{good}");
}

#[test]
fn a_line_without_end_is_not_kept() {
    let good = r#"{"id":2,"from":"a","to":"b","port":80}"#;
    let (out, counts) = answers(&format!("{}\n{good}", "x".repeat(3 << 20)));
    assert_eq!(counts, Counts { lines: 2, bad: 1 });
    assert!(out.starts_with("{\"id\":null,\"error\":\"the line is longer than 1 MiB\"}\n"), "{out}");
}

#[test]
fn identifiers_come_back_as_they_were() {
    let (out, _) = answers(r#"{"id":"a\"\u00e9","from":"a","to":"b","port":80}"#);
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["id"], "a\"\u{e9}");
}

/// Another policy says the same: both are named.
#[test]
fn everybody_who_decides_is_named() {
    let again = CLUSTER.rsplit_once("---").unwrap().1.replace("name: p", "name: q");
    let source = Source::new("all.yaml", format!("{CLUSTER}---{again}"));
    let cluster = of_sources(&[source], None).unwrap();
    let compiled = judge::Cluster::new(&cluster.desired, &Names::default());
    for (from, rule) in [("a", "ingress[0].toPorts[0]"), ("world", "ingressDeny[0]")] {
        // Twice, so that what is remembered is also seen.
        let line = format!("{{\"from\":\"{from}\",\"to\":\"b\",\"port\":80}}\n").repeat(2);
        let mut out = Vec::new();
        answer_lines(&compiled, &cluster.policies, BufReader::new(line.as_bytes()), &mut out).unwrap();
        for line in std::str::from_utf8(&out).unwrap().lines() {
            let answer: serde_json::Value = serde_json::from_str(line).unwrap();
            let by = answer["ingress"]["by"].as_array().unwrap();
            let named: Vec<_> = by.iter().map(|by| (&by["name"], &by["rule"])).collect();
            assert_eq!(named, [(&"p".into(), &rule.into()), (&"q".into(), &rule.into())]);
        }
    }
}

/// What comes out is a record that `egret diff --flows` reads.
#[test]
fn answers_are_a_record() {
    let lines = "{\"id\":\"\\u00e9\",\"from\":\"a\",\"to\":\"b\",\"port\":80,\"protocol\":\"UDP\"}\n\
                 {\"from\":\"world\",\"to\":\"b\",\"protocol\":\"ICMPv6\",\"icmp_type\":3}\n\
                 {\"from\":\"a\",\"to\":\"b\",\"protocol\":\"GRE\"}\nnonsense\n";
    let (out, _) = answers(lines);
    let asked = lines.replace("nonsense", "{\"id\":null,\"error\":\"\"}");
    assert_eq!(read_record(out.as_bytes()).unwrap(), read_record(asked.as_bytes()).unwrap());
}
