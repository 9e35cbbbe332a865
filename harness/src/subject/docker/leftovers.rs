//! What runs leave at the engine when they are killed, and its removal.
//!
//! Containers end by themselves when their run does. What stays is the run's network, and a container that was
//! made and not started yet. Nothing of a run that lives is touched.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};

use super::engine::Engine;
use super::error::DockerError;
use super::run::{self, Life, OWNER, RUN};

/// What one run has at the engine.
#[derive(Default)]
struct Belongings {
    owner: String,
    containers: Vec<String>,
    running: bool,
    networks: Vec<String>,
}

/// What was removed, by name, and what could not be.
#[derive(Debug, Default)]
pub struct Removed {
    /// Containers and networks that are gone.
    pub gone: Vec<String>,
    /// Runs that may live elsewhere and were left alone.
    pub spared: Vec<String>,
    /// What the engine said about the rest.
    pub refused: Vec<String>,
}

/// Removes what dead runs left.
///
/// # Errors
/// The engine does not say what there is.
pub(super) async fn remove(engine: &Engine) -> Result<Removed, DockerError> {
    let mut removed = Removed::default();
    for (run, belongings) in belongings(engine, None).await? {
        match run::life(&belongings.owner) {
            Life::Alive => {}
            // Its containers live exactly as long as itself, unless it is just about to start the first.
            Life::Unknown if belongings.running || belongings.containers.is_empty() => {
                removed.spared.push(run);
            }
            Life::Dead | Life::Unknown => remove_all(engine, belongings, &mut removed).await,
        }
    }
    Ok(removed)
}

/// Removes everything of one run, which is this process' own; says whether there was anything. What cannot be
/// removed now is removed by the next run.
pub(super) async fn remove_run(engine: &Engine, run: &str) -> bool {
    let mut removed = Removed::default();
    let Ok(found) = belongings(engine, Some(run)).await else { return false };
    for (_, belongings) in found {
        remove_all(engine, belongings, &mut removed).await;
    }
    !removed.gone.is_empty()
}

async fn remove_all(engine: &Engine, belongings: Belongings, removed: &mut Removed) {
    let containers = belongings.containers.iter().map(|name| engine.remove_container(name));
    let ended = futures_util::future::join_all(containers).await;
    let mut note = |name: String, ended: Result<(), DockerError>| match ended {
        Ok(()) => removed.gone.push(name),
        Err(error) => removed.refused.push(error.to_string()),
    };
    belongings.containers.into_iter().zip(ended).for_each(|(name, ended)| note(name, ended));
    for name in belongings.networks {
        let ended = engine.remove_network(&name).await;
        note(name, ended);
    }
}

async fn belongings(
    engine: &Engine,
    only: Option<&str>,
) -> Result<BTreeMap<String, Belongings>, DockerError> {
    let label = only.map_or_else(|| RUN.to_owned(), |run| format!("{RUN}={run}"));
    let filters = Some(HashMap::from([("label".to_owned(), vec![label])]));
    let containers =
        ListContainersOptions { all: true, filters: filters.clone(), ..ListContainersOptions::default() };
    let (containers, networks) = tokio::join!(
        engine.api.list_containers(Some(containers)),
        engine.api.list_networks(Some(ListNetworksOptions { filters })),
    );
    let mut found: BTreeMap<String, Belongings> = BTreeMap::new();
    let of = |labels: Option<HashMap<String, String>>| {
        let mut labels = labels.unwrap_or_default();
        let run = labels.remove(RUN).unwrap_or_default();
        let owner = labels.remove(OWNER).unwrap_or_default();
        (run, owner)
    };
    for container in containers.map_err(DockerError::refused("list containers"))? {
        let (run, owner) = of(container.labels);
        let entry = found.entry(run).or_default();
        entry.owner = owner;
        entry.running |= container.state.is_some_and(|state| state.to_string() == "running");
        let name = container.names.unwrap_or_default().into_iter().next();
        entry.containers.extend(name.map(|name| name.trim_start_matches('/').to_owned()).or(container.id));
    }
    for network in networks.map_err(DockerError::refused("list networks"))? {
        let (run, owner) = of(network.labels);
        let entry = found.entry(run).or_default();
        entry.owner = owner;
        entry.networks.extend(network.name);
    }
    Ok(found)
}
