//! Egret's own agents in a cluster: when policies are in force on every node, and what became of packets.

use std::net::IpAddr;
use std::time::Duration;

use egret_core::flow::Flow;
use egret_core::rule::Dialect;
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
    agents: Vec<Agent>,
    /// Whose reading of policies they were told, if they were.
    dialect: Option<Dialect>,
}

/// One agent, and how far it was listened to. Every agent counts revisions and time by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Agent {
    at: At,
    /// The revision that is in force.
    revision: u64,
    /// Time of the newest flow that was read.
    heard: u64,
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
        let at = names.map(|pod| At::pod(NAMESPACE.into(), pod));
        Ok(Self { agents: at.map(|at| Agent { at, revision: 0, heard: 0 }).collect(), dialect: None })
    }

    /// Where they run.
    pub(super) fn places(&self) -> Vec<At> {
        self.agents.iter().map(|agent| agent.at.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// What every agent says of itself.
    pub(super) async fn status(&self, server: &Server) -> Result<Vec<Status>, ClusterError> {
        let texts = self.each(server, &["status"]).await?;
        self.agents.iter().zip(texts).map(|(agent, text)| parse(&agent.at, &text)).collect()
    }

    /// Waits until every agent has brought the changes into force; the lowest revision of all.
    ///
    /// # Errors
    /// An agent did not, in time.
    pub(super) async fn wait(&mut self, server: &Server, changes: &Changes) -> Result<u64, ClusterError> {
        let seconds = LIMIT.as_secs().to_string();
        let wanted: Vec<String> =
            changes.versions.iter().map(|(object, version)| format!("{object}={version}")).collect();
        let mut command = vec!["wait", "--timeout", &seconds];
        command.extend(wanted.iter().map(String::as_str));
        let texts = self.each(server, &command).await?;
        for (agent, text) in self.agents.iter_mut().zip(texts) {
            agent.revision = parse::<Status>(&agent.at, &text)?.revision;
        }
        Ok(self.agents.iter().map(|agent| agent.revision).min().unwrap_or_default())
    }

    /// Forgets learned names and connections, so that a case begins as the first one did; records every packet, and
    /// reads policies as the case does.
    pub(super) async fn begin(&mut self, server: &Server, dialect: Dialect) -> Result<(), ClusterError> {
        if self.dialect != Some(dialect) {
            self.each(server, &["dialect", dialect.word()]).await?;
            self.dialect = Some(dialect);
        }
        self.each(server, &["forget"]).await?;
        self.each(server, &["capture", "on"]).await?;
        Ok(())
    }

    /// Has every node lead these prefixes to a neighbour, by its address of their family, in place of those before; none:
    /// no more.
    pub(super) async fn lead_outside(
        &self,
        server: &Server,
        via: &[IpAddr],
        prefixes: &[String],
    ) -> Result<(), ClusterError> {
        let via: Vec<String> = via.iter().map(|via| format!("--via={via}")).collect();
        let mut command = vec!["outside"];
        command.extend(via.iter().map(String::as_str));
        command.extend(prefixes.iter().map(String::as_str));
        self.each(server, &command).await.map(drop)
    }

    /// Leaves the agents as they were before the first case.
    pub(super) async fn end(&self, server: &Server) -> Result<(), ClusterError> {
        if self.dialect.is_some() { self.reset(server).await } else { Ok(()) }
    }

    /// Has the agents read policies as their kinds say, and record no packets.
    pub(super) async fn reset(&self, server: &Server) -> Result<(), ClusterError> {
        self.each(server, &["dialect", "auto"]).await?;
        self.each(server, &["capture", "off"]).await.map(drop)
    }

    /// The flows under each agent's revision that were not read before, in order of time.
    pub(super) async fn flows(&mut self, server: &Server) -> Result<Vec<Flow>, ClusterError> {
        let texts = try_join_all(self.agents.iter().map(|agent| async {
            let revision = agent.revision.to_string();
            run(server, &agent.at, &["flows", "--since", &revision]).await
        }));
        let texts = texts.await?;
        let mut flows = Vec::new();
        for (agent, text) in self.agents.iter_mut().zip(texts) {
            let heard = agent.heard;
            for line in text.lines() {
                let flow: Flow = parse(&agent.at, line)?;
                if flow.time > heard {
                    agent.heard = agent.heard.max(flow.time);
                    flows.push(flow);
                }
            }
        }
        flows.sort_by_key(|flow: &Flow| flow.time);
        Ok(flows)
    }

    /// Runs a command of `egret agent` in every agent's pod.
    async fn each(&self, server: &Server, command: &[&str]) -> Result<Vec<String>, ClusterError> {
        try_join_all(self.agents.iter().map(|agent| run(server, &agent.at, command))).await
    }
}

/// Runs a command of `egret agent` in one agent's pod.
async fn run(server: &Server, at: &At, command: &[&str]) -> Result<String, ClusterError> {
    let command: Vec<&str> = ["/egret", "agent"].into_iter().chain(command.iter().copied()).collect();
    exec::run(&server.client, at, &command, None, LIMIT + Duration::from_secs(10)).await
}

fn parse<'a, T: Deserialize<'a>>(at: &At, text: &'a str) -> Result<T, ClusterError> {
    serde_json::from_str(text).map_err(|error| ClusterError::Exec {
        command: "/egret agent".into(),
        pod: format!("{}/{}", at.namespace, at.pod),
        problem: format!("wrote what is not understood: {error}"),
    })
}
