//! What killed runs left at the container engine.

use crate::cli::print;
use crate::error::Error;
use crate::exit::Exit;
use crate::subject::docker;

pub(super) fn run() -> Result<Exit, Error> {
    let removed = docker::clean()?;
    let mut text: String = removed.gone.iter().map(|name| format!("removed {name}\n")).collect();
    for run in &removed.spared {
        text += &format!("left alone: run {run}, which may live on another machine\n");
    }
    if text.is_empty() && removed.refused.is_empty() {
        text = "nothing was left behind\n".into();
    }
    print(&text);
    for problem in &removed.refused {
        anstream::eprintln!("error: {problem}");
    }
    Ok(if removed.refused.is_empty() { Exit::Passed } else { Exit::Environment })
}
