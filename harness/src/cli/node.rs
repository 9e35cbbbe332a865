//! `egret node serve`: what a container of the docker subject runs.

use crate::error::Error;
use crate::exit::Exit;
use crate::subject::docker;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Run a node or the Internet by the orders that come on standard input
    Serve,
}

pub(super) fn run(command: &Command) -> Result<Exit, Error> {
    match command {
        Command::Serve => docker::serve().map(|()| Exit::Passed).map_err(Error::Site),
    }
}
