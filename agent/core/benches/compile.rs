//! Compiling a cluster, and predicting one connection, beside a naive reading of the same rules.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use egret_core::author::PolicyId;
use egret_core::compile::{Allocator, compile};
use egret_core::diff::diff;
use egret_core::fqdn::Names;
use egret_core::identity::relevant;
use egret_core::model::Model;
use egret_core::probe::{Http, Outcome, Peer, Port, Probe, Request, Source};
use egret_core::rule::{
    Effect, Enforcement, Peers, Policy, PortMatch, PortRule, Ports, Rule, Section, Subject, Tier,
};
use egret_core::selector::{LabelSelector, Selector};
use egret_core::world::{Application, Node, Pod, Serve, World};
use egret_core::{Desired, ObjectName, Protocol};
use egret_shared::Direction;

/// Applications, each with its own label; pods are spread over them.
const APPLICATIONS: usize = 50;
/// The port that every pod serves.
const PORT: u16 = 8080;

/// A cluster of `pods` pods on 10 nodes; application n may be reached by application n + 1 alone.
fn cluster(pods: usize) -> Desired {
    let mut world = World::default();
    for node in 0..10 {
        let address = IpAddr::V4(Ipv4Addr::new(172, 16, 0, node + 1));
        world.nodes.insert(format!("node-{node}"), Node { addresses: vec![address], ..Node::default() });
    }
    for index in 0..pods {
        let [_, _, high, low] = (index as u32).to_be_bytes();
        let pod = Pod {
            labels: [("app".to_owned(), (index % APPLICATIONS).to_string())].into(),
            node: format!("node-{}", index % 10),
            addresses: vec![IpAddr::V4(Ipv4Addr::new(10, 0, high, low))],
            serves: vec![Serve {
                name: None,
                port: PORT,
                protocol: Protocol::Tcp,
                application: Application::Identity,
            }],
            ..Pod::default()
        };
        world.pods.insert(name(index).into(), pod);
    }
    let policies = (0..APPLICATIONS).map(policy).map(|policy| (policy.id.clone(), policy.into())).collect();
    Desired { world, policies, ..Desired::default() }
}

fn name(index: usize) -> ObjectName {
    ObjectName::new("default", &format!("pod-{index:05}"))
}

fn application(index: usize) -> LabelSelector {
    let mut selector = LabelSelector::default();
    selector.require("app", &(index % APPLICATIONS).to_string());
    selector
}

fn policy(index: usize) -> Policy {
    let port = PortRule {
        path: "ingress[0].ports[0]".to_owned(),
        protocol: Protocol::Tcp,
        port: PortMatch::Range(PORT, PORT),
        inspect: None,
    };
    let rule = Rule {
        path: "ingress[0]".to_owned(),
        direction: Direction::Ingress,
        effect: Effect::Allow,
        peers: Peers::Selected(vec![Selector::Labels(application(index + 1))]),
        ports: Ports::Listed(vec![port]),
    };
    let section = Section {
        subject: Subject::Endpoints(application(index)),
        tier: Tier::Normal,
        ingress: Enforcement::DefaultDeny,
        egress: Enforcement::None,
        rules: vec![rule],
    };
    let kind = "NetworkPolicy".to_owned();
    let id = PolicyId { kind, namespace: Some("default".to_owned()), name: format!("policy-{index}") };
    Policy::new(id, vec![section])
}

/// Whether a server may be reached, by going through every policy and rule.
fn naive(desired: &Desired, client: &ObjectName, server: &ObjectName, port: u16) -> bool {
    let labels = |name: &ObjectName| {
        relevant::of_pod(name, &desired.world.pods[name], &desired.world, desired.dialect)
    };
    let (client, server) = (labels(client), labels(server));
    let sections = desired.policies.values().flat_map(|policy| &policy.sections);
    let applying: Vec<_> = sections.filter(|section| section.subject.selects(&server)).collect();
    applying.is_empty()
        || applying.iter().flat_map(|section| &section.rules).any(|rule| {
            let peer = match &rule.peers {
                Peers::Any => true,
                Peers::Selected(selectors) => selectors.iter().any(|selector| selector.selects(&client)),
                Peers::Services(_) => false,
            };
            let open = match &rule.ports {
                Ports::Any => true,
                Ports::Listed(ports) => ports.iter().any(|rule| rule.port == PortMatch::Range(port, port)),
            };
            peer && open
        })
}

fn compiling(criterion: &mut Criterion) {
    for pods in [10, 1000] {
        let desired = cluster(pods);
        criterion.bench_function(&format!("compile, {pods} pods, first time"), |bencher| {
            bencher.iter(|| {
                compile(black_box(&desired), "node-0", &Names::default(), &mut Allocator::default())
            });
        });
        let mut numbers = Allocator::default();
        let old = compile(&desired, "node-0", &Names::default(), &mut numbers);
        let mut changed = desired.clone();
        changed.world.pods.values_mut().next().unwrap().labels.insert("app".to_owned(), "7".to_owned());
        criterion.bench_function(&format!("compile and diff, {pods} pods, one label changed"), |bencher| {
            bencher.iter(|| {
                let new = compile(black_box(&changed), "node-0", &Names::default(), &mut numbers);
                diff(&old, &new)
            });
        });
    }
}

fn predicting(criterion: &mut Criterion) {
    let desired = cluster(1000);
    let mut model = Model::new();
    model.apply(&desired);
    let probe = |client: usize, server: usize| Probe {
        from: Source::Pod(name(client)),
        request: Request::Connect {
            to: Peer::Pod(name(server)),
            port: Port::Number(PORT),
            protocol: Protocol::Tcp,
            http: Http::default(),
        },
    };
    for (client, server) in [(1, 0), (2, 0)] {
        let probe = probe(client, server);
        let predicted = model.probe(&probe).client == Outcome::Ok;
        assert_eq!(predicted, naive(&desired, &name(client), &name(server), PORT));
        criterion.bench_function(&format!("model, {client} to {server} of 1000 pods"), |bencher| {
            bencher.iter(|| model.probe(black_box(&probe)));
        });
        criterion.bench_function(&format!("naive, {client} to {server} of 1000 pods"), |bencher| {
            bencher.iter(|| naive(black_box(&desired), &name(client), &name(server), PORT));
        });
    }
}

criterion_group!(benches, compiling, predicting);
criterion_main!(benches);
