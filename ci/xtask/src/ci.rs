//! `cargo xtask ci`: every check, in the order that fails soonest.

use anyhow::Result;

use crate::{ebpf, lint, test, tidy};

/// Stops at the first check that fails.
pub(crate) fn run() -> Result<()> {
    tidy::run()?;
    lint::run(&lint::Options::default())?;
    ebpf::run(&ebpf::Options { check: true })?;
    test::run(&test::Options::default())
}
