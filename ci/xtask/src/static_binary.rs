//! `cargo xtask static`: the static binary that containers run, with every feature; its path goes to standard output.

use anyhow::Result;

use crate::{process, workspace};

/// How the binary is built.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Optimised, as for a release
    #[arg(long)]
    release: bool,
}

/// Builds it. With its own target triple, so that the flag does not rebuild what ordinary builds have made.
pub(crate) fn run(options: &Options) -> Result<()> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = process::cargo(&[
        "build",
        "--locked",
        "--package",
        "egret",
        "--features",
        "docker,kubernetes",
        "--target",
        &target,
    ]);
    let folder = if options.release {
        build.arg("--release");
        "release"
    } else {
        "debug"
    };
    process::run(build.env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    println!("{}", workspace::root().join("target").join(target).join(folder).join("egret").display());
    Ok(())
}
