//! Takes away what runs have made, found by its labels alone, so that a run that was killed leaves nothing either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::error::ClusterError;
use super::object::{HOST, Key, Kind, MADE, PROCESS, RUN, host};
use super::pace::Pace;
use super::server::Server;

/// How long namespaces may take to empty.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at what is left.
const PACE: Duration = Duration::from_millis(200);

/// A run that has left something in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its identifier.
    pub run: String,
    /// The machine that it ran on.
    pub host: String,
    /// Its process there.
    pub process: u32,
    /// How many objects carry its label, without what stands in namespaces of its own.
    pub objects: usize,
    /// Whether it is still going on, as far as this machine can tell: another machine's runs count as alive.
    pub alive: bool,
}

/// Deletes everything with these labels and waits until it is gone.
///
/// # Errors
/// The API server refuses, or something does not go in time: the message names it.
pub(super) async fn remove(server: &Server, selector: &str) -> Result<(), ClusterError> {
    let found = find(server, selector).await?;
    let namespaces: BTreeSet<&str> =
        found.iter().filter(|key| key.kind == Kind::Namespace).map(|key| key.name.as_str()).collect();
    // What stands in a namespace of ours goes with it.
    let alone =
        found.iter().filter(|key| !key.namespace.as_deref().is_some_and(|name| namespaces.contains(name)));
    for key in alone {
        server.delete(key).await?;
    }
    let mut pace = Pace::new(PACE, LIMIT);
    loop {
        let left = find(server, selector).await?;
        if left.is_empty() {
            return Ok(());
        }
        if !pace.next().await {
            let names: Vec<String> = left.iter().map(ToString::to_string).take(5).collect();
            return Err(ClusterError::Slow {
                what: format!("removing {}", names.join(", ")),
                seconds: LIMIT.as_secs(),
            });
        }
    }
}

/// The runs that have left something.
pub(super) async fn left(server: &Server) -> Result<Vec<Left>, ClusterError> {
    let mut runs: BTreeMap<String, Left> = BTreeMap::new();
    for kind in MADE {
        for object in server.list(kind, None, RUN).await? {
            let labels = object.metadata.labels.unwrap_or_default();
            let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
            let (on, process) = (label(HOST), label(PROCESS).parse().unwrap_or_default());
            let run = runs.entry(label(RUN)).or_insert_with(|| Left {
                run: label(RUN),
                alive: on != host() || is_running(process),
                host: on,
                process,
                objects: 0,
            });
            run.objects += 1;
        }
    }
    Ok(runs.into_values().collect())
}

async fn find(server: &Server, selector: &str) -> Result<Vec<Key>, ClusterError> {
    let mut found = Vec::new();
    for kind in MADE {
        for object in server.list(kind, None, selector).await? {
            let name = object.metadata.name.unwrap_or_default();
            found.push(Key::new(kind, object.metadata.namespace.as_deref(), &name));
        }
    }
    Ok(found)
}

/// Whether a process of this machine lives.
fn is_running(process: u32) -> bool {
    std::path::Path::new("/proc").join(process.to_string()).exists()
}
