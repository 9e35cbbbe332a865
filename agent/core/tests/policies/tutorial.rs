//! The tutorial in the model: restricted egress by name, step by step, with verdicts and authors.

use egret_core::model::Model;
use egret_core::probe::{JudgedAs, Observation};
use egret_core::rule::Dialect;

use crate::world::{desired, probe, text};

const DENY_ALL: &str = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: default-deny-all, namespace: a }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
";

const ALLOW: &str = "---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: allow-egress-fqdn, namespace: a }
spec:
  endpointSelector: { matchLabels: { app: s } }
  egress:
    - toFQDNs: [{ matchName: a.com }, { matchName: api.github.com }]
    - toEndpoints:
        - matchLabels: { 'k8s:io.kubernetes.pod.namespace': kube-system, 'k8s:k8s-app': kube-dns }
      toPorts:
        - ports: [{ port: '53', protocol: ANY }]
          rules: { dns: [{ matchPattern: '*' }] }
";

const DENY: &str = "---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: deny-wins, namespace: a }
spec:
  endpointSelector: { matchLabels: { app: s } }
  egressDeny: [{ toCIDR: [198.51.100.2/32] }]
";

/// The verdict at egress and its author, as reports write them.
fn egress(seen: &Observation) -> String {
    let Some(judged) = &seen.egress else { return "not seen".to_owned() };
    match &judged.by {
        Some(author) => format!("{} by {author}", judged.verdict.word()),
        None => judged.verdict.word().to_owned(),
    }
}

#[track_caller]
fn ask(model: &mut Model, line: &str, client: &str, verdict: &str) {
    let seen = model.probe(&probe(line));
    assert_eq!((text(&seen).as_str(), egress(&seen).as_str()), (client, verdict), "{line}");
}

#[test]
fn step_by_step() {
    let mut model = Model::new();
    model.apply(&desired("", Dialect::Cilium));
    for name in ["a.com", "api.github.com", "api.twitter.com"] {
        ask(&mut model, &format!("a/s -> http://{name}"), "ok", "none");
    }

    model.apply(&desired(DENY_ALL, Dialect::Cilium));
    ask(&mut model, "a/s -> http://a.com", "dns timeout egress 133", "dropped by default deny");

    let allowed = format!("{DENY_ALL}{ALLOW}");
    let rule = "forwarded by CiliumNetworkPolicy a/allow-egress-fqdn egress[0]";
    model.apply(&desired(&allowed, Dialect::Cilium));
    ask(&mut model, "a/s -> 140.82.121.6:80", "timeout egress 133", "dropped by default deny");
    ask(&mut model, "a/s -> http://a.com", "ok", rule);
    ask(&mut model, "a/s -> http://api.github.com", "ok", rule);
    ask(&mut model, "a/s -> 140.82.121.6:80", "ok", rule);
    ask(&mut model, "a/s -> http://api.twitter.com", "timeout egress 133", "dropped by default deny");
    ask(
        &mut model,
        "a/s -> dns api.twitter.com",
        "ok",
        "redirected by CiliumNetworkPolicy a/allow-egress-fqdn egress[1].toPorts[0]",
    );
    ask(&mut model, "a/p1 -> http://a.com", "dns timeout egress 133", "dropped by default deny");
    ask(&mut model, "node node-1 -> a/s:80", "ok", "not seen");

    model.apply(&desired(&format!("{allowed}{DENY}"), Dialect::Cilium));
    let deny = "dropped by CiliumNetworkPolicy a/deny-wins egressDeny[0]";
    ask(&mut model, "a/s -> http://a.com", "timeout egress 181", deny);
    ask(&mut model, "a/s -> http://api.github.com", "ok", rule);

    model.apply(&desired(DENY_ALL, Dialect::Cilium));
    ask(&mut model, "a/s -> http://a.com", "dns timeout egress 133", "dropped by default deny");
    model.apply(&desired("", Dialect::Cilium));
    ask(&mut model, "a/s -> http://a.com", "ok", "none");
}

#[test]
fn the_server_side_is_told_apart() {
    let mut model = Model::new();
    model.apply(&desired(DENY_ALL, Dialect::Cilium));
    let seen = model.probe(&probe("node node-1 -> a/s:80"));
    let ingress = seen.ingress.unwrap();
    assert_eq!(
        (ingress.verdict, ingress.by.unwrap().to_string()),
        (JudgedAs::Forwarded, "kubelet".to_owned())
    );
    let seen = model.probe(&probe("b/p2 -> a/s:80"));
    assert_eq!(seen.egress.unwrap().verdict, JudgedAs::None);
    assert_eq!(seen.ingress.unwrap().verdict, JudgedAs::Dropped);
}

#[test]
fn learned_names_end_with_their_time_to_live() {
    let mut model = Model::new();
    model.apply(&desired(&format!("{DENY_ALL}{ALLOW}"), Dialect::Cilium));
    assert_eq!(text(&model.probe(&probe("a/s -> http://a.com"))), "ok");
    model.advance(59_999_999_999);
    assert_eq!(text(&model.probe(&probe("a/s -> 198.51.100.2:80"))), "ok");
    model.advance(1);
    assert_eq!(text(&model.probe(&probe("a/s -> 198.51.100.2:80"))), "timeout egress 133");
}
