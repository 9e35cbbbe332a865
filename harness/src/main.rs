//! The `egret` command.

use std::process::ExitCode;

use egret::exit::Exit;

/// A cluster's policies are many small allocations; the benchmarks say what this one saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "kubernetes")]
    if is_plugin() {
        return egret_agent::cni::main();
    }
    // The panic's message is already on standard error; only its exit code is ours to give.
    std::panic::catch_unwind(egret::cli::main).unwrap_or(Exit::Internal).into()
}

/// Whether a container runtime calls the binary as its network plugin: by the name of the file.
#[cfg(feature = "kubernetes")]
fn is_plugin() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&name).file_name().is_some_and(|name| name == egret_agent::cni::PLUGIN)
}
