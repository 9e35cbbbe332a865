//! Reading: the tutorial from files to a case, and one manifest through each of the two YAML readers.

use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use egret::case;
use egret::source::Source;
use egret::yaml;

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

fn read(path: &Path) -> std::sync::Arc<Source> {
    Source::new(path, std::fs::read_to_string(path).expect("readable"))
}

criterion_group!(benches, load);
criterion_main!(benches);
