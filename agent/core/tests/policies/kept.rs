//! Connections that stay open while policies change: every packet of their clients asks policy.

use egret_core::model::Model;
use egret_core::probe::{Opening, Outcome, Peer, Port, Probe, Request, Source};
use egret_core::rule::Dialect;
use egret_core::{Desired, ObjectName};
use rstest::rstest;

use crate::world::{cnp, desired, text};

const NAME: &str = "session";

fn pod(name: &str) -> ObjectName {
    ObjectName::parse(name)
}

/// A line over the connection; with `to`, it is opened first.
fn line(from: &str, to: Option<&str>) -> Probe {
    let open = to.map(|to| Opening { to: Peer::Pod(pod(to)), port: Port::Number(80) });
    Probe { from: Source::Pod(pod(from)), request: Request::Keep { connection: NAME.into(), open } }
}

/// Opened from `a/p1` to `a/s` under the first policies; what becomes of it under each.
#[rstest]
#[case::nothing_changes(&["", ""], &["open", "open"])]
#[case::allowed_by_another(
    &["ingress: [{ fromEndpoints: [{ matchLabels: { app: x } }] }]", "ingress: [{ fromEntities: [cluster] }]"],
    &["open", "open"])]
#[case::v38(
    &["ingress: [{ fromEndpoints: [{}] }]", "ingress: [{}]", "ingress: [{}]", ""],
    &["open", "stalled ingress 133", "stalled ingress 133", "open"])]
#[case::denied(&["", "ingressDeny: [{ fromEntities: [all] }]", ""], &["open", "stalled ingress 181", "open"])]
#[case::never_opened(&["ingress: [{}]", ""], &["stalled ingress 133", "stalled"])]
#[case::a_proxy_that_does_not_know_it(
    &["", "ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{}] } }] }]", ""],
    &["open", "reset", "reset"])]
#[case::a_proxy_that_has_taken_it(
    &["ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{}] } }] }]",
      "ingress: [{ toPorts: [{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{}, { method: GET }] } }] }]", ""],
    &["open", "open", "reset"])]
fn states(#[case] policies: &[&str], #[case] expected: &[&str]) {
    let mut model = Model::new();
    let mut seen = Vec::new();
    for (step, policy) in policies.iter().enumerate() {
        let policy = if policy.is_empty() { String::new() } else { cnp(policy) };
        model.apply(&desired(&policy, Dialect::Cilium));
        seen.push(text(&model.probe(&line("a/p1", (step == 0).then_some("a/s")))));
    }
    assert_eq!(seen, expected);
}

/// What is in force for the ends of a connection, and who is there.
fn without(gone: &str) -> Desired {
    let mut desired = desired("", Dialect::Cilium);
    assert!(desired.world.pods.remove(&pod(gone)).is_some());
    desired
}

#[test]
fn a_server_that_goes_closes_and_its_successor_knows_nothing() {
    let mut model = Model::new();
    model.apply(&desired("", Dialect::Cilium));
    assert_eq!(model.probe(&line("a/p1", Some("a/s"))).client, Outcome::Open);
    model.apply(&without("a/s"));
    assert_eq!(model.probe(&line("a/p1", None)).client, Outcome::Closed);
    model.apply(&desired("", Dialect::Cilium));
    assert_eq!(model.probe(&line("a/p1", None)).client, Outcome::Closed);
}

#[test]
fn a_long_silence_is_no_end() {
    let mut model = Model::new();
    model.apply(&desired("", Dialect::Cilium));
    model.probe(&line("a/p1", Some("a/s")));
    // Longer than the table of connections remembers.
    model.advance(10_000_000_000_000);
    assert_eq!(model.probe(&line("a/p1", None)).client, Outcome::Open);
}
