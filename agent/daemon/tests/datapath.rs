//! Packets through the loaded kernel programs (`BPF_PROG_TEST_RUN`): what comes out, and what is recorded.
//!
//! Needs root. Elsewhere every trial is reported as ignored; where `CI=true` and root, none may be.

#[path = "datapath/bench.rs"]
mod bench;
#[path = "datapath/connections.rs"]
mod connections;
#[path = "datapath/frames.rs"]
mod frames;
#[path = "datapath/frames6.rs"]
mod frames6;
#[path = "datapath/ipv6.rs"]
mod ipv6;
#[path = "datapath/policies.rs"]
mod policies;
#[path = "datapath/services.rs"]
mod services;
#[path = "datapath/shapes.rs"]
mod shapes;
#[path = "../../../ebpf/shared/tests/decide/table.rs"]
mod table;

use bench::Bench;
use libtest_mimic::{Arguments, Failed, Trial};

/// A trial's body on a freshly loaded datapath.
type Body = fn(&mut Bench) -> Result<(), Failed>;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    let bodies: Vec<(&str, Body)> = [shapes::ALL, policies::ALL, connections::ALL, services::ALL, ipv6::ALL]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let trials = bodies
        .into_iter()
        .map(|(name, body)| Trial::test(name, move || body(&mut Bench::load()?)).with_ignored_flag(!root))
        .collect();
    if !root {
        eprintln!("packets through the kernel programs need root: these trials are ignored");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
