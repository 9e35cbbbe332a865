//! The lab's own time: networks ready, reset between cases, and a whole run as a user starts it.
//!
//! Each row stands beside its comparison in the same run: the same namespaces and links made by ip(8), a lab
//! that is built anew instead of reset, a process that does nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use egret::case::Case;
use egret::subject::{Lab, LabOptions, Subject};
use egret_agent::datapath::inventory;

/// Pods of the world.
const PODS: usize = 9;

fn nine_pods() -> Case {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/nine-pods.yaml");
    egret::case::load_file(&file).expect("the bench's own case is right")
}

fn up(case: &Case) -> Lab {
    let mut lab = Lab::new(LabOptions::default()).expect("this machine runs the lab");
    lab.begin(case).expect("the world comes up");
    lab
}

/// Nine linked namespaces as a script makes them, and their end.
fn by_script(group: &str) {
    let ip = |line: String| {
        let status = Command::new("ip").args(line.split(' ')).status().expect("ip(8) is installed");
        assert!(status.success(), "ip {line}");
    };
    for pod in 0..PODS {
        ip(format!("netns add {group}{pod}"));
        ip(format!("link add {group}v{pod} type veth peer name eth0 netns {group}{pod}"));
        ip(format!("link set {group}v{pod} up"));
        ip(format!("-n {group}{pod} addr add 10.0.1.{}/32 dev eth0", pod + 10));
        ip(format!("-n {group}{pod} link set eth0 up"));
        ip(format!("-n {group}{pod} route add default dev eth0"));
    }
}

fn end_script(group: &str) {
    for pod in 0..PODS {
        let name = format!("{group}{pod}");
        // The first round has nothing to end.
        drop(Command::new("ip").args(["netns", "delete", &name]).stderr(Stdio::null()).status());
    }
}

fn lab(criterion: &mut Criterion) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: the lab's time needs root");
        return;
    }
    let case = nine_pods();
    egret_agent::datapath::warm();
    let mut group = criterion.benchmark_group("nine pods");
    group.sample_size(20);
    // What is built is dropped outside of the measured time, and the kernel has freed it before the next round:
    // the programs of a lab are gone when its last network is.
    let before = inventory();
    let freed = || {
        while inventory() != before {
            std::thread::yield_now();
        }
    };
    group.bench_function("ready", |b| b.iter_batched(freed, |()| up(&case), BatchSize::PerIteration));
    // Other names every time: the kernel frees a deleted namespace's links behind its back.
    let mut round = 0;
    group.bench_function("ready, by ip(8), without servers and policy", |b| {
        let next = || {
            end_script(&format!("eb{round}n"));
            round += 1;
            format!("eb{round}n")
        };
        b.iter_batched(next, |script| by_script(&script), BatchSize::PerIteration);
    });
    end_script(&format!("eb{round}n"));
    let mut lab = up(&case);
    group.bench_function("reset", |b| b.iter(|| lab.begin(&case).expect("the world comes up")));
    group.finish();
}

fn run(criterion: &mut Criterion) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a run of the lab needs root");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a folder");
    let quiet = |command: &mut Command| {
        let status = command.current_dir(root).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("the program starts").success());
    };
    let mut group = criterion.benchmark_group("tutorial");
    group.sample_size(20);
    group.bench_function("process to verdict, lab", |b| {
        b.iter(|| {
            quiet(Command::new(env!("CARGO_BIN_EXE_egret")).args(["test", "tutorial", "--subject", "lab"]));
        });
    });
    group.bench_function("process to verdict, model", |b| {
        b.iter(|| {
            quiet(Command::new(env!("CARGO_BIN_EXE_egret")).args(["test", "tutorial", "--subject", "model"]));
        });
    });
    group.bench_function("a process that does nothing", |b| b.iter(|| quiet(&mut Command::new("true"))));
    group.finish();
}

criterion_group!(benches, lab, run);
criterion_main!(benches);
