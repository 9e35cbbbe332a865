//! A thousand calls of the plugin, of which many are killed at any moment, and the agent now and then.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use egret_agent::Netns;
use egret_agent::netlink::view;
use libtest_mimic::Failed;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::api::PODS;
use super::machine::{Call, Machine, answer, kill_now};

/// Calls of `ADD`, four times as many as the node has addresses.
const ROUNDS: usize = 1000;
/// A call takes about this many microseconds; moments are drawn from it.
const LONGEST: u64 = 20_000;
/// The agent is killed this often.
const AGENT_KILLS: usize = 10;

fn names_in(folder: &Path) -> Result<BTreeSet<String>, Failed> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

pub(crate) fn killed() -> Result<(), Failed> {
    // A linear congruential generator: other moments in every run of the test, the seed in its output.
    let seed = u64::from(std::process::id());
    rounds(seed).map_err(|failed| format!("seed {seed}: {failed:?}").into())
}

fn rounds(seed: u64) -> Result<(), Failed> {
    let mut state = seed;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut machine = Machine::new(&[])?;
    machine.start()?;
    let (mut cut_short, mut finished) = (0, 0);
    // Those whose `DEL` never came, as when a node loses its power: `GC` finds them.
    let mut forgotten: Vec<(String, Netns)> = Vec::new();
    for round in 0..ROUNDS {
        let netns = Netns::new()?;
        let container = format!("container-{round}");
        let call = |command| Call {
            command,
            container: &container,
            netns: Some(&netns),
            pod: round % PODS,
            more: Value::Null,
        };
        let mut child = machine.begin(&call("ADD"))?;
        if draw(2) == 0 && !ends_within(&child, Duration::from_micros(draw(LONGEST)))? {
            kill_now(&mut child)?;
            cut_short += 1;
        } else {
            answer(&child.wait_with_output()?)?.map_err(|failure| format!("round {round}: {failure}"))?;
            finished += 1;
        }
        if round % (ROUNDS / AGENT_KILLS) == ROUNDS / AGENT_KILLS - 1 {
            let mut child =
                machine.begin(&Call { pod: (round + 1) % PODS, container: "unlucky", ..call("DEL") })?;
            machine.kill_agent()?;
            child.wait()?;
            machine.start()?;
        }
        if draw(20) == 0 {
            forgotten.push((container, netns));
            continue;
        }
        if draw(4) == 0 {
            let mut child = machine.begin(&call("DEL"))?;
            if !ends_within(&child, Duration::from_micros(draw(LONGEST)))? {
                kill_now(&mut child)?;
            }
        }
        machine.call(&call("DEL"))?.map_err(|failure| format!("round {round}: {failure}"))?;
        if forgotten.len() >= PODS / 2 {
            collect(&machine)?;
            forgotten.clear();
        }
    }
    if cut_short < ROUNDS / 10 || finished < ROUNDS / 10 {
        return Err(format!("{cut_short} calls were cut short and {finished} finished: too few").into());
    }
    eprintln!("{ROUNDS} calls: {finished} finished, {cut_short} were killed, the agent {AGENT_KILLS} times");
    collect(&machine)?;
    drop(forgotten);
    assert_eq!(machine.pod_links()?, [], "links are left");
    let routes: Vec<_> = view::routes(&machine.netns)?.iter().map(|route| route.prefix.1).collect();
    assert_eq!(routes, [24, 24], "other routes than those of the two nodes are left");
    assert_eq!(names_in(&machine.path("bin"))?, ["egret-cni".to_owned()].into());
    assert_eq!(names_in(&machine.path("conf"))?, ["05-egret.conflist".to_owned()].into());
    // Learned names are kept beside the socket: one file, whatever happens.
    assert_eq!(names_in(&machine.path("run"))?, ["agent.sock", "names.json"].map(str::to_owned).into());
    Ok(())
}

/// Collects what nobody needs any more: everything.
fn collect(machine: &Machine) -> Result<(), Failed> {
    let more = json!({ "cni.dev/valid-attachments": [] });
    let call = Call { command: "GC", container: "", netns: None, pod: 0, more };
    machine.call(&call)?.map(|_| ()).map_err(|failure| format!("GC: {failure}").into())
}

/// Waits until a call has answered or a moment has come.
fn ends_within(child: &std::process::Child, moment: Duration) -> Result<bool, Failed> {
    use std::os::fd::AsFd;
    let output = child.stdout.as_ref().ok_or("the call has no output")?;
    let deadline = Instant::now() + moment;
    let left = deadline.saturating_duration_since(Instant::now());
    let mut events = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut events, PollTimeout::try_from(left)?)? > 0)
}
