//! Hubble, where the cluster's plugin is Cilium: what its agents tell of the probes' packets.
//!
//! The agents' pods have the program `hubble`, which asks the agent of its own node: no port, no relay and no
//! certificate is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use egret_core::author::PolicyId;
use egret_core::probe::{JudgedAs, Judgement, Observation};
use egret_core::{Author, ObjectName, Protocol};
use egret_probe::{Attempt, Report};
use egret_shared::{Direction, DropReason};
use futures_util::future::try_join_all;

use super::agents::NAMESPACE;
use super::error::ClusterError;
use super::exec::{self, At};
use super::naming::Naming;
use super::object::Kind;
use super::pace::Pace;
use super::server::Server;
use crate::flows::hubble::read;

/// Label and container of Cilium's agents, as its chart writes them.
const LABEL: &str = "k8s-app=cilium";
const CONTAINER: &str = "cilium-agent";
/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(20);
/// What an agent has seen comes to its Hubble a moment later, and nobody tells when.
const PACE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(1);
/// Numbers of the events in which a policy has its say (`pkg/monitor/api/types.go`).
const DROP: i32 = 1;
const POLICY_VERDICT: i32 = 5;

/// Hubble in every agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hubble {
    agents: Vec<At>,
}

/// Whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The plugin is not Cilium.
    NoCilium,
    /// Cilium's agents are there, and Hubble does not answer.
    Silent(String),
    /// It answers on every node.
    There(Hubble),
}

/// A policy's say on one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    direction: Direction,
    protocol: Protocol,
    /// Who sent it; for an echo request the port is 0.
    source: (std::net::IpAddr, u16),
    judgement: Judgement,
}

impl Found {
    /// Looks for Cilium's agents and asks each of them for its last flow.
    ///
    /// # Errors
    /// The API server does not say what pods there are.
    pub(super) async fn look(server: &Server) -> Result<Self, ClusterError> {
        let pods = server.list(Kind::Pod, Some(NAMESPACE), LABEL).await?;
        let names = pods.into_iter().filter_map(|pod| pod.metadata.name);
        let at = |pod| At { container: Some(CONTAINER), ..At::pod(NAMESPACE.into(), pod) };
        let hubble = Hubble { agents: names.map(at).collect() };
        if hubble.agents.is_empty() {
            return Ok(Self::NoCilium);
        }
        Ok(match hubble.run(server, &["--last", "1"]).await {
            Ok(_) => Self::There(hubble),
            Err(error) => Self::Silent(error.to_string()),
        })
    }

    /// The end of the line that says what the cluster is.
    pub(super) fn note(&self) -> String {
        match self {
            Self::NoCilium => "what its plugin decides, and why, is not observed".into(),
            Self::Silent(problem) => {
                format!(
                    "Cilium's Hubble does not answer ({problem}), so what it decides, and why, is not observed"
                )
            }
            Self::There(_) => {
                "what Cilium decides is read from Hubble, which names policies and no rules".into()
            }
        }
    }
}

impl Hubble {
    /// What policies had to say on the packets of these reports, the newest of which is no older than this. Waits a
    /// moment for those of which nothing was told yet.
    ///
    /// # Errors
    /// Hubble does not answer any more, or in another language.
    pub(super) async fn said(
        &self,
        server: &Server,
        within: Duration,
        namespaces: &BTreeSet<String>,
        naming: &Naming,
        reports: &[Report],
    ) -> Result<Vec<Said>, ClusterError> {
        // By the nodes' clocks, with what the request takes and a second for the rest.
        let since = |waited: Duration| format!("{}s", (within + waited).as_secs() + 2);
        let attempts: Vec<&Attempt> = reports.iter().filter_map(|report| report.attempts.last()).collect();
        let begun = tokio::time::Instant::now();
        let mut pace = Pace::new(PACE, PATIENCE);
        loop {
            let since = since(begun.elapsed());
            let mut command = vec!["--since", &since, "--type", "drop", "--type", "policy-verdict"];
            command.extend(namespaces.iter().flat_map(|namespace| ["--namespace", namespace]));
            let texts = self.run(server, &command).await?;
            let mut said = Vec::new();
            for (at, text) in self.agents.iter().zip(&texts) {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    said.extend(parse(line, naming).map_err(|problem| not_understood(at, &problem))?);
                }
            }
            let complete = attempts.iter().all(|attempt| said.iter().any(|said| said.is_about(attempt)));
            if complete || !pace.next().await {
                return Ok(said);
            }
        }
    }

    async fn run(&self, server: &Server, arguments: &[&str]) -> Result<Vec<String>, ClusterError> {
        let command: Vec<&str> = ["hubble", "observe", "--output", "jsonpb"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let command = &command;
        let asked = self.agents.iter().map(|at| exec::run(&server.client, at, command, None, LIMIT));
        try_join_all(asked).await
    }
}

fn not_understood(at: &At, problem: &str) -> ClusterError {
    ClusterError::Exec {
        command: "hubble observe".into(),
        pod: format!("{}/{}", at.namespace, at.pod),
        problem: format!("wrote what is not understood: {problem}"),
    }
}

/// A line of Hubble; `None`: no policy's say on a packet that a client sent.
fn parse(line: &str, naming: &Naming) -> Result<Option<Said>, String> {
    let value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let flow = read::flow(&value).map_err(|error| error.to_string())?;
    Ok(said(flow, naming))
}

fn said(flow: read::Flow, naming: &Naming) -> Option<Said> {
    if flow.is_reply == Some(true) || !matches!(flow.event_type.kind, DROP | POLICY_VERDICT) {
        return None;
    }
    let (protocol, port, _) = flow.l4?.ports()?;
    let (direction, allowed_by, denied_by) = match flow.traffic_direction.as_str() {
        "EGRESS" => (Direction::Egress, flow.egress_allowed_by, flow.egress_denied_by),
        "INGRESS" => (Direction::Ingress, flow.ingress_allowed_by, flow.ingress_denied_by),
        _ => return None,
    };
    let (verdict, by) = match flow.verdict.as_str() {
        "FORWARDED" => (JudgedAs::Forwarded, allowed_by),
        "REDIRECTED" => (JudgedAs::Redirected, allowed_by),
        "AUDIT" => (JudgedAs::Audited, denied_by),
        "DROPPED" => (JudgedAs::Dropped, denied_by),
        _ => return None,
    };
    let reasons = DropReason::ALL.iter().copied();
    let reason = (verdict == JudgedAs::Dropped)
        .then(|| reasons.into_iter().find(|reason| reason.hubble() == flow.drop_reason_desc))
        .flatten();
    let by = match by.as_slice() {
        [policy] => Some(Author::Rule { policy: policy_id(policy, naming), path: String::new() }),
        // A verdict that names nobody is default deny's; a drop's own event never names anybody.
        [] if reason == Some(DropReason::PolicyDenied) && flow.event_type.kind == POLICY_VERDICT => {
            Some(Author::DefaultDeny { because: Vec::new() })
        }
        // Several let it pass, and none of them is the one.
        _ => None,
    };
    let source = (flow.ip?.source, port);
    Some(Said { direction, protocol, source, judgement: Judgement { verdict, reason, by } })
}

/// The policy under the case's name.
fn policy_id(policy: &read::Policy, naming: &Naming) -> PolicyId {
    let namespace = (!policy.namespace.is_empty()).then(|| naming.in_case(&policy.namespace).to_owned());
    PolicyId { kind: policy.kind.clone(), namespace, name: policy.name.clone() }
}

impl Said {
    /// Whether it is about a packet that the client sent in this attempt.
    fn is_about(&self, attempt: &Attempt) -> bool {
        let port = match attempt.protocol {
            // Hubble does not tell an echo request's identifier.
            Protocol::Icmp | Protocol::Icmpv6 => 0,
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::Other(_) => attempt.local.port(),
        };
        self.protocol == attempt.protocol && self.source == (attempt.local.ip(), port)
    }
}

/// What a client saw, with what was said of its last connection or query. `client` is its pod, if it has an endpoint.
pub(super) fn observe(
    client: Option<&ObjectName>,
    report: &Report,
    seen: Observation,
    said: &[Said],
) -> Observation {
    let at = |direction: Direction| {
        let attempt = report.attempts.last()?;
        let own = || said.iter().filter(|said| said.direction == direction && said.is_about(attempt));
        let dropped = |said: &&Said| said.judgement.verdict == JudgedAs::Dropped;
        // The verdict that names its author, then the packet's own event.
        let stopped = own().filter(dropped).max_by_key(|said| said.judgement.by.is_some());
        stopped.or_else(|| own().next()).map(|said| said.judgement.clone())
    };
    Observation {
        egress: client.and_then(|_| at(Direction::Egress)),
        ingress: at(Direction::Ingress),
        ..seen
    }
}

#[cfg(test)]
mod tests;
