//! `cargo xtask ebpf`: builds the kernel programs into one object that is the same in every folder.
//!
//! The object is committed, so that nobody needs this toolchain to use Egret. It is a function of the sources,
//! `Cargo.lock`, the compiler of `rust-toolchain.toml` and the linker below: no path of the machine goes in.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{process, workspace};

/// The target of the kernel programs.
const TARGET: &str = "bpfel-unknown-none";
/// The linker's version decides the bytes, as the compiler's does.
const LINKER: &str = "bpf-linker 0.13.0";
/// Flags of the compiler for every crate of the object.
const FLAGS: [&str; 3] = [
    "-Clinker=bpf-linker",
    // The linker's default, to expand copies in order, leaves calls to `memset`, which the kernel does not have.
    "-Clink-arg=--disable-expand-memcpy-in-order",
    // Otherwise the bindings follow the machine that builds. Nothing here reads registers, where they differ.
    "--cfg=bpf_target_arch=\"x86_64\"",
];
/// Where cargo builds, apart from the user side's target folder.
const BUILD: &str = "target/ebpf";
/// Where the committed object and its digest stand.
const PREBUILT: &str = "ebpf/prebuilt";
const OBJECT: &str = "egret.o";
const DIGEST: &str = "egret.o.sha256";

/// What to do with the object once it is built.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail when the committed object is not what the sources give
    #[arg(long)]
    pub check: bool,
}

/// Builds, then writes or compares.
pub(crate) fn run(options: &Options) -> Result<()> {
    linker()?;
    process::run(&mut cargo("build")?)?;
    let built = workspace::root().join(BUILD).join(TARGET).join("ebpf/egret");
    let built = std::fs::read(&built).with_context(|| format!("cannot read `{}`", built.display()))?;
    if options.check { check(&built) } else { write(&built) }
}

/// `cargo <subcommand>` for the kernel crate, with everything fixed that changes the object.
pub(crate) fn cargo(subcommand: &str) -> Result<Command> {
    let mut command =
        process::cargo(&[subcommand, "--locked", "--profile", "ebpf", "--package", "egret-ebpf"]);
    command.args(["-Z", "build-std=core", "--target", TARGET, "--target-dir", BUILD]);
    // The pinned stable compiler accepts the two unstable flags above.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags()?);
    // Settings of the caller that would change the object.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PROFILE_") || name == "RUSTC_WRAPPER") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// The folder of the standard library's sources, from which `core` is built for the kernel.
pub(crate) fn standard_library() -> Result<PathBuf> {
    let sources = sysroot()?.join("lib/rustlib/src/rust");
    ensure!(
        sources.join("library/core/src/lib.rs").is_file(),
        "the standard library's sources are missing: `rustup component add rust-src`, or `ci/ebpf-toolchain`"
    );
    Ok(sources)
}

fn linker() -> Result<()> {
    let advice = "`cargo install bpf-linker --version 0.13.0 --locked`, or `ci/ebpf-toolchain`";
    let version = process::program("bpf-linker").arg("--version").output();
    let Ok(version) = version else { bail!("bpf-linker is missing: {advice}") };
    let version = String::from_utf8_lossy(&version.stdout);
    ensure!(version.trim() == LINKER, "found `{}`, the object needs `{LINKER}`: {advice}", version.trim());
    Ok(())
}

/// Compiler flags, separated as `CARGO_ENCODED_RUSTFLAGS` wants them, so that paths may hold blanks.
fn flags() -> Result<OsString> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    // The last prefix that matches wins: the sources may stand inside the others.
    let prefixes = [
        (home.join("registry"), "/cargo/registry"),
        (sysroot()?, "/sysroot"),
        (standard_library()?, "/rust"),
        (workspace::root().to_owned(), "/egret"),
    ];
    let mut flags = OsString::from(FLAGS.join("\u{1f}"));
    for (from, to) in prefixes {
        // The compiler sees some paths as given and others with their links resolved.
        let resolved = from.canonicalize().ok().filter(|resolved| *resolved != from);
        for from in [Some(from), resolved].into_iter().flatten() {
            flags.push("\u{1f}--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
    }
    Ok(flags)
}

fn sysroot() -> Result<PathBuf> {
    let bytes = process::output(process::program("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(String::from_utf8(bytes)?.trim()))
}

fn write(built: &[u8]) -> Result<()> {
    let folder = workspace::root().join(PREBUILT);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(OBJECT), built)?;
    let digest = process::output(process::program("sha256sum").arg(OBJECT).current_dir(&folder))?;
    std::fs::write(folder.join(DIGEST), &digest)?;
    eprintln!("{PREBUILT}/{OBJECT}: {} bytes, {}", built.len(), String::from_utf8_lossy(&digest).trim());
    Ok(())
}

fn check(built: &[u8]) -> Result<()> {
    let folder = workspace::root().join(PREBUILT);
    let committed = std::fs::read(folder.join(OBJECT))
        .with_context(|| format!("cannot read `{PREBUILT}/{OBJECT}`: build it with `cargo xtask ebpf`"))?;
    if let Some(difference) = difference(&committed, built) {
        bail!(
            "`{PREBUILT}/{OBJECT}` is not what the sources give: {difference}; rebuild it with `cargo xtask ebpf`"
        );
    }
    process::run(
        process::program("sha256sum").args(["--check", "--strict", "--quiet", DIGEST]).current_dir(&folder),
    )?;
    eprintln!("{PREBUILT}/{OBJECT}: {} bytes, as the sources give it", built.len());
    Ok(())
}

/// How two objects differ, for the message; nothing when they are equal.
fn difference(committed: &[u8], built: &[u8]) -> Option<String> {
    if committed == built {
        return None;
    }
    let same = committed.iter().zip(built).take_while(|(a, b)| a == b).count();
    Some(format!("{} bytes committed, {} built, equal up to byte {same}", committed.len(), built.len()))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn equal_objects_do_not_differ() {
        assert_eq!(difference(b"object", b"object"), None);
    }

    #[test]
    fn one_byte_or_a_longer_object_is_a_difference() {
        assert_eq!(
            difference(b"object", b"obXect").as_deref(),
            Some("6 bytes committed, 6 built, equal up to byte 2")
        );
        assert_eq!(
            difference(b"object", b"objects").as_deref(),
            Some("6 bytes committed, 7 built, equal up to byte 6")
        );
    }
}
