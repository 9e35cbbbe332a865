//! A run leaves nothing behind, however it ends, and two runs at once do not see each other.
//!
//! Needs root. Elsewhere every trial is reported as ignored.

#[path = "runs/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::Moments;

/// How often a run is killed.
const KILLS: u64 = 100;
/// A whole run of the tutorial takes less than this; moments are drawn from it.
const LONGEST: Duration = Duration::from_millis(200);
/// How long the kernel may take to free what a process held: it does so behind its back, without an event.
const FREED_WITHIN: Duration = Duration::from_secs(20);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    let trials = vec![
        Trial::test("a run that is killed at any moment leaves nothing", killed).with_ignored_flag(!root),
        Trial::test("a command in a pod ends with the lab that serves it", orphaned).with_ignored_flag(!root),
        Trial::test("two runs at once both pass", side_by_side).with_ignored_flag(!root),
    ];
    if !root {
        eprintln!("what a run of the lab leaves behind needs root: these trials are ignored");
    }
    // One at a time: they look at the whole machine.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials).exit_code()
}

fn egret(arguments: &[&str]) -> Command {
    program::egret(env!("CARGO_BIN_EXE_egret"), arguments)
}

/// Everything on the machine that a run could leave, by name.
fn machine() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut add =
        |kind: &str, names: Vec<String>| found.extend(names.iter().map(|name| format!("{kind} {name}")));
    add("link", names_in("/sys/class/net"));
    add("file", names_in("/tmp"));
    add("named namespace", names_in("/run/netns"));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    add("mount", mounts.lines().map(str::to_owned).collect());
    let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    add("socket", sockets.lines().filter(|line| line.contains("egret")).map(str::to_owned).collect());
    add("kernel", egret_agent::datapath::inventory());
    found
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Waits until the machine holds nothing that it did not hold before.
fn nothing_since(before: &BTreeSet<String>) -> Result<(), Failed> {
    freed(|| machine().difference(before).cloned().collect())
}

/// Waits until nothing is left of what a killed process held.
fn freed(mut left: impl FnMut() -> Vec<String>) -> Result<(), Failed> {
    let started = Instant::now();
    loop {
        let left = left();
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > FREED_WITHIN {
            return Err(format!("left behind: {left:#?}").into());
        }
        std::thread::yield_now();
    }
}

/// Waits for the end of a run, or for a moment to come.
fn until(child: &mut Child, moment: Duration) -> Result<Option<ExitStatus>, Failed> {
    let deadline = Instant::now() + moment;
    let mut output = child.stdout.take().ok_or("the run has no output")?;
    let mut ended = false;
    while !ended {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut events = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        if poll(&mut events, PollTimeout::try_from(left)?)? == 0 {
            break;
        }
        ended = output.read(&mut [0; 4096])? == 0;
    }
    child.stdout = Some(output);
    Ok(if ended { Some(child.wait()?) } else { None })
}

fn killed() -> Result<(), Failed> {
    let before = machine();
    let mut moments = Moments::new();
    let seed = moments.seed;
    let mut cut_short = 0;
    for round in 0..KILLS {
        let moment = moments.draw(LONGEST);
        let signal = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT][(round % 3) as usize];
        let mut child = egret(&["test", "tutorial", "--subject", "lab"]).spawn()?;
        if until(&mut child, moment)?.is_none() {
            kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
            child.wait()?;
            cut_short += 1;
        }
    }
    if cut_short < KILLS / 4 {
        return Err(format!("only {cut_short} of {KILLS} runs were cut short (seed {seed})").into());
    }
    nothing_since(&before).map_err(|failed| format!("seed {seed}: {failed:?}").into())
}

fn orphaned() -> Result<(), Failed> {
    let before = machine();
    let mut lab = egret(&["lab", "run", "tutorial", "--step", "no policy", "--", "nginx", "sh", "-c"]);
    // The command says its process number once it runs, and then waits for ever.
    let mut lab = lab.arg("echo $$; exec tail -f /dev/null").spawn()?;
    let mut line = Vec::new();
    let output = lab.stdout.as_mut().ok_or("the lab has no output")?;
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        if output.read(&mut byte)? == 0 {
            return Err("the command ended by itself".into());
        }
        line.extend(byte);
    }
    let command: i32 = String::from_utf8(line)?.trim().parse()?;
    kill(Pid::from_raw(i32::try_from(lab.id())?), Signal::SIGKILL)?;
    lab.wait()?;
    freed(|| {
        let runs = kill(Pid::from_raw(command), None).is_ok() && !is_zombie(command);
        runs.then(|| format!("process {command}")).into_iter().collect()
    })?;
    nothing_since(&before)
}

/// Whether a process has ended and only waits for somebody to ask how.
fn is_zombie(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'))
}

fn side_by_side() -> Result<(), Failed> {
    let before = machine();
    let runs = (0..2).map(|_| egret(&["test", "--subject", "lab"]).spawn()).collect::<Result<Vec<_>, _>>()?;
    for run in runs {
        let output = run.wait_with_output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stdout).into_owned().into());
        }
    }
    nothing_since(&before)
}
