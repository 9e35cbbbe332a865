//! `egret image`: the image of the docker subject.

use super::print;
use crate::error::Error;
use crate::exit::Exit;
use crate::subject::docker;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make the image from this binary, or from the one that EGRET_IMAGE_BINARY names, unless the engine has it
    Build,
}

pub(super) fn run(command: &Command) -> Result<Exit, Error> {
    match command {
        Command::Build => {
            let image = docker::make_image()?;
            let made = if image.made { "made" } else { "is there already" };
            print(&format!("{} {made}, {:.1} MB\n", image.name, image.size as f64 / 1e6));
            Ok(Exit::Passed)
        }
    }
}
