//! How a cluster of `egret kind` is, and waiting until it is well.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use super::agents::{self, Agents};
use crate::subject::cluster::error::ClusterError;
use crate::subject::cluster::object::{Key, Kind};
use crate::subject::cluster::pace::Pace;
use crate::subject::cluster::ready;
use crate::subject::cluster::server::Server;

/// How long nodes and agents may take to become ready.
const LIMIT: Duration = Duration::from_secs(180);
/// Between two looks.
const PACE: Duration = Duration::from_millis(200);

/// A cluster's nodes and agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How many nodes there are.
    pub nodes: usize,
    /// Nodes that are not ready.
    pub not_ready: Vec<String>,
    /// How many agents there ought to be.
    pub agents: u64,
    /// How many of them have brought a revision into force.
    pub agents_ready: u64,
    /// The agents' image.
    pub image: Option<String>,
    /// Pods that were there before the agents, and are under no policy, as `namespace/name`.
    pub unmanaged: Vec<String>,
}

impl Health {
    /// Whether everything is ready.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.nodes > 0 && self.not_ready.is_empty() && self.agents > 0 && self.agents == self.agents_ready
    }
}

/// Looks once.
pub(super) async fn look(server: &Server) -> Result<Health, ClusterError> {
    let (nodes, not_ready) = nodes(server).await?;
    let mut health = Health { nodes, not_ready, ..Health::default() };
    if let Some(set) = daemon_set(server).await? {
        health.image = set.image;
        health.agents = set.wanted;
        health.agents_ready = set.ready;
    }
    if health.agents > 0 && health.agents == health.agents_ready {
        let all = Agents::find(server).await?.status(server).await?;
        health.unmanaged = all.into_iter().flat_map(|status| status.unmanaged).collect();
        health.unmanaged.sort();
    }
    Ok(health)
}

/// Waits until every node is ready.
pub(super) async fn nodes_ready(server: &Server) -> Result<(), ClusterError> {
    let mut pace = Pace::new(PACE, LIMIT);
    loop {
        let (_, not_ready) = nodes(server).await?;
        if not_ready.is_empty() {
            return Ok(());
        }
        // An agent that cannot start keeps its node from ever becoming ready: its reason is the news.
        agents_can_start(server).await?;
        if !pace.next().await {
            let nodes = not_ready.into_iter().map(|name| format!("node `{name}` is not ready"));
            let agents = ready::reasons(server, agents::NAMESPACE, agents::LABEL).await?;
            return Err(ClusterError::NotReady(nodes.chain(agents).collect()));
        }
    }
}

/// Waits until every agent is ready.
pub(super) async fn agents_ready(server: &Server) -> Result<(), ClusterError> {
    let mut pace = Pace::new(PACE, LIMIT);
    loop {
        let set = daemon_set(server).await?;
        if set.is_some_and(|set| set.is_current && set.wanted > 0 && set.ready == set.wanted) {
            return Ok(());
        }
        agents_can_start(server).await?;
        if !pace.next().await {
            let mut reasons = vec!["the agents are not ready".into()];
            reasons.extend(ready::reasons(server, agents::NAMESPACE, agents::LABEL).await?);
            return Err(ClusterError::NotReady(reasons));
        }
    }
}

async fn agents_can_start(server: &Server) -> Result<(), ClusterError> {
    ready::can_start(server, agents::NAMESPACE, agents::LABEL).await
}

async fn nodes(server: &Server) -> Result<(usize, Vec<String>), ClusterError> {
    let api: Api<Node> = Api::all(server.client.clone());
    let nodes =
        api.list(&ListParams::default()).await.map_err(|error| ClusterError::of("list nodes", error))?;
    let is_ready = |node: &&Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
    };
    let waiting = nodes.items.iter().filter(|node| !is_ready(node));
    let names = waiting.filter_map(|node| node.metadata.name.clone()).collect();
    Ok((nodes.items.len(), names))
}

struct Set {
    image: Option<String>,
    wanted: u64,
    ready: u64,
    /// The controller has seen the newest form, and every agent runs it.
    is_current: bool,
}

async fn daemon_set(server: &Server) -> Result<Option<Set>, ClusterError> {
    let key = Key::new(Kind::DaemonSet, Some(agents::NAMESPACE), "egret");
    Ok(server.get(&key).await?.map(|set| {
        let status = &set.data["status"];
        let number = |key: &str| status[key].as_u64().unwrap_or_default();
        let wanted = number("desiredNumberScheduled");
        let generation = set.metadata.generation.and_then(|generation| u64::try_from(generation).ok());
        let image = set.data["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
        Set {
            image: image.map(ToOwned::to_owned),
            wanted,
            ready: number("numberReady"),
            is_current: Some(number("observedGeneration")) == generation
                && number("updatedNumberScheduled") == wanted,
        }
    }))
}
