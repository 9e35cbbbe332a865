//! The agent as the network plugin of a node, called as a kubelet and a container runtime call it, without a cluster:
//! the API server is scripted, the node and its pods are network namespaces.
//!
//! Needs root. Elsewhere every trial is reported as ignored.

#[path = "node/api.rs"]
mod api;
#[path = "node/families.rs"]
mod families;
#[path = "node/kills.rs"]
mod kills;
#[path = "node/machine.rs"]
mod machine;
#[path = "node/names.rs"]
mod names;
#[path = "node/outside.rs"]
mod outside;
#[path = "node/plugin.rs"]
mod plugin;
#[path = "node/restart.rs"]
mod restart;

use libtest_mimic::{Arguments, Failed, Trial};

/// What a trial does.
type Body = fn() -> Result<(), Failed>;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    let bodies: [(&str, Body); 11] = [
        ("each command does what the specification says", plugin::commands),
        ("commands without an agent say so, and deletions work", plugin::without_agent),
        ("nothing leaks from a thousand calls with kills in between", kills::killed),
        ("an agent that is killed and comes back loses no packet", restart::restarted),
        ("the same over IPv6", restart::restarted_over_ipv6),
        ("pods have an address of each of the node's families", families::both),
        ("pods of a cluster of IPv6 alone have no IPv4", families::ipv6_alone),
        ("routes and masquerading outlive the agent, of both families", families::kept),
        ("names that were learned stay learned over a restart", names::learned),
        ("outside the cluster pods have the node's address, inside their own", outside::masqueraded),
        ("hosts outside are led to a neighbour until the agent starts anew", outside::led_to_a_neighbour),
    ];
    let trials =
        bodies.into_iter().map(|(name, body)| Trial::test(name, body).with_ignored_flag(!root)).collect();
    if !root {
        eprintln!("the agent of a node needs root: these trials are ignored");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
