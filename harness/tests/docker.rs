//! What runs of the docker subject leave at the engine, however they end.
//!
//! Needs an engine and a static binary in EGRET_IMAGE_BINARY (`cargo xtask static`). Elsewhere every trial is
//! reported as ignored.

#[path = "runs/program.rs"]
mod program;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::Moments;

/// How often a run is killed.
const KILLS: u64 = 20;
/// How long the engine may take to remove a container whose stream has closed.
const REMOVED_WITHIN: Duration = Duration::from_secs(20);

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let problem = egret::subject::docker::available().err();
    let ignored = problem.is_some();
    if let Some(problem) = problem {
        let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
        if strict && egret::subject::docker::expected() {
            eprintln!("may not be ignored here: {problem}");
            return std::process::ExitCode::FAILURE;
        }
        eprintln!("what runs of the docker subject leave behind cannot be seen: {problem}");
    }
    let trials = vec![
        Trial::test("a killed run leaves no container, and its network goes with the next", killed),
        Trial::test("an interrupted run removes what it made", interrupted),
        Trial::test("an engine behind a network is as good as one beside it", far_away),
        Trial::test("cleaning leaves a run that lives alone", side_by_side),
        Trial::test(
            "an engine that is not there, and an image that cannot be, have messages of their own",
            refused,
        ),
    ];
    let trials = trials.into_iter().map(|trial| trial.with_ignored_flag(ignored)).collect();
    // One at a time: they look at the whole engine.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials).exit_code()
}

/// The binary that is in the image too.
fn egret(arguments: &[&str]) -> Command {
    program::egret(std::env::var_os("EGRET_IMAGE_BINARY").unwrap_or_default(), arguments)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Containers or networks of any run, by name.
fn at_the_engine(what: &[&str]) -> Result<Vec<String>, Failed> {
    let output = Command::new("docker").args(what).args(["--filter", "label=egret.run"]).output()?;
    let names = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    if output.status.success() { Ok(names) } else { Err(String::from_utf8(output.stderr)?.into()) }
}

fn containers(also_stopped: bool) -> Result<Vec<String>, Failed> {
    let all = if also_stopped { "--all" } else { "--no-trunc" };
    at_the_engine(&["ps", all, "--format", "{{.Names}}"])
}

fn networks() -> Result<Vec<String>, Failed> {
    at_the_engine(&["network", "ls", "--format", "{{.Name}}"])
}

/// Waits until there is none left.
fn none(what: impl Fn() -> Result<Vec<String>, Failed>) -> Result<(), Failed> {
    let started = Instant::now();
    loop {
        let left = what()?;
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > REMOVED_WITHIN {
            return Err(format!("left behind: {left:?}").into());
        }
        std::thread::yield_now();
    }
}

/// A whole run, from network to verdict.
const RUN: [&str; 5] = ["test", "tutorial", "scenarios/two-nodes", "--subject", "docker"];

/// Whether a run was still alive when it was killed at this moment.
fn is_killed(moment: Duration) -> Result<bool, Failed> {
    let child = egret(&RUN).spawn()?;
    let process = Pid::from_raw(i32::try_from(child.id())?);
    let started = Instant::now();
    let (tell, ended) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output();
        // Nobody waits for it when the moment came first.
        let _gone = tell.send(());
        output
    });
    let cut_short = ended.recv_timeout(moment.saturating_sub(started.elapsed())).is_err();
    if cut_short {
        kill(process, Signal::SIGKILL)?;
    }
    waiting.join().map_err(|_| "the waiting thread panicked")??;
    Ok(cut_short)
}

fn killed() -> Result<(), Failed> {
    none(|| containers(true))?;
    let started = Instant::now();
    let output = egret(&RUN).output()?;
    let longest = started.elapsed();
    if !output.status.success() {
        return Err(text(&output).into());
    }
    let mut moments = Moments::new();
    let seed = moments.seed;
    let mut cut_short = 0;
    for _ in 0..KILLS {
        cut_short += u64::from(is_killed(moments.draw(longest))?);
    }
    if cut_short < KILLS / 4 {
        return Err(format!("only {cut_short} of {KILLS} runs were cut short (seed {seed})").into());
    }
    let whole = || {
        none(|| containers(false))?;
        // What the last run left goes with the next run, as a user would see it.
        let output = egret(&["test", "tutorial", "--subject", "docker"]).output()?;
        if !output.status.success() {
            return Err(text(&output).into());
        }
        none(|| containers(true))?;
        none(networks)
    };
    whole().map_err(|failed: Failed| format!("seed {seed}: {failed:?}").into())
}

/// Runs the whole corpus, and ends it when its containers come up or when this many cases have been judged: long before
/// its end, however fast the machine.
fn interrupted() -> Result<(), Failed> {
    for (signal, judged) in [(Signal::SIGINT, 0), (Signal::SIGTERM, 1), (Signal::SIGINT, 8)] {
        let mut child = egret(&["test", "--subject", "docker"]).spawn()?;
        while containers(true)?.is_empty() && child.try_wait()?.is_none() {
            std::thread::yield_now();
        }
        let mut lines = BufReader::new(child.stdout.take().ok_or("its output is not here")?).lines();
        let said: Vec<String> = lines.by_ref().take(judged).collect::<Result<_, _>>()?;
        kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        let rest: Vec<String> = lines.collect::<Result<_, _>>()?;
        let output = child.wait_with_output()?;
        let said = format!("{}\n{}\n{}", said.join("\n"), rest.join("\n"), text(&output));
        if output.status.code() != Some(if signal == Signal::SIGINT { 130 } else { 143 }) {
            return Err(format!("{signal} after {judged} cases: {} {said}", output.status).into());
        }
        if !(containers(true)?.is_empty() && networks()?.is_empty()) {
            return Err(format!("left behind after {judged} cases: {said}").into());
        }
    }
    Ok(())
}

/// A port behind which the machine's own engine answers, as that of another machine does.
fn forwarded() -> Result<std::net::SocketAddr, Failed> {
    let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();
    let port = TcpListener::bind("127.0.0.1:0")?;
    let address = port.local_addr()?;
    // Both threads of a connection end with it, and this one with the process.
    std::thread::spawn(move || {
        for near in port.incoming() {
            let near = near.expect("a connection comes");
            let far = UnixStream::connect(&socket).expect("the engine is there");
            let (near_again, far_again) =
                (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
            std::thread::spawn(move || pass_on(near, far, |far| far.shutdown(Shutdown::Write)));
            std::thread::spawn(move || pass_on(far_again, near_again, |near| near.shutdown(Shutdown::Write)));
        }
    });
    Ok(address)
}

/// Copies until one side ends, and tells the other. A side that is gone needs not be told.
fn pass_on<T: Write>(mut from: impl Read, mut to: T, end: impl FnOnce(&T) -> io::Result<()>) {
    let _gone = io::copy(&mut from, &mut to).and_then(|_| end(&to));
}

fn far_away() -> Result<(), Failed> {
    let host = format!("tcp://{}", forwarded()?);
    let output = egret(&RUN).env("DOCKER_HOST", &host).output()?;
    let said = text(&output);
    if !output.status.success() || !said.contains("2 cases on docker: 2 passed") {
        return Err(format!("{host}: {} {said}", output.status).into());
    }
    none(|| containers(true))?;
    none(networks)
}

fn side_by_side() -> Result<(), Failed> {
    let mut long = egret(&["test", "network-policy/", "scenarios/", "--subject", "docker"]).spawn()?;
    let mut cleaned = 0;
    while long.try_wait()?.is_none() {
        let output = egret(&["clean"]).output()?;
        if !output.status.success() {
            return Err(text(&output).into());
        }
        cleaned += 1;
    }
    let output = long.wait_with_output()?;
    if !output.status.success() || cleaned == 0 {
        return Err(text(&output).into());
    }
    none(|| containers(true))?;
    none(networks)
}

fn refused() -> Result<(), Failed> {
    let cases = [
        ("DOCKER_HOST", "ssh://somewhere", "ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock"),
        ("DOCKER_HOST", "unix:///nowhere.sock", "no container engine answers at unix:///nowhere.sock"),
        ("DOCKER_HOST", "tcp://127.0.0.1:1", "no container engine answers at tcp://127.0.0.1:1"),
        (
            "EGRET_IMAGE_BINARY",
            "/etc/passwd",
            "`/etc/passwd`, which EGRET_IMAGE_BINARY names, cannot be the image's one file",
        ),
        (
            "EGRET_IMAGE_BINARY",
            "/nowhere",
            "`/nowhere`, which EGRET_IMAGE_BINARY names, cannot be the image's one file",
        ),
    ];
    for (variable, value, message) in cases {
        let output = egret(&["test", "tutorial", "--subject", "docker"]).env(variable, value).output()?;
        let said = text(&output);
        if output.status.code() != Some(3) || !said.contains(message) || said.contains("panicked") {
            return Err(format!("{variable}={value}: {} {said}", output.status).into());
        }
    }
    Ok(())
}
