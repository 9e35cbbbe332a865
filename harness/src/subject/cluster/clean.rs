//! Takes away what runs have made, found by its labels alone, so that a run that was killed leaves nothing either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::DynamicObject;

use super::agents::Agents;
use super::dns;
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

/// Puts back what runs with these labels have changed of the cluster's own: its DNS server, and the nodes' routes.
async fn put_back(server: &Server, selector: &str) -> Result<(), ClusterError> {
    if dns::put_back(server, selector).await? {
        Agents::find(server).await?.lead_outside(server, &[], &[]).await?;
    }
    Ok(())
}

/// Puts back what was changed, deletes everything else with these labels and waits until it is gone.
///
/// # Errors
/// The API server refuses, or something does not go in time: the message names it.
pub(super) async fn remove(server: &Server, selector: &str) -> Result<(), ClusterError> {
    put_back(server, selector).await?;
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
    for kind in MADE.into_iter().chain([Kind::ConfigMap]) {
        for object in server.list(kind, None, RUN).await? {
            let Some(owner) = owner(&object) else { continue };
            runs.entry(owner.run.clone()).or_insert(owner).objects += 1;
        }
    }
    Ok(runs.into_values().collect())
}

/// The run whose labels an object carries, with no objects yet.
pub(super) fn owner(object: &DynamicObject) -> Option<Left> {
    let labels = object.metadata.labels.as_ref()?;
    let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
    let run = labels.get(RUN)?.clone();
    let (on, process) = (label(HOST), label(PROCESS).parse().unwrap_or_default());
    Some(Left { run, alive: on != host() || is_running(process), host: on, process, objects: 0 })
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
