//! `cargo xtask lint`: formatting, clippy, documentation and dependencies; no warning passes.

use anyhow::Result;

use crate::{ebpf, process};

/// What `lint` checks beyond the tree itself.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Also ask the public database of security advisories, which needs the network
    #[arg(long)]
    advisories: bool,
}

/// Without a tool that this machine lacks, its check is named as skipped together with the way to get it.
pub(crate) fn run(options: &Options) -> Result<()> {
    process::run(&mut process::cargo(&["fmt", "--all", "--check"]))?;
    // The fuzz targets are a workspace of their own.
    process::run(&mut process::cargo(&["fmt", "--manifest-path", "ci/fuzz/Cargo.toml", "--check"]))?;
    // The kernel crate is no default member, so that this covers every crate of the user side; the features that
    // are off in an ordinary build may not break it, nor it them.
    for features in ["--no-default-features", "--all-features"] {
        let clippy = ["clippy", "--locked", "--all-targets", features, "--", "-D", "warnings"];
        process::run(&mut process::cargo(&clippy))?;
    }
    let mut document = process::cargo(&["doc", "--locked", "--no-deps", "--all-features"]);
    process::run(document.env("RUSTDOCFLAGS", "-D warnings"))?;
    kernel()?;
    dependencies(options)
}

fn kernel() -> Result<()> {
    match ebpf::standard_library() {
        Ok(_) => process::run(ebpf::cargo("clippy")?.args(["--", "-D", "warnings"])),
        Err(missing) => {
            eprintln!("skipped: clippy of the kernel programs: {missing:#}");
            Ok(())
        }
    }
}

/// `bans`, `licenses` and `sources` depend on the tree alone; `advisories` on what the world knows today.
fn dependencies(options: &Options) -> Result<()> {
    if !process::succeeds(&mut process::cargo(&["deny", "--version"])) {
        anyhow::ensure!(!options.advisories, "cargo-deny is missing: `cargo install --locked cargo-deny`");
        eprintln!("skipped: cargo deny: not installed, get it with `cargo install --locked cargo-deny`");
        return Ok(());
    }
    let mut deny = process::cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]);
    if options.advisories {
        deny.arg("advisories");
    }
    process::run(&mut deny)
}
