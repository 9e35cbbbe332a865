//! The docker subject's own time beside the lab's in the same run: nine pods on two nodes ready, reset between
//! cases, and one step with its probes.
//!
//! Needs root for the lab, an engine, and a static binary in EGRET_IMAGE_BINARY (`cargo xtask static --release`).

use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use egret::case::Case;
use egret::subject::{Docker, Lab, LabOptions, Subject, docker};

fn two_nodes() -> Case {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/two-nodes.yaml");
    egret::case::load_file(&file).expect("the bench's own case is right")
}

fn up<S: Subject>(make: impl Fn(LabOptions) -> S, case: &Case) -> S {
    let mut subject = make(LabOptions::default());
    subject.begin(case).expect("the world comes up");
    subject
}

fn lab(options: LabOptions) -> Lab {
    Lab::new(options).expect("this machine runs the lab")
}

fn containers(options: LabOptions) -> Docker {
    Docker::new(options, None).expect("the engine runs containers")
}

fn step(subject: &mut dyn Subject, case: &Case) {
    let step = case.steps.first().expect("the case has a step");
    subject.apply(step).expect("the step's state comes into force");
    let probes: Vec<_> = step.expectations.iter().map(|expected| expected.probe.clone()).collect();
    let seen = subject.probe(&probes).expect("the probes run");
    assert_eq!(seen.len(), probes.len());
}

fn beside_the_lab(criterion: &mut Criterion) {
    if let Err(problem) = docker::available() {
        eprintln!("skipped: {problem}");
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: the lab, which stands beside, needs root");
        return;
    }
    let case = two_nodes();
    docker::make_image(None).expect("the engine takes the image");
    let mut group = criterion.benchmark_group("nine pods on two nodes");
    group.sample_size(10);
    group.bench_function("ready, docker", |b| {
        b.iter_batched(|| (), |()| up(containers, &case), BatchSize::PerIteration);
    });
    group.bench_function("ready, lab", |b| {
        b.iter_batched(|| (), |()| up(lab, &case), BatchSize::PerIteration);
    });
    group.sample_size(50);
    let (mut docker, mut lab) = (up(containers, &case), up(lab, &case));
    group.bench_function("reset, docker", |b| b.iter(|| docker.begin(&case).expect("the world comes up")));
    group.bench_function("reset, lab", |b| b.iter(|| lab.begin(&case).expect("the world comes up")));
    group.bench_function("a step of eight probes, docker", |b| b.iter(|| step(&mut docker, &case)));
    group.bench_function("a step of eight probes, lab", |b| b.iter(|| step(&mut lab, &case)));
    group.finish();
}

criterion_group!(benches, beside_the_lab);
criterion_main!(benches);
