//! `egret pod`: what the containers of a cluster's pods run; nothing for people.

use crate::error::Error;
use crate::exit::Exit;
use crate::pod;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Serve what the environment says until the pod ends
    Serve,
    /// Answer one order of questions from standard input
    Probe,
    /// Keep connections open from one order to the next
    Keep,
    /// Say whether the pod's servers listen
    Ready,
}

pub(super) fn run(command: &Command) -> Result<Exit, Error> {
    match command {
        Command::Serve => pod::serve()?,
        Command::Probe => pod::probe()?,
        Command::Keep => pod::keep()?,
        Command::Ready => pod::ready()?,
    }
    Ok(Exit::Passed)
}
