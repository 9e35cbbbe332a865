//! Answering flows: lines of JSON in, lines out, under a hundred policies; one iteration is ten thousand lines. Then one
//! flow explained, with every line quoted; and one flow under one policy as a process, beside one that does nothing.

use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egret::cluster::of_sources;
use egret::explain::explain;
use egret::source::Source;
use egret::verdict::answer_lines;
use egret_core::Protocol;
use egret_core::fqdn::Names;
use egret_core::judge::{Cluster, Party, Question};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: usize = 100;
const LINES: usize = 10_000;

fn verdict(criterion: &mut Criterion) {
    let mut text = String::new();
    for pod in 0..PODS {
        write!(
            text,
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: p{pod}, labels: {{ app: a{pod} }} }}\nspec: {{}}\n---\n\
             apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{ name: n{pod} }}\nspec:\n  \
             endpointSelector: {{ matchLabels: {{ app: a{pod} }} }}\n  ingress:\n  \
             - fromEndpoints: [{{ matchLabels: {{ app: a{} }} }}]\n    \
             toPorts: [{{ ports: [{{ port: '80' }}, {{ port: '443', endPort: 500 }}] }}]\n---\n",
            (pod + 1) % PODS
        )
        .expect("a string");
    }
    let cluster = of_sources(&[Source::new("all.yaml", text)], None).expect("right");
    let compiled = Cluster::new(&cluster.desired, &Names::default());
    let lines: String = (0..LINES)
        .map(|line| {
            let (from, to, port) = (line % PODS, line / PODS % PODS, [80, 443, 450, 81][line % 4]);
            format!(
                "{{\"id\":\"{line}\",\"from\":\"default/p{from}\",\"to\":\"default/p{to}\",\"port\":{port},\
                 \"protocol\":\"TCP\"}}\n"
            )
        })
        .collect();
    let mut group = criterion.benchmark_group("verdict");
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("lines", |bench| {
        bench.iter(|| {
            answer_lines(&compiled, &cluster.policies, BufReader::new(lines.as_bytes()), std::io::sink())
                .expect("memory")
        });
    });
    group.finish();
    let question = Question {
        from: Party::parse("default/p1").expect("a pod"),
        to: Party::parse("default/p0").expect("a pod"),
        protocol: Protocol::Tcp,
        port: 443,
        layer7: None,
    };
    let mut group = criterion.benchmark_group("one-flow");
    group.bench_function("judged", |bench| bench.iter(|| compiled.ask(&question).expect("an answer")));
    group.bench_function("explained", |bench| {
        bench.iter(|| explain(&cluster, &compiled, &question).expect("an explanation").to_string());
    });
    group.finish();
}

/// From the start of the process to its end.
fn process(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let (policy, flow) = (folder.path().join("policy.yaml"), folder.path().join("flow.jsonl"));
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: deny-all }\nspec:\n  \
                podSelector: {}\n  policyTypes: [Ingress, Egress]\n";
    std::fs::write(&policy, text).expect("written");
    std::fs::write(&flow, "{\"from\":\"world\",\"to\":\"1.2.3.4\",\"port\":80}\n").expect("written");
    let run = |command: &mut Command| {
        let input = File::open(&flow).expect("readable");
        let output = command.stdin(input).stderr(Stdio::inherit()).output().expect("started");
        assert!(output.status.success());
        output.stdout
    };
    let mut group = criterion.benchmark_group("process");
    group.bench_function("true", |bench| bench.iter(|| run(&mut Command::new("/bin/true"))));
    group.bench_function("verdict", |bench| {
        bench.iter(|| {
            let answer = run(Command::new(env!("CARGO_BIN_EXE_egret")).args(["verdict", "-f"]).arg(&policy));
            assert!(!answer.is_empty());
        });
    });
    group.finish();
}

criterion_group!(benches, verdict, process);
criterion_main!(benches);
