//! `egret image`: the image of the docker subject.

use std::path::PathBuf;

use super::print;
use crate::error::Error;
use crate::exit::Exit;
use crate::subject::docker;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make the image, unless the engine has it
    Build {
        /// Static program for it; the one that EGRET_IMAGE_BINARY names, or this one, without
        #[arg(long, value_name = "PATH")]
        image_binary: Option<PathBuf>,
    },
}

pub(super) fn run(command: &Command) -> Result<Exit, Error> {
    match command {
        Command::Build { image_binary } => {
            let image = docker::make_image(image_binary.as_deref())?;
            let made = if image.made { "made" } else { "is there already" };
            print(&format!("{} {made}, {:.1} MB\n", image.name, image.size as f64 / 1e6));
            Ok(Exit::Passed)
        }
    }
}
