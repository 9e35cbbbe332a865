//! Lowering: addresses, targets, tables, and the messages for everything that can be wrong.

use std::path::PathBuf;

use egret_core::probe::{Peer, Port, Request, Source as From};
use egret_core::world::Application;
use egret_core::{ObjectName, Protocol};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::case::Expect;
use crate::diagnostic::{Style, render_all};

fn lower_text(text: &str) -> Result<Case, Vec<Diagnostic>> {
    let files = Files { base: PathBuf::from("/nonexistent"), root: PathBuf::new() };
    lower_source("sample", &Source::new("sample.yaml", text), &files)
}

fn case(text: &str) -> Case {
    lower_text(text).unwrap_or_else(|problems| panic!("{}", render_all(&problems, Style::Plain)))
}

/// A case with a small world and this expectation.
fn asking(expectation: &str) -> String {
    format!(
        "title: t
world:
  use: [kube-dns]
  namespaces: {{ x: {{}} }}
  pods:
    a: {{ serves: [{{ name: http, port: 8080 }}] }}
    b: {{}}
    x/c: {{}}
  services:
    x/web: {{ selector: {{}}, ports: [{{ name: web, port: 80 }}] }}
  internet:
    api.example.com: {{ a: [203.0.113.7] }}
steps:
  - expect:
      {expectation}
"
    )
}

fn texts(expectation: &str) -> Vec<String> {
    case(&asking(expectation)).steps[0].expectations.iter().map(|one| one.text.clone()).collect()
}

#[rstest]
#[case("a -> b:80: ok", &["a -> b:80"])]
#[case("a, b -> x/c:80, b:81/UDP: ok", &["a -> x/c:80", "a -> b:81/UDP", "b -> x/c:80", "b -> b:81/UDP"])]
#[case("\"* -> *:80\": ok", &["a -> b:80", "a -> x/c:80", "b -> a:80", "b -> x/c:80", "x/c -> a:80", "x/c -> b:80"])]
#[case("a -> kube-system/*:53/UDP: ok", &["a -> kube-system/coredns:53/UDP"])]
#[case("a -> x/* icmp: ok", &["a -> x/c icmp"])]
#[case("POST a -> http://api.example.com/x,y: ok", &["POST a -> http://api.example.com/x,y"])]
fn lists_and_stars_become_single_probes(#[case] expectation: &str, #[case] expected: &[&str]) {
    assert_eq!(texts(expectation), expected);
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text)
}

#[rstest]
#[case("http://api.example.com", Peer::Name("api.example.com".into()), Port::Number(80), "/")]
#[case("http://api.example.com:8080/a/b?c", Peer::Name("api.example.com".into()), Port::Number(8080), "/a/b?c")]
#[case("http://x/c:8080/path", Peer::Pod(name("x/c")), Port::Number(8080), "/path")]
#[case("http://x/c/path", Peer::Pod(name("x/c")), Port::Number(80), "/path")]
#[case("http://x/c", Peer::Pod(name("x/c")), Port::Number(80), "/")]
#[case("http://y/z", Peer::Name("y".into()), Port::Number(80), "/z")]
#[case("http://service x/web/", Peer::Service(name("x/web")), Port::Number(80), "/")]
#[case("http://203.0.113.7/p", Peer::Address("203.0.113.7".parse().expect("address")), Port::Number(80), "/p")]
#[case("service x/web:web", Peer::Service(name("x/web")), Port::Name("web".into()), "/")]
#[case("a:http", Peer::Pod(name("a")), Port::Name("http".into()), "/")]
#[case("node node-1:10250", Peer::Node("node-1".into()), Port::Number(10250), "/")]
#[case("203.0.113.7:443", Peer::Address("203.0.113.7".parse().expect("address")), Port::Number(443), "/")]
fn targets_are_read(#[case] target: &str, #[case] peer: Peer, #[case] number: Port, #[case] expected: &str) {
    let case = case(&asking(&format!("\"b -> {target}\": ok")));
    let probe = &case.steps[0].expectations[0].probe;
    assert_eq!(probe.from, From::Pod(name("b")));
    let Request::Connect { to, port, protocol, http } = &probe.request else { panic!("a connection") };
    assert_eq!((to, port, *protocol, http.path.as_str()), (&peer, &number, Protocol::Tcp, expected));
}

#[test]
fn addresses_are_assigned_in_order_and_kept() {
    let case = case(
        "title: t
world:
  nodes: { one: {}, two: {} }
  pods:
    b: { node: two }
    a: {}
    fixed: { ip: 10.0.1.10 }
    many: { replicas: 2 }
    host: { hostNetwork: true }
  services:
    s: { selector: {}, ports: [{ port: 80 }] }
    dns: { selector: {}, ports: [{ port: 53 }], clusterIP: 10.96.1.1 }
steps:
  - expect: { a -> b:80: ok }
  - change:
      - add: { pods: { aa: {} } }
      - remove: { pod: a }
    expect: { aa -> b:80: ok }
",
    );
    let address = |world: &egret_core::World, pod: &str| world.pods[&name(pod)].addresses[0].to_string();
    let (first, last) = (&case.world, &case.steps[1].desired.world);
    let pods: Vec<_> =
        ["a", "b", "fixed", "many-0", "many-1", "host"].iter().map(|pod| address(first, pod)).collect();
    assert_eq!(pods, ["10.0.1.11", "10.0.2.10", "10.0.1.10", "10.0.1.12", "10.0.1.13", "172.18.0.2"]);
    assert_eq!(first.services[&name("s")].cluster_ips[0].to_string(), "10.96.1.2");
    assert_eq!(address(last, "aa"), "10.0.1.14");
    assert!(!last.pods.contains_key(&name("a")));
    assert!(case.requires.contains(&Capability::Nodes));
}

#[test]
fn what_is_served_is_a_list_or_applications() {
    let case = case(
        "title: t
world:
  pods:
    a: { serves: ['80', 81/UDP, { name: web, port: 8080 }] }
    dns: { serves: { dns: 53, http: [80, 81] } }
steps: [{ expect: { a -> dns:80: ok } }]
",
    );
    let show = |pod: &str| -> Vec<String> {
        let serves = case.world.pods[&name(pod)].serves.iter();
        serves
            .map(|one| format!("{:?} {}/{} {:?}", one.name, one.port, one.protocol, one.application))
            .collect()
    };
    assert_eq!(
        show("a"),
        ["None 80/TCP Identity", "None 81/UDP Identity", "Some(\"web\") 8080/TCP Identity"]
    );
    assert_eq!(show("dns").last().map(String::as_str), Some("None 53/TCP ClusterDns"));
    assert!(
        case.world.pods[&name("dns")].serves.iter().any(|one| one.application == Application::ClusterDns)
    );
}

#[test]
fn manifests_make_a_world() {
    let folder = tempfile::tempdir().expect("folder");
    let manifest = "apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: red } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: nginx
          ports: [{ name: http, containerPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: http }] }
";
    std::fs::write(folder.path().join("world.yaml"), manifest).expect("written");
    let text = "title: t\nworld: { manifests: [world.yaml] }\nsteps:\n  - expect:\n      shop/web-0 -> service shop/web:80, shop/web-1:http: ok\n";
    let files = Files { base: folder.path().to_owned(), root: PathBuf::new() };
    let case = lower_source("sample", &Source::new("sample.yaml", text), &files)
        .unwrap_or_else(|problems| panic!("{}", render_all(&problems, Style::Plain)));
    let service = &case.world.services[&name("shop/web")];
    let backends = case.world.backends(&name("shop/web"), service, &service.ports[0]);
    assert_eq!(backends.len(), 2);
    assert_eq!(backends[0].1, 8080);
}

#[test]
fn a_table_is_read_cell_by_cell() {
    let case = case(
        "title: t
world: { pods: { a: {}, b: {} } }
steps:
  - matrix:
      - ports: [80, 81/UDP]
        table: |
          .  a b
          a  . E
          b  I -
",
    );
    let shown: Vec<_> = case.steps[0]
        .expectations
        .iter()
        .map(|one| format!("{} {} {:?}", one.at, one.text, one.expect.egress.or(one.expect.ingress)))
        .collect();
    assert_eq!(
        shown,
        [
            "sample.yaml:8:14 a -> a:80 None",
            "sample.yaml:8:14 a -> a:81/UDP None",
            "sample.yaml:8:16 a -> b:80 Some(Dropped)",
            "sample.yaml:8:16 a -> b:81/UDP Some(Dropped)",
            "sample.yaml:9:14 b -> a:80 Some(Dropped)",
            "sample.yaml:9:14 b -> a:81/UDP Some(Dropped)",
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let problems = lower_text(
        "title: ' '
world:
  use: [kube-dsn]
  pods:
    A: {}
    a: { node: node-2, ip: 10.0.1.300, serves: [0, 81/UPD, 80, 80] }
    y/b: { ips: ['2001:db8::1'] }
  services:
    s: { ports: [] }
  internet:
    api.example.com: { serves: { https: 443 } }
    10.0.0.1: {}
    bad_name!: { a: [203.0.113.1], rcode: SERVFAIL }
steps:
  - name: one
    delete: [NetworkPolicy default/none]
    apply:
      - { apiVersion: v1, kind: Pod, metadata: { name: p } }
      - { apiVersion: cilium.io/v1, kind: CiliumNetworkPolicy, metadata: { name: p } }
    change:
      - label: { pod: a, remove: [app] }
      - clock: 2x
      - dns: { nope.example.com: { a: [203.0.113.1] } }
    expect:
      a -> a: ok
      a -> a:99999: ok
      a => a:80: ok
      a -> dns x TXT: ok
      9.9.9.9 -> a:80: ok
      a -> a:81: { egress: dropped, addresses: [203.0.113.1] }
      a -> a:82: {}
  - name: one
    matrix:
      - ports: [80]
        table: |
          a
          a Y
          q .
keep:
  - { name: k, from: a, to: a:80, open: one, then: { one: open } }
",
    )
    .expect_err("much is wrong");
    insta::assert_snapshot!(render_all(&problems, Style::Plain));
}

#[test]
fn a_refused_policy_is_blamed_once() {
    let problems = lower_text(
        "title: t
world: { pods: { a: {} } }
steps:
  - apply:
      - { apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: { name: p }, spec: { egres: [] } }
    expect:
      a -> a:80: { client: timeout, by: 'CiliumNetworkPolicy default/p egress[0]' }
  - delete: [CiliumNetworkPolicy default/p]
    expect:
      a -> a:80: ok
",
    )
    .expect_err("a misspelt key");
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["unknown key `egres` in `steps[0].apply[0].spec`"]);
}

fn arbitrary_expect() -> impl Strategy<Value = Expect> {
    use egret_core::probe::{JudgedAs, Outcome};
    use egret_shared::DropReason;

    use crate::case::{ByWord, ClientWord};

    let client = prop_oneof![
        Just(ClientWord::Blocked),
        (100..600u16)
            .prop_filter("200 is ok", |code| *code != 200)
            .prop_map(|code| ClientWord::Is(Outcome::Http(code))),
        prop::sample::select(vec![
            "ok",
            "timeout",
            "dns timeout",
            "dns refused",
            "nxdomain",
            "servfail",
            "tls alert"
        ])
        .prop_map(|word| ClientWord::Is(Outcome::parse(word).expect("a word"))),
    ];
    let verdict = || {
        prop::option::of(prop::sample::select(vec![
            JudgedAs::Forwarded,
            JudgedAs::Redirected,
            JudgedAs::Dropped,
            JudgedAs::Audited,
            JudgedAs::None,
        ]))
    };
    let policy =
        PolicyId { kind: "NetworkPolicy".into(), namespace: Some("default".into()), name: "p".into() };
    let by = prop::sample::select(vec![
        ByWord::DefaultDeny,
        ByWord::Kubelet,
        ByWord::Policy(policy.clone(), None),
        ByWord::Policy(policy, Some("ingress[0]".into())),
    ]);
    let reason = prop::option::of(prop::sample::select(DropReason::ALL.to_vec()));
    let addresses =
        prop::option::of(prop::collection::vec(any::<std::net::Ipv4Addr>().prop_map(Into::into), 1..3));
    (client, verdict(), verdict(), reason, prop::option::of(by), addresses).prop_map(
        |(client, egress, ingress, reason, by, addresses)| Expect {
            client: Some(client),
            egress,
            ingress,
            reason,
            by,
            addresses,
        },
    )
}

proptest! {
    #[test]
    fn expectations_read_back_as_printed(expect in arbitrary_expect()) {
        let text = format!(
            "title: t
world: {{ pods: {{ a: {{}} }} }}
steps:
  - apply:
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {{ name: p }}
        spec: {{ podSelector: {{}}, ingress: [{{}}] }}
    expect:
      a -> dns example.com: {expect}
"
        );
        let case = lower_text(&text).map_err(|problems| TestCaseError::fail(render_all(&problems, Style::Plain)))?;
        prop_assert_eq!(&case.steps[0].expectations[0].expect, &expect);
    }

    #[test]
    fn no_text_brings_lowering_down(
        key in "\\PC{0,24}|[ab*x/:>\\-, .1]{0,16}(->)?[ab*x/:,. 18htpnodesrvic]{0,24}",
        value in "\\PC{0,12}|[a-z ]{0,12}",
    ) {
        let key = serde_json::to_string(&key).expect("json");
        let value = serde_json::to_string(&value).expect("json");
        if let Err(problems) = lower_text(&asking(&format!("{key}: {value}"))) {
            prop_assert!(!render_all(&problems, Style::Plain).is_empty());
        }
    }
}
