//! Cost of the kernel programs for each packet, beside the cost of entering one at all.
//!
//! `BPF_PROG_TEST_RUN` times the program inside the kernel. Every row runs in the same process on the same
//! object; "entry" is an ARP frame, which the program lets pass after reading its Ethernet type.

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/datapath/bench.rs"]
mod bench;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/datapath/frames.rs"]
mod frames;

use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};
use bench::{Bench, EGRESS, INGRESS, PEER, PEER_IDENTITY, POD, Row};
use criterion::{Criterion, criterion_group, criterion_main};
use egret_shared::decide::conntrack::tcp::{ACK, SYN};
use egret_shared::{Action, Direction, protocol};

/// Packets of one test run; the kernel takes more, but then a signal may end it early.
const BATCH: u64 = 1_000_000;

fn run(bench: &mut Bench, direction: Direction, frame: &[u8], packets: u64) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = packets;
    while left > 0 {
        let repeat = left.min(BATCH);
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = u32::try_from(repeat).expect("a batch fits");
        let program = bench.datapath.classifier(direction).expect("the object has both programs");
        let average = program.test_run(options).expect("the kernel runs the program").duration;
        total += average * u32::try_from(repeat).expect("a batch fits");
        left -= repeat;
    }
    total
}

fn datapath(criterion: &mut Criterion) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: the datapath's cost needs root");
        return;
    }
    let mut bench = Bench::load().expect("the kernel takes the datapath");
    bench.datapath.maps.set_capture(false).expect("the configuration can be written");
    for policy in [INGRESS, EGRESS] {
        for port in 80..100 {
            let row =
                Row { peer: PEER_IDENTITY, protocol: protocol::TCP, port, action: Action::Allow, rule: 16 };
            bench.entry(policy, row).expect("a row can be written");
        }
    }
    let established = frames::tcp((POD, 40000), (PEER, 80), ACK);
    let reply = frames::tcp((PEER, 80), (POD, 40000), ACK);
    let mut group = criterion.benchmark_group("datapath");
    let arp = frames::ethernet(pnet::ethernet::EtherTypes::Arp, &[0; 28]);
    group.bench_function("entry", |b| b.iter_custom(|n| run(&mut bench, Direction::Egress, &arp, n)));
    for (name, policies) in [("unenforced", (0, 0)), ("20 rows", (INGRESS, EGRESS))] {
        bench.enforce(policies.0, policies.1).expect("the endpoint can be written");
        bench.run(Direction::Egress, &frames::tcp((POD, 40000), (PEER, 80), SYN)).expect("a test run");
        group.bench_function(format!("egress, established, {name}"), |b| {
            b.iter_custom(|n| run(&mut bench, Direction::Egress, &established, n));
        });
        group.bench_function(format!("ingress, reply, {name}"), |b| {
            b.iter_custom(|n| run(&mut bench, Direction::Ingress, &reply, n));
        });
    }
    group.finish();
}

criterion_group!(benches, datapath);
criterion_main!(benches);
