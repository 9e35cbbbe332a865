//! Questions and answers: the judge against the model, and what only the judge says.

use egret_core::fqdn::Names;
use egret_core::judge::{Answer, Cluster, Layer7, Party, Question, SideVerdict, Unanswerable};
use egret_core::model::Model;
use egret_core::probe::{Http, JudgedAs, Judgement, Peer, Port, Probe, Request, Source};
use egret_core::rule::Dialect;
use egret_core::{ObjectName, Protocol};
use egret_shared::DropReason;
use proptest::prelude::*;
use rstest::rstest;

use crate::generate::situation;
use crate::world::{cnp, desired, ip, knp};

/// Reads `a/p1 -> a/s:80/UDP`.
fn question(text: &str) -> Question {
    let (from, to) = text.split_once(" -> ").unwrap();
    let (to, port) = to.rsplit_once(':').unwrap();
    let (port, protocol) = port.split_once('/').unwrap_or((port, "TCP"));
    Question {
        from: Party::parse(from).unwrap(),
        to: Party::parse(to).unwrap(),
        protocol: Protocol::parse(protocol).unwrap(),
        port: port.parse().unwrap(),
        layer7: None,
    }
}

fn ask(policies: &str, text: &str) -> Answer {
    Cluster::new(&desired(policies, Dialect::Cilium), &Names::default()).ask(&question(text)).unwrap()
}

/// Both verdicts in one line: `egress denied by …, ingress unenforced`.
fn text(answer: &Answer) -> String {
    [("egress", &answer.egress), ("ingress", &answer.ingress)]
        .map(|(word, side)| {
            let by: Vec<_> = side.by.iter().map(ToString::to_string).collect();
            let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
            format!("{word} {}{by}", side.verdict.word())
        })
        .join(", ")
}

#[rstest]
#[case::no_policy("", "a/p1 -> a/s:80", "egress unenforced, ingress unenforced")]
#[case::default_deny(&knp("policyTypes: [Ingress]"), "a/p1 -> a/s:80",
    "egress unenforced, ingress denied by default deny")]
#[case::rule(&knp("ingress: [{ from: [{ podSelector: { matchLabels: { app: x } } }] }]"), "a/p1 -> a/s:80",
    "egress unenforced, ingress allowed by NetworkPolicy a/knp ingress[0]")]
#[case::own_node(&knp("policyTypes: [Ingress]"), "host -> a/s:80", "egress unenforced, ingress allowed by kubelet")]
#[case::own_node_by_name(&knp("policyTypes: [Ingress]"), "node/node-1 -> a/s:80",
    "egress unenforced, ingress allowed by kubelet")]
#[case::other_node(&knp("policyTypes: [Ingress]"), "node/node-2 -> a/s:80",
    "egress unenforced, ingress denied by default deny")]
#[case::remote_node(&knp("policyTypes: [Ingress]"), "remote-node -> a/s:80",
    "egress unenforced, ingress denied by default deny")]
#[case::world(&cnp("ingress: [{ fromEntities: [world] }]"), "world -> a/s:80",
    "egress unenforced, ingress allowed by CiliumNetworkPolicy a/cnp ingress[0]")]
#[case::api_server(&cnp("egress: [{ toEntities: [kube-apiserver] }]"), "a/s -> kube-apiserver:443",
    "egress allowed by CiliumNetworkPolicy a/cnp egress[0], ingress unenforced")]
#[case::address_of_a_pod(&knp("policyTypes: [Ingress]"), "a/p1 -> 10.0.1.10:80",
    "egress unenforced, ingress denied by default deny")]
#[case::both_are_judged(&knp("policyTypes: [Ingress, Egress]"), "a/s -> a/p1:80",
    "egress denied by default deny, ingress unenforced")]
#[case::itself(&knp("policyTypes: [Ingress, Egress]"), "a/s -> a/s:80", "egress allowed, ingress allowed")]
#[case::service(&cnp("egress: [{ toPorts: [{ ports: [{ port: '8080' }] }] }]"), "a/s -> service/a/web:8000",
    "egress allowed by CiliumNetworkPolicy a/cnp egress[0].toPorts[0], ingress unenforced")]
#[case::service_address(&cnp("egress: [{ toPorts: [{ ports: [{ port: '8000' }] }] }]"), "a/s -> 10.96.0.20:8000",
    "egress denied by default deny, ingress unenforced")]
#[case::service_as_client(&knp("policyTypes: [Ingress]"), "service/a/web -> a/s:80",
    "egress unenforced, ingress denied by default deny")]
#[case::without_backend("", "a/s -> service/a/empty:80", "egress denied, ingress unenforced")]
fn verdicts(#[case] policies: &str, #[case] line: &str, #[case] expected: &str) {
    assert_eq!(text(&ask(policies, line)), expected);
}

/// In the Kubernetes dialect a block may hold one address of a pod and not the other.
#[test]
fn both_families_of_a_pod_are_judged() {
    let block = knp("ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8 } }] }]");
    let mut desired = desired(&block, Dialect::Kubernetes);
    for (pod, address) in [("a/p1", "2001:db8::11"), ("a/s", "2001:db8::10")] {
        desired.world.pods.get_mut(&ObjectName::parse(pod)).unwrap().addresses.push(ip(address));
    }
    let cluster = Cluster::new(&desired, &Names::default());
    for (line, expected) in [
        ("10.0.1.11 -> a/s:80", "ingress allowed by NetworkPolicy a/knp ingress[0]"),
        ("2001:db8::11 -> a/s:80", "ingress denied by default deny"),
        ("a/p1 -> 10.0.1.10:80", "ingress allowed by NetworkPolicy a/knp ingress[0]"),
        ("a/p1 -> 2001:db8::10:80", "ingress denied by default deny"),
        // By name both are meant, and the answer is about the one that is dropped.
        ("a/p1 -> a/s:80", "ingress denied by default deny"),
        ("b/p2 -> a/s:80", "ingress allowed by NetworkPolicy a/knp ingress[0]"),
    ] {
        let said = text(&cluster.ask(&question(line)).unwrap());
        assert!(said.ends_with(expected), "{line}: {said}");
    }
}

#[test]
fn a_service_says_what_stands_behind_it() {
    let answer = ask("", "a/s -> service/a/web:8000");
    let service = answer.service.unwrap();
    assert_eq!(service.name, ObjectName::new("a", "web"));
    assert_eq!(service.backends, [(ip("10.0.1.11"), 8080)]);
    assert_eq!(service.chosen, Some((ip("10.0.1.11"), 8080)));
    assert!(service.agree);

    let empty = ask("", "a/s -> service/a/empty:80");
    assert_eq!(empty.dropped(), Some(DropReason::NoBackend));
    assert_eq!(empty.service.unwrap().chosen, None);
}

#[test]
fn where_backends_differ_the_answer_is_about_a_dropped_one() {
    let mut desired = desired(&knp("policyTypes: [Ingress]"), Dialect::Cilium);
    for pod in ["a/p1", "a/s"] {
        let pod = desired.world.pods.get_mut(&ObjectName::parse(pod)).unwrap();
        pod.labels.insert("both".to_owned(), "yes".to_owned());
    }
    let service = desired.world.services.get_mut(&ObjectName::parse("a/web")).unwrap();
    service.selector = Some([("both".to_owned(), "yes".to_owned())].into());
    let cluster = Cluster::new(&desired, &Names::default());
    let answer = cluster.ask(&question("b/p2 -> service/a/web:8000")).unwrap();
    let service = answer.service.as_ref().unwrap();
    assert_eq!(service.backends.len(), 2);
    assert_eq!(service.chosen, Some((ip("10.0.1.10"), 8080)));
    assert!(!service.agree);
    assert_eq!(answer.dropped(), Some(DropReason::PolicyDenied));
}

#[test]
fn the_proxy_knows_names() {
    let dns = "egress: [{ toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': kube-system } }], \
               toPorts: [{ ports: [{ port: '53', protocol: ANY }], rules: { dns: [{ matchName: a.com }] } }] }]";
    let cluster = Cluster::new(&desired(&cnp(dns), Dialect::Cilium), &Names::default());
    let ask = |name: &str| {
        let plain = question("a/s -> service/kube-system/kube-dns:53/UDP");
        cluster.ask(&Question { layer7: Some(Layer7::Dns(name.to_owned())), ..plain }).unwrap()
    };
    let allowed = ask("A.com.");
    assert_eq!(allowed.egress.verdict, SideVerdict::Redirected);
    assert_eq!((allowed.layer7.as_ref().unwrap().allowed, allowed.dropped()), (true, None));
    let refused = ask("b.com");
    assert_eq!(refused.dropped(), Some(DropReason::PolicyDenied));
    let by: Vec<_> = refused.layer7.unwrap().by.iter().map(ToString::to_string).collect();
    assert_eq!(by, ["CiliumNetworkPolicy a/cnp egress[0].toPorts[0]"]);
}

#[rstest]
#[case(
    "a/nobody -> a/s:80",
    Unanswerable::NoPod(ObjectName::new("a", "nobody")),
    "there is no pod `a/nobody`"
)]
#[case("a/s -> node/x:80", Unanswerable::NoNode("x".to_owned()), "there is no node `x`")]
#[case(
    "a/s -> service/a/x:80",
    Unanswerable::NoService(ObjectName::new("a", "x")),
    "there is no service `a/x`"
)]
#[case(
    "service/a/empty -> a/s:80",
    Unanswerable::NoClient(ObjectName::new("a", "empty")),
    "the service `a/empty` has no pod that could ask"
)]
#[case("a/s -> service/a/web:1", Unanswerable::NoServicePort {
    name: ObjectName::new("a", "web"), port: 1, protocol: Protocol::Tcp,
}, "the service `a/web` has no port 1/TCP")]
fn unanswerable(#[case] line: &str, #[case] error: Unanswerable, #[case] message: &str) {
    let found = Cluster::new(&desired("", Dialect::Cilium), &Names::default()).ask(&question(line));
    assert_eq!(found, Err(error.clone()));
    assert_eq!(error.to_string(), message);
}

#[rstest]
#[case("world")]
#[case("node/node-1")]
#[case("service/a/web")]
#[case("a/s")]
#[case("2001:db8::1")]
fn parties_print_as_they_are_read(#[case] text: &str) {
    assert_eq!(Party::parse(text).unwrap().to_string(), text);
}

#[rstest]
#[case("")]
#[case("a/")]
#[case("a/b/c")]
#[case("node/")]
#[case("service/")]
fn no_parties(#[case] text: &str) {
    assert_eq!(Party::parse(text), None);
}

#[test]
fn the_other_proxies_know_requests_and_server_names() {
    let ask = |ports: &str, layer7| {
        let policy = cnp(&format!("egress: [{{ toEntities: [world], toPorts: [{ports}] }}]"));
        let cluster = Cluster::new(&desired(&policy, Dialect::Cilium), &Names::default());
        let answer =
            cluster.ask(&Question { layer7: Some(layer7), ..question("a/s -> 203.0.113.5:80") }).unwrap();
        assert_eq!(answer.egress.verdict, SideVerdict::Redirected);
        answer.layer7.unwrap().allowed
    };
    let request = |method: &str| Layer7::Http {
        method: method.to_owned(),
        path: "/a".to_owned(),
        host: "x".to_owned(),
        headers: Vec::new(),
    };
    let http = "{ ports: [{ port: '80', protocol: TCP }], rules: { http: [{ method: GET, path: /a }] } }";
    assert!(ask(http, request("GET")));
    assert!(!ask(http, request("PUT")));
    let sni = "{ ports: [{ port: '80', protocol: TCP }], serverNames: [a.com] }";
    assert!(ask(sni, Layer7::ServerName("a.com".to_owned())));
    assert!(!ask(sni, Layer7::ServerName("b.com".to_owned())));
    assert!(!ask(sni, request("GET")));
}

#[test]
fn a_node_has_policies_too() {
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: { name: host }\n\
                  spec: { nodeSelector: {}, ingress: [{ fromEntities: [remote-node] }] }\n";
    for (line, expected) in [
        ("203.0.113.5 -> node/node-1:80", "ingress denied by default deny"),
        (
            "node/node-2 -> node/node-1:80",
            "ingress allowed by CiliumClusterwideNetworkPolicy host ingress[0]",
        ),
        ("a/s -> host:80", "ingress denied by default deny"),
    ] {
        let said = text(&ask(policy, line));
        assert!(said.ends_with(expected), "{line}: {said}");
    }
}

/// What the model's judgement would be called here.
fn verdict(judgement: &Judgement) -> SideVerdict {
    match judgement.verdict {
        JudgedAs::None => SideVerdict::Unenforced,
        JudgedAs::Forwarded => SideVerdict::Allowed,
        JudgedAs::Redirected => SideVerdict::Redirected,
        JudgedAs::Dropped => SideVerdict::Denied,
        JudgedAs::Audited => panic!("the model audits nothing"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The model stops where a packet stops, so its directions are compared as far as it went.
    #[test]
    fn the_judge_says_what_the_model_says(situation in situation()) {
        let desired = situation.desired();
        let cluster = Cluster::new(&desired, &Names::default());
        let mut model = Model::new();
        model.apply(&desired);
        let pods: Vec<_> = desired.world.pods.keys().collect();
        for from in &pods {
            for to in pods.iter().filter(|to| *to != from) {
                for (port, protocol) in [(80, Protocol::Tcp), (85, Protocol::Tcp), (53, Protocol::Udp)] {
                    let request = Request::Connect {
                        to: Peer::Pod((***to).clone()),
                        port: Port::Number(port),
                        protocol,
                        http: Http::default(),
                    };
                    let seen = model.probe(&Probe { from: Source::Pod((***from).clone()), request });
                    let question = Question {
                        from: Party::Pod((***from).clone()),
                        to: Party::Pod((***to).clone()),
                        protocol,
                        port,
                        layer7: None,
                    };
                    let answer = cluster.ask(&question).unwrap();
                    for (judged, side) in [(&seen.egress, &answer.egress), (&seen.ingress, &answer.ingress)] {
                        if let Some(judged) = judged {
                            prop_assert_eq!(verdict(judged), side.verdict, "{:?}", question);
                            prop_assert_eq!(judged.reason, side.reason);
                            // A packet's row names one rule that decides, an answer all of them.
                            let is_named = judged.by.as_ref().map_or(side.by.is_empty(), |by| side.by.contains(by));
                            prop_assert!(is_named, "{:?}: {:?} and {:?}", question, judged.by, side.by);
                        }
                    }
                }
            }
        }
    }
}
