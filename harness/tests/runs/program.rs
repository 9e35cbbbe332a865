//! The program as the tests of what runs leave behind start it, and the moments at which they kill it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The program with these arguments, in the folder where the cases are; nothing of it reaches the terminal.
pub(crate) fn egret(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a folder");
    command
        .current_dir(root)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Moments of a run: others in every run of a test, the same for a seed.
pub(crate) struct Moments {
    /// What a failure names.
    pub(crate) seed: u64,
    state: u64,
}

impl Moments {
    pub(crate) fn new() -> Self {
        let seed = u64::from(std::process::id());
        Self { seed, state: seed }
    }

    /// A moment before the end of a run that takes so long.
    pub(crate) fn draw(&mut self, longest: Duration) -> Duration {
        // A linear congruential generator.
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let microseconds = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((self.state >> 33) % microseconds)
    }
}
