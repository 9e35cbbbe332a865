//! Egret's own agents in a cluster: when policies are in force on every node, and what became of packets.

use std::time::Duration;

use egret_core::flow::Flow;
use futures_util::future::try_join_all;
use serde::Deserialize;

use super::changes::Changes;
use super::error::ClusterError;
use super::exec::{self, At};
use super::object::Kind;
use super::server::Server;

/// Where the agents run, and their label.
pub(super) const NAMESPACE: &str = "kube-system";
pub(super) const LABEL: &str = "app.kubernetes.io/name=egret";
/// How long an agent may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The agents, one per node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Agents {
    pods: Vec<At>,
}

/// What `egret agent status` prints, as far as it is read here; more may come.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Status {
    /// Node.
    pub(super) node: String,
    /// Revision that is in force.
    pub(super) revision: u64,
    /// Pods that were there before the agent and are under no policy.
    #[serde(default)]
    pub(super) unmanaged: Vec<String>,
}

impl Agents {
    /// The agents of the cluster; none where it runs another plugin.
    pub(super) async fn find(server: &Server) -> Result<Self, ClusterError> {
        let pods = server.list(Kind::Pod, Some(NAMESPACE), LABEL).await?;
        let names = pods.into_iter().filter_map(|pod| pod.metadata.name);
        Ok(Self { pods: names.map(|pod| At { namespace: NAMESPACE.into(), pod }).collect() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// What every agent says of itself.
    pub(super) async fn status(&self, server: &Server) -> Result<Vec<Status>, ClusterError> {
        let texts = self.each(server, &["status"]).await?;
        self.pods.iter().zip(texts).map(|(at, text)| parse(at, &text)).collect()
    }

    /// Waits until every agent has brought the changes into force; the lowest revision of all.
    ///
    /// # Errors
    /// An agent did not, in time.
    pub(super) async fn wait(&self, server: &Server, changes: &Changes) -> Result<u64, ClusterError> {
        if !changes.is_empty() {
            let seconds = LIMIT.as_secs().to_string();
            let wanted: Vec<String> =
                changes.versions.iter().map(|(object, version)| format!("{object}={version}")).collect();
            let mut command = vec!["wait"];
            command.extend(wanted.iter().map(String::as_str));
            command.extend(["--timeout", &seconds]);
            self.each(server, &command).await?;
        }
        let all = self.status(server).await?;
        Ok(all.iter().map(|status| status.revision).min().unwrap_or_default())
    }

    /// Forgets learned names and connections, so that a case begins as the first one did; records every packet.
    pub(super) async fn begin(&self, server: &Server) -> Result<(), ClusterError> {
        self.each(server, &["forget"]).await?;
        self.each(server, &["capture", "on"]).await?;
        Ok(())
    }

    /// The flows since a revision, in order of time.
    pub(super) async fn flows(&self, server: &Server, since: u64) -> Result<Vec<Flow>, ClusterError> {
        let revision = since.to_string();
        let texts = self.each(server, &["flows", "--since", &revision]).await?;
        let mut flows = Vec::new();
        for (at, text) in self.pods.iter().zip(texts) {
            for line in text.lines() {
                flows.push(parse(at, line)?);
            }
        }
        flows.sort_by_key(|flow: &Flow| flow.time);
        Ok(flows)
    }

    /// Runs a command of `egret agent` in every agent's pod.
    async fn each(&self, server: &Server, command: &[&str]) -> Result<Vec<String>, ClusterError> {
        let command: Vec<&str> = ["/egret", "agent"].into_iter().chain(command.iter().copied()).collect();
        let limit = LIMIT + Duration::from_secs(10);
        try_join_all(self.pods.iter().map(|at| exec::run(&server.client, at, &command, None, limit))).await
    }
}

fn parse<'a, T: Deserialize<'a>>(at: &At, text: &'a str) -> Result<T, ClusterError> {
    serde_json::from_str(text).map_err(|error| ClusterError::Exec {
        command: "/egret agent".into(),
        pod: format!("{}/{}", at.namespace, at.pod),
        problem: format!("wrote what is not understood: {error}"),
    })
}
