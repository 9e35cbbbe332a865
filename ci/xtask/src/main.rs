//! Every CI step as a local command: `cargo xtask --help` lists them.

mod bench;
mod ci;
mod crds;
mod ebpf;
mod fuzz;
mod lint;
mod process;
mod root;
mod static_binary;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// The checks and builds of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Check what lints cannot: file length, first lines, names, crate edges, paths in documents
    Tidy,
    /// Check formatting, clippy, documentation and dependencies; no warning passes
    Lint(lint::Options),
    /// Build the kernel programs into `ebpf/prebuilt/`, or check that the committed object is what they give
    Ebpf(ebpf::Options),
    /// Write the custom resource definitions below `kind/crds/`, or check that they are what the types give
    Crds(crds::Options),
    /// Run every test, then every case on the model and, as root, in the lab
    Test(test::Options),
    /// Build the static binary that the docker subject's image holds, and print its path
    Static(static_binary::Options),
    /// Run benchmarks and print their medians as a table
    Bench(bench::Options),
    /// Run the fuzz targets, each for a bounded time
    Fuzz(fuzz::Options),
    /// Run all of it, in the order that fails soonest
    Ci,
}

fn main() -> ExitCode {
    let done = match Xtask::parse() {
        Xtask::Tidy => tidy::run(),
        Xtask::Lint(options) => lint::run(&options),
        Xtask::Ebpf(options) => ebpf::run(&options),
        Xtask::Crds(options) => crds::run(&options),
        Xtask::Test(options) => test::run(&options),
        Xtask::Static(options) => static_binary::run(&options),
        Xtask::Bench(options) => bench::run(&options),
        Xtask::Fuzz(options) => fuzz::run(&options),
        Xtask::Ci => ci::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
