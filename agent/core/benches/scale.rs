//! Clusters of the sizes that other engines are measured at, each beside the slow reading of the same documents.
//!
//! Names begin with the number of the target that they are for: one verdict (B6), a cold start (B7), tenants
//! (B8), one change (B9), all pairs (B10).

#[path = "scale/shapes.rs"]
mod shapes;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use egret_core::compile::{Allocator, Changed, Compiler};
use egret_core::fqdn::Names;
use egret_core::judge::{Cluster, Party, Question, SideVerdict};
use egret_core::matrix::{Matrix, Who};
use egret_core::reference::{Flow, Reading, Subject, Verdict, judge};
use egret_core::world::Pod;
use egret_core::{ObjectName, Protocol};
use egret_shared::Direction;

use shapes::{NODE, Shape};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn reading(shape: &Shape) -> Reading<'_> {
    let Shape { desired, documents } = shape;
    Reading { world: &desired.world, documents, dialect: desired.dialect, learned: &[] }
}

fn flow<'a>(shape: &'a Shape, subject: &'a ObjectName, peer: &ObjectName, port: u16) -> Flow<'a> {
    let peer = shape.desired.world.pods[peer].addresses[0];
    let subject = Subject::Pod(subject);
    Flow { subject, direction: Direction::Ingress, peer, protocol: Protocol::Tcp, port, seen: None }
}

/// 294 policies of 68 rules each for one pod; the last rule of the last policy is the one that lets it in.
fn one_verdict(criterion: &mut Criterion) {
    let shape = shapes::many_rules(294, 68);
    let (client, server) = (ObjectName::new("a", "client"), ObjectName::new("a", "server"));
    let cluster = Cluster::new(&shape.desired, &Names::default());
    let question = Question {
        from: Party::Pod(client.clone()),
        to: Party::Pod(server.clone()),
        protocol: Protocol::Tcp,
        port: shapes::PORT,
        layer7: None,
    };
    let (from, to) = (cluster.find(&question.from).unwrap(), cluster.find(&question.to).unwrap());
    let flow = flow(&shape, &server, &client, shapes::PORT);
    let compiled = cluster.judge(&from, &to, Protocol::Tcp, shapes::PORT).ingress.verdict;
    assert_eq!(compiled, SideVerdict::Allowed);
    assert_eq!(judge(reading(&shape), flow).unwrap().verdict, Verdict::Allowed);
    criterion.bench_function("B6 one verdict, compiled", |bencher| {
        bencher.iter(|| cluster.judge(black_box(&from), black_box(&to), Protocol::Tcp, shapes::PORT));
    });
    criterion.bench_function("B6 one verdict with its authors", |bencher| {
        bencher.iter(|| cluster.ask(black_box(&question)));
    });
    criterion.bench_function("B6 one verdict, read from the documents", |bencher| {
        bencher.iter(|| judge(reading(&shape), black_box(flow)));
    });
}

fn cold(criterion: &mut Criterion, name: &str, shape: &Shape) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    group.bench_function("cold compile", |bencher| {
        bencher.iter_batched(
            Allocator::default,
            |numbers| Compiler::new(black_box(&shape.desired), NODE, &Names::default(), numbers),
            BatchSize::PerIteration,
        );
    });
    let mut pods = shape.desired.world.pods.keys();
    let (subject, peer) = (pods.next().unwrap(), pods.next().unwrap());
    let flow = flow(shape, subject, peer, shapes::PORT);
    group.bench_function("one flow, read from the documents", |bencher| {
        bencher.iter(|| judge(reading(shape), black_box(flow)));
    });
}

/// 25 000 namespaces, 75 000 policies, 100 000 pods: a cold start, then one change after the other, back and forth.
fn cold_start(criterion: &mut Criterion) {
    let shape = shapes::small_namespaces(25_000);
    cold(criterion, "B7 25000 namespaces of 4 pods and 3 policies", &shape);
    one_change(criterion, shape);
}

/// Each measurement is two changes: something comes, and goes again.
fn one_change(criterion: &mut Criterion, mut shape: Shape) {
    let (names, large) = (Names::default(), "large");
    for pod in 0..1_000 {
        shape.pod(large, &format!("pod-{pod:04}"), "app");
    }
    let policy = shape.understand(large, "policy", shapes::within("app"));
    let Shape { mut desired, .. } = shape;
    let mut compiler = Compiler::new(&desired, NODE, &names, Allocator::default());

    let name = ObjectName::new("ns-12345", "another");
    let pod = desired.world.pods[&ObjectName::new("ns-12345", "app-1-a")].clone();
    let pod = Pod { addresses: vec![IpAddr::V4(Ipv4Addr::new(172, 16, 0, 9))], ..pod };
    let changed = Changed { pods: [name.clone()].into(), ..Changed::default() };
    criterion.bench_function("B9 one pod comes and goes", |bencher| {
        bencher.iter(|| {
            desired.world.pods.insert(name.clone().into(), pod.clone());
            let came = compiler.update(&desired, NODE, &names, black_box(&changed));
            desired.world.pods.remove(&name);
            assert_eq!((came.len(), compiler.update(&desired, NODE, &names, &changed).len()), (2, 2));
        });
    });

    let changed = Changed { policies: [(*policy.id).clone()].into(), ..Changed::default() };
    criterion.bench_function("B9 one policy for 1000 pods comes and goes", |bencher| {
        bencher.iter(|| {
            desired.policies.insert(policy.id.clone(), policy.clone());
            let came = compiler.update(&desired, NODE, &names, black_box(&changed));
            desired.policies.remove(&policy.id);
            let went = compiler.update(&desired, NODE, &names, &changed);
            assert!(came.len() > 1_000 && went.len() > 1_000);
        });
    });

    let changed = Changed { namespaces: ["ns-12345".to_owned()].into(), ..Changed::default() };
    criterion.bench_function("B9 one namespace's label comes and goes", |bencher| {
        bencher.iter(|| {
            let labels = desired.world.namespaces.get_mut("ns-12345").unwrap();
            labels.insert("team".to_owned(), "red".to_owned());
            let came = compiler.update(&desired, NODE, &names, black_box(&changed));
            desired.world.namespaces.get_mut("ns-12345").unwrap().remove("team");
            let went = compiler.update(&desired, NODE, &names, &changed);
            assert!(came.len() > 4 && went.len() > 4);
        });
    });
}

fn tenants(criterion: &mut Criterion) {
    for namespaces in [1_000, 10_000, 100_000] {
        cold(criterion, &format!("B8 {namespaces} tenants"), &shapes::tenants(namespaces));
    }
}

/// 1 000 pods of 200 applications, and each pair of pods on 6 ports.
fn all_pairs(criterion: &mut Criterion) {
    let shape = shapes::applications(1_000, 200);
    let cluster = Cluster::new(&shape.desired, &Names::default());
    let traffic = [80, 81, 82, 443, 8080, 9090].map(|port| (Protocol::Tcp, port));
    let passing = |matrix: &Matrix| -> usize {
        let pods: Vec<(usize, usize)> = matrix
            .parties()
            .map(Who::pods)
            .map(<[_]>::len)
            .enumerate()
            .filter(|(_, pods)| *pods > 0)
            .collect();
        let cell = |from, to, at| matrix.cell(from, to, at).is_some_and(|cell| cell.passes());
        let pairs = pods.iter().flat_map(|from| pods.iter().map(move |to| (from, to)));
        pairs
            .map(|((from, senders), (to, receivers))| {
                let ports = (0..traffic.len()).filter(|at| cell(*from, *to, *at)).count();
                ports * if from == to { senders * (senders - 1) } else { senders * receivers }
            })
            .sum()
    };
    let expected = passing(&Matrix::new(&cluster, &traffic));
    criterion.bench_function("B10 all pairs of 1000 pods, 6 ports", |bencher| {
        bencher.iter(|| assert_eq!(passing(&Matrix::new(black_box(&cluster), &traffic)), expected));
    });
    let mut pods = shape.desired.world.pods.keys();
    let (subject, peer) = (pods.next().unwrap(), pods.next().unwrap());
    criterion.bench_function("B10 one pair, 6 ports, read from the documents", |bencher| {
        bencher.iter(|| {
            let ports = traffic.map(|(_, port)| flow(&shape, subject, peer, port));
            ports.map(|flow| judge(reading(&shape), black_box(flow)))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = one_verdict, all_pairs, tenants, cold_start
}
criterion_main!(benches);
