//! Reading: the tutorial from files to a case, one manifest through each of the two YAML readers, and ten
//! thousand policies (5 MB) to rules, beside the plain parser alone, which knows no places and no policies.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egret::source::Source;
use egret::{case, cluster, yaml};
use serde::Deserialize;

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const POLICIES: usize = 10_000;

fn load(criterion: &mut Criterion) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cases");
    let found = case::find(&root, &["tutorial".to_owned()]).expect("the tutorial");
    criterion.bench_function("load/tutorial", |bench| bench.iter(|| case::load(&found).expect("loads")));
    criterion.bench_function("find/corpus", |bench| bench.iter(|| case::find(&root, &[]).expect("cases")));
    let source = read(&root.join("tutorial/allow-egress-fqdn.yaml"));
    let mut group = criterion.benchmark_group("yaml/manifest");
    group.bench_function("fast", |bench| bench.iter(|| yaml::manifests(&source).expect("yaml")));
    group.bench_function("tree", |bench| bench.iter(|| yaml::documents(&source).expect("yaml")));
    group.finish();
}

fn many(criterion: &mut Criterion) {
    let source = Source::new("policies.yaml", policies());
    let mut group = criterion.benchmark_group("load/10000-policies");
    group.throughput(Throughput::Bytes(source.text.len() as u64));
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    group.bench_function("plain-parser", |bench| bench.iter(|| plain(&source)));
    group.bench_function("egret", |bench| bench.iter(|| rules(&source)));
    group.finish();
}

/// Every document as a value, by the YAML organisation's parser on one core.
fn plain(source: &Source) -> usize {
    let documents = serde_yaml::Deserializer::from_str(&source.text);
    let values = documents.map(|document| serde_yaml::Value::deserialize(document).expect("yaml"));
    values.collect::<Vec<_>>().len()
}

/// Every document as rules that know their places.
fn rules(source: &Arc<Source>) -> usize {
    let cluster = cluster::of_sources(std::slice::from_ref(source), None).expect("right");
    assert_eq!(cluster.desired.policies.len(), POLICIES);
    cluster.desired.policies.len()
}

/// Policies as people write them, 500 bytes each.
fn policies() -> String {
    let mut text = String::new();
    for policy in 0..POLICIES {
        write!(
            text,
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: allow-{policy}\n  \
             namespace: team-{}\n  labels:\n    app.kubernetes.io/managed-by: Helm\nspec:\n  podSelector:\n    \
             matchLabels:\n      app.kubernetes.io/name: api-{policy}\n  policyTypes:\n    - Ingress\n  ingress:\n    \
             # From the front end of the same team\n    - from:\n        - namespaceSelector:\n            \
             matchLabels:\n              team: \"{}\"\n          podSelector:\n            matchLabels:\n              \
             app: frontend\n      ports:\n        - protocol: TCP\n          port: 8080\n",
            policy / 50,
            policy % 7,
        )
        .expect("a string");
    }
    text
}

fn read(path: &Path) -> Arc<Source> {
    Source::new(path, std::fs::read_to_string(path).expect("readable"))
}

criterion_group!(benches, load, many);
criterion_main!(benches);
