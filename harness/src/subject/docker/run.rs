//! One run's mark on everything that it makes at the engine, and whether the run that made a thing still lives.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::MetadataExt;

/// Label with the run's number.
pub(super) const RUN: &str = "egret.run";
/// Label with the process that owns the run.
pub(super) const OWNER: &str = "egret.owner";

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    number: u32,
    owner: String,
}

/// What is known about the run that made a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Its process runs on this machine.
    Alive,
    /// Its process has ended.
    Dead,
    /// It was on another machine, or before this one was started last.
    Unknown,
}

impl Run {
    /// A run of this process.
    pub(super) fn new() -> Self {
        // `RandomState` is seeded by the operating system.
        let number = RandomState::new().build_hasher().finish() as u32;
        Self { number, owner: owner(std::process::id()).unwrap_or_default() }
    }

    /// A number that no other run has.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// The run as it stands in names and labels.
    pub(super) fn id(&self) -> String {
        format!("{:08x}", self.number)
    }

    /// Name of the run's network.
    pub(super) fn network(&self) -> String {
        format!("egret-{}", self.id())
    }

    /// Name of the container of the Internet, or of the node in a slot.
    pub(super) fn container(&self, slot: Option<usize>) -> String {
        match slot {
            None => format!("egret-{}-internet", self.id()),
            Some(slot) => format!("egret-{}-node-{slot}", self.id()),
        }
    }

    /// Labels of everything that the run makes.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(RUN.into(), self.id()), (OWNER.into(), self.owner.clone())])
    }
}

/// What is known about the process that an owner's label names.
pub(super) fn life(label: &str) -> Life {
    let parts =
        |text: &str| text.rsplit_once(':').map(|(rest, started)| (rest.to_owned(), started.to_owned()));
    let process = |rest: &str| rest.rsplit_once(':').and_then(|(_, process)| process.parse().ok());
    let Some((rest, _)) = parts(label) else { return Life::Unknown };
    let Some(process) = process(&rest) else { return Life::Unknown };
    let machine = |text: &str| text.rsplitn(3, ':').nth(2).map(str::to_owned);
    let here = owner(std::process::id());
    if machine(label).is_none() || machine(label) != here.as_deref().and_then(machine) {
        return Life::Unknown;
    }
    if owner(process).as_deref() == Some(label) { Life::Alive } else { Life::Dead }
}

/// A process as `boot:namespace:number:start`, so that neither another machine's process nor a later one with the
/// same number is taken for it.
fn owner(process: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Field 22 (proc_pid_stat(5)), counted from behind the name, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let started = fields.nth(18)?;
    Some(format!("{}:{namespace}:{process}:{started}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let label = owner(child.id()).unwrap();
        assert_eq!(life(&label), Life::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life(&label), Life::Dead);
        assert_eq!(life(&format!("x{label}")), Life::Unknown);
        assert_eq!(life(""), Life::Unknown);
        assert_eq!(life(&Run::new().owner), Life::Alive);
    }
}
