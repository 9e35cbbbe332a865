//! Whether this machine can run the lab, and what to do where it cannot.

use std::fs;

use nix::sys::utsname::uname;

use super::{Lab, LabOptions};
use crate::subject::{Check, CheckState, SubjectError};

/// Oldest kernel with everything that the datapath uses (`bpf_sk_assign`, ring buffers).
const OLDEST: (u32, u32) = (5, 10);

/// Capabilities that the lab needs, by bit (`include/uapi/linux/capability.h`), each with its reason.
const CAPABILITIES: [(u32, &str, &str); 3] = [
    (12, "CAP_NET_ADMIN", "to make links and attach programs"),
    (21, "CAP_SYS_ADMIN", "to make and enter network namespaces"),
    (39, "CAP_BPF", "to load the datapath"),
];

/// The command that gives a run what it needs.
const AS_ROOT: &str = "sudo -E env \"PATH=$PATH\" cargo run --release -- test";

/// Whether this process may run the lab; nothing is tried.
///
/// # Errors
/// What is missing, and which command gives it.
pub fn available() -> Result<(), SubjectError> {
    match missing_capability() {
        None => Ok(()),
        Some((name, reason)) => Err(SubjectError::Environment {
            subject: Lab::NAME,
            problem: format!("real packets need root ({name}, {reason})"),
            advice: format!("run it as `{AS_ROOT}`"),
        }),
    }
}

/// What the lab needs of the machine, each thing tried for real where that is allowed.
#[must_use]
pub fn checks() -> Vec<Check> {
    let mut checks = vec![kernel()];
    for (bit, name, reason) in CAPABILITIES {
        let held = effective_capabilities().is_some_and(|held| held & (1 << bit) != 0);
        checks.push(Check {
            name: name.into(),
            state: if held { CheckState::Ok } else { CheckState::Missing },
            advice: if held { reason.into() } else { format!("{reason}: run it as `{AS_ROOT}`") },
        });
    }
    checks.push(match Lab::new(LabOptions::default()) {
        Ok(_) => Check {
            name: "lab".into(),
            state: CheckState::Ok,
            advice: "namespaces, links and the datapath work: `egret test --subject lab`".into(),
        },
        Err(error) => Check { name: "lab".into(), state: CheckState::Missing, advice: error.to_string() },
    });
    checks
}

fn kernel() -> Check {
    let release = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let new_enough = version >= OLDEST;
    let advice = if new_enough {
        format!("Linux {release}")
    } else {
        format!("Linux {release} is too old: the datapath needs {}.{} or newer", OLDEST.0, OLDEST.1)
    };
    Check {
        name: "kernel".into(),
        state: if new_enough { CheckState::Ok } else { CheckState::Missing },
        advice,
    }
}

fn missing_capability() -> Option<(&'static str, &'static str)> {
    let held = effective_capabilities().unwrap_or(0);
    CAPABILITIES.iter().find(|(bit, ..)| held & (1 << bit) == 0).map(|(_, name, reason)| (*name, *reason))
}

/// Asks for as many descriptors as the machine grants, and for locked memory, which kernels before 5.11 charge
/// for maps. A refusal shows where the resource is missed.
pub(in crate::subject) fn raise_limits() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _refused = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let _refused = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

/// The effective capabilities of the calling thread (proc_pid_status(5), `CapEff`).
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// What to do about an error that the machine gave when the lab was set up.
pub(super) fn advice(problem: &str) -> String {
    let problem = problem.to_lowercase();
    let advice = if problem.contains("permitted") || problem.contains("permission") {
        return format!("run it as root, outside of containers that hold back capabilities: `{AS_ROOT}`");
    } else if problem.contains("space left") || problem.contains("too many open files") {
        "raise the limit: `sysctl user.max_net_namespaces`, `ulimit -n`"
    } else if problem.contains("read-only") {
        "the lab sets kernel parameters of its own networks: /proc/sys must be writable"
    } else {
        "`egret doctor` shows what is missing; `--subject model` needs none of it"
    };
    advice.to_owned()
}
