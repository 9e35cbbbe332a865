//! The `egret` command.

use std::process::ExitCode;

use egret::exit::Exit;

fn main() -> ExitCode {
    // The panic's message is already on standard error; only its exit code is ours to give.
    std::panic::catch_unwind(egret::cli::main).unwrap_or(Exit::Internal).into()
}
