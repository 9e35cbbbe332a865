//! `egret monitor`: hears every run on this machine.

use std::io::{self, Write};

use crate::error::Error;
use crate::exit::Exit;
use crate::flows::broadcast::Monitor;
use crate::flows::monitor::EventType;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only lines of this type; may be given several times
    #[arg(short = 't', long = "type", value_enum)]
    types: Vec<EventType>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let types = if arguments.types.is_empty() { EventType::ALL.to_vec() } else { arguments.types.clone() };
    let monitor = Monitor::listen().map_err(Error::Monitor)?;
    eprintln!("Listening for events of every egret run on this machine\nPress Ctrl-C to quit");
    let heard = monitor.run(&types, &mut |line| {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush())
    });
    match heard {
        // The reader of our output has gone: `egret monitor | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Passed),
        ended => ended.map(|()| Exit::Passed).map_err(Error::Monitor),
    }
}
