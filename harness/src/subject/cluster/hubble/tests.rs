//! Hubble's lines as an agent of Cilium prints them, and what becomes of them.

use std::net::SocketAddr;

use egret_core::probe::Outcome;
use egret_probe::Stage;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const CLIENT: &str = "10.0.1.10:41000";

fn line(change: Value) -> String {
    let mut flow = json!({
        "verdict": "FORWARDED",
        "IP": { "source": "10.0.1.10", "destination": "10.0.2.10", "ipVersion": "IPv4" },
        "l4": { "TCP": { "source_port": 41000, "destination_port": 80, "flags": { "SYN": true } } },
        "source": { "namespace": "t-x", "pod_name": "a" },
        "destination": { "namespace": "t-y", "pod_name": "b" },
        "event_type": { "type": 5 },
        "traffic_direction": "EGRESS",
        "is_reply": false,
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        flow[key] = value.clone();
    }
    json!({ "flow": flow, "node_name": "worker", "time": "2026-01-01T00:00:00Z" }).to_string()
}

fn read(changes: &[Value]) -> Vec<Said> {
    let naming = Naming::new(Some("t-".into()));
    changes.iter().filter_map(|change| parse(&line(change.clone()), &naming).unwrap()).collect()
}

fn report(protocol: Protocol, local: &str) -> Report {
    let local: SocketAddr = local.parse().unwrap();
    let remote = "10.0.2.10:80".parse().unwrap();
    let attempt = Attempt { protocol, local, remote, stage: Stage::Talk };
    Report { outcome: Outcome::Ok, addresses: Vec::new(), attempts: vec![attempt] }
}

fn seen() -> Observation {
    Observation { client: Outcome::Ok, egress: None, ingress: None, addresses: Vec::new() }
}

fn text(observed: &Observation) -> String {
    let side = |judged: &Option<Judgement>| match judged {
        None => "-".to_owned(),
        Some(Judgement { verdict, reason, by }) => {
            let reason = reason.map(|reason| format!(", {}", reason.text())).unwrap_or_default();
            let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!("{}{reason}{by}", verdict.word())
        }
    };
    format!("{} | {}", side(&observed.egress), side(&observed.ingress))
}

fn policy(name: &str, namespace: &str) -> Value {
    json!([{ "name": name, "namespace": namespace, "kind": "NetworkPolicy" }])
}

#[rstest]
#[case::nothing(&[], "- | -")]
#[case::without_a_policy(&[json!({})], "forwarded | -")]
#[case::allowed(
    &[
        json!({ "egress_allowed_by": policy("out", "t-x") }),
        json!({ "traffic_direction": "INGRESS", "ingress_allowed_by": policy("in", "t-y") }),
    ],
    "forwarded by NetworkPolicy x/out | forwarded by NetworkPolicy y/in"
)]
#[case::by_two(
    &[json!({ "egress_allowed_by": [policy("one", "t-x")[0], policy("two", "t-x")[0]] })],
    "forwarded | -"
)]
#[case::default_deny(
    &[
        json!({ "verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED", "event_type": { "type": 1 } }),
        json!({ "verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED" }),
    ],
    "dropped, Policy denied by default deny | -"
)]
#[case::denied(
    &[
        json!({ "egress_allowed_by": policy("out", "t-x") }),
        json!({
            "traffic_direction": "INGRESS", "verdict": "DROPPED", "drop_reason_desc": "POLICY_DENY",
            "ingress_denied_by": policy("no", ""),
        }),
    ],
    "forwarded by NetworkPolicy x/out | dropped, Policy denied by denylist by NetworkPolicy no"
)]
#[case::to_a_proxy(&[json!({ "verdict": "REDIRECTED" })], "redirected | -")]
#[case::another_connection(&[json!({ "l4": { "TCP": { "source_port": 41001 } } })], "- | -")]
#[case::a_reply(&[json!({ "is_reply": true })], "- | -")]
#[case::a_trace(&[json!({ "event_type": { "type": 4 } })], "- | -")]
fn what_hubble_says_of_a_connection(#[case] lines: &[Value], #[case] expected: &str) {
    let client = ObjectName::new("x", "a");
    let observed = observe(Some(&client), &report(Protocol::Tcp, CLIENT), seen(), &read(lines));
    assert_eq!(text(&observed), expected);
}

#[test]
fn an_echo_request_is_known_by_its_addresses() {
    let said = read(&[json!({ "l4": { "ICMPv4": { "type": 8 } } })]);
    let client = ObjectName::new("x", "a");
    let observed = observe(Some(&client), &report(Protocol::Icmp, "10.0.1.10:77"), seen(), &said);
    assert_eq!(text(&observed), "forwarded | -");
}

#[test]
fn a_node_has_no_policy_of_its_own() {
    let observed = observe(None, &report(Protocol::Tcp, CLIENT), seen(), &read(&[json!({})]));
    assert_eq!(text(&observed), "- | -");
}

#[test]
fn what_is_no_line_of_hubble_is_an_error() {
    let naming = Naming::default();
    assert!(parse("Handling connection for 4245", &naming).is_err());
    assert!(parse(r#"{"flow":{"IP":{"source":"nowhere"}}}"#, &naming).is_err());
    assert_eq!(parse(r#"{"node_status":{"state_change":"NODE_CONNECTED"}}"#, &naming), Ok(None));
}
