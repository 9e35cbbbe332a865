//! What killed runs left in a cluster.

use std::fmt::Write as _;

use crate::error::Error;
use crate::exit::Exit;
use crate::subject::cluster;

#[derive(clap::Args)]
pub(super) struct Place {
    /// Context of the kubeconfig, for a cluster
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Also this run, whether or not it is alive
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

pub(super) fn run(place: &Place) -> Result<Exit, Error> {
    let context = place.context.as_deref();
    let mut text = String::new();
    for left in cluster::left(context)? {
        let what = format!("run {} of {} (process {})", left.run, left.host, left.process);
        let named = place.run.as_ref() == Some(&left.run);
        if left.alive && !named {
            let _ = writeln!(text, "left alone: {what}, which may be alive; `--run {}` removes it", left.run);
            continue;
        }
        cluster::remove(context, &left.run)?;
        let _ = writeln!(text, "removed {what}: {}", crate::count::count(left.objects, "object"));
    }
    if text.is_empty() {
        text = "nothing was left behind\n".into();
    }
    crate::cli::print(&text);
    Ok(Exit::Passed)
}
