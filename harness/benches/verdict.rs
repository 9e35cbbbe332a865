//! Answering flows: lines of JSON in, lines out, under a hundred policies; one iteration is ten thousand lines.

use std::fmt::Write;
use std::io::BufReader;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egret::cluster::of_sources;
use egret::source::Source;
use egret::verdict::answer_lines;
use egret_core::fqdn::Names;
use egret_core::judge::Cluster;

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
}

criterion_group!(benches, verdict);
criterion_main!(benches);
