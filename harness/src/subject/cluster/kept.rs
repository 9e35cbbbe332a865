//! Connections that stay open from step to step: in each client's pod, a process that holds them until the case ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::flow::Flow;
use egret_core::probe::{Probe, Request, Source};
use egret_probe::{Exchange, Report};
use tokio::sync::broadcast::error::RecvError;

use super::asking::{self, Patience};
use super::drops::Drops;
use super::error::ClusterError;
use super::exec::{self, At, Following};
use super::server::Server;
use crate::pod::Answer;
use crate::subject::{join, question};
use egret_core::World;

/// The processes, by their pods. Dropping one resets its connections.
#[derive(Default)]
pub(super) struct Kept {
    clients: BTreeMap<At, Following>,
}

/// Whether a probe is one more exchange on a connection that stays open, of a client in the cluster.
pub(super) fn is_kept(probe: &Probe) -> bool {
    matches!(probe.request, Request::Keep { .. }) && !matches!(probe.from, Source::Address(_))
}

/// The flows that a report on such a connection is about: those since it was asked, and earlier ones where it says how
/// the connection has ended before.
pub(super) fn about(report: &Report, before: &[Flow], since: &[Flow]) -> Vec<Flow> {
    let all: Vec<Flow> = before.iter().chain(since).cloned().collect();
    let asked = before.last().map_or(0, |flow| flow.time.saturating_add(1));
    let spoke = join::spoke(report, &all, asked);
    if spoke == asked { since.to_vec() } else { all.into_iter().filter(|flow| flow.time >= spoke).collect() }
}

impl Kept {
    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Resets every connection.
    pub(super) fn clear(&mut self) {
        self.clients.clear();
    }

    /// Forgets clients whose pods are gone, and their connections with them.
    pub(super) fn retain(&mut self, is_there: impl Fn(&At) -> bool) {
        self.clients.retain(|at, _| is_there(at));
    }

    /// Asks one after the other and gives the reports in the probes' order. As [`asking::ask`] otherwise.
    ///
    /// # Errors
    /// A client could not run, or its pod does not answer.
    pub(super) async fn ask(
        &mut self,
        server: &Server,
        probes: &[Probe],
        world: &World,
        place: impl Fn(&Source) -> Result<At, ClusterError>,
        patience: Patience,
        drops: Option<&Drops>,
    ) -> Result<Vec<Report>, ClusterError> {
        let mut reports = Vec::with_capacity(probes.len());
        for probe in probes {
            let question = question::question(probe, world)?;
            let at = place(&probe.from)?;
            reports
                .push(self.say(server, &at, question.addresses, question.exchange, patience, drops).await?);
        }
        Ok(reports)
    }

    async fn say(
        &mut self,
        server: &Server,
        at: &At,
        addresses: Vec<IpAddr>,
        exchange: Exchange,
        patience: Patience,
        drops: Option<&Drops>,
    ) -> Result<Report, ClusterError> {
        const COMMAND: [&str; 3] = ["/egret", "pod", "keep"];
        if !self.clients.contains_key(at) {
            let client = exec::follow(&server.client, at, &COMMAND).await?;
            self.clients.insert(at.clone(), client);
        }
        let failed = |problem: String| exec::failed(&COMMAND, at, problem);
        let ended = || failed("it ended before it had answered".into());
        let client = self.clients.get_mut(at).ok_or_else(ended)?;
        let mut heard = drops.map(Drops::listen);
        let line = asking::line(addresses, vec![exchange], patience).map_err(failed)?;
        let work = async {
            client.say(&line).await.map_err(|error| failed(error.to_string()))?;
            loop {
                let news = async {
                    match &mut heard {
                        Some(heard) => heard.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    answer = client.next() => return answer.ok_or_else(ended),
                    told = news => match told {
                        Ok(flow) => client.say(&flow).await.map_err(|error| failed(error.to_string()))?,
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => heard = None,
                    },
                }
            }
        };
        let limit = asking::longest(patience, 1);
        let line = tokio::time::timeout(limit, work)
            .await
            .map_err(|_elapsed| failed(format!("took longer than {} s", limit.as_secs())))??;
        let answer: Answer = serde_json::from_str(&line)
            .map_err(|error| failed(format!("wrote what is no answer: {error}: {line}")))?;
        answer.result.map_err(failed)
    }
}
