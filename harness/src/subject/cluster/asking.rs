//! The probes of a step: one exec per client for all that it asks, every client at the same time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use egret_core::probe::{Probe, Source};
use egret_probe::{Exchange, Report};
use futures_util::StreamExt;
use futures_util::stream;

use super::drops::Drops;
use super::error::ClusterError;
use super::exec::{self, At, Input};
use super::server::Server;
use crate::pod::{Answer, Order, VERSION};
use crate::subject::question;
use egret_core::World;

/// How many clients are started at the same time: an API server counts open connections.
const TOGETHER: usize = 32;

/// How long clients wait. A lost SYN is sent again after one second; who waits two has asked twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) answer: Duration,
    pub(super) resolve: Duration,
}

impl Patience {
    pub(super) const SHORT: Self = Self { answer: Duration::from_secs(2), resolve: Duration::from_secs(2) };
    /// The tutorial's `--max-time 5`, and resolv.conf(5)'s `timeout:5`.
    pub(super) const LONG: Self = Self { answer: Duration::from_secs(5), resolve: Duration::from_secs(5) };
}

/// One client's share of a step.
#[derive(Default)]
struct Asked {
    /// Its own addresses, as the case gives it some of each family.
    addresses: Vec<IpAddr>,
    /// What it is asked, each with its place among the probes.
    questions: Vec<(usize, Exchange)>,
}

/// Asks everything and gives the reports in the probes' order. `place` says in which pod a client runs; clients end
/// when a packet of theirs is among the `drops`.
///
/// # Errors
/// A client could not run, or its pod does not answer.
pub(super) async fn ask(
    server: &Server,
    probes: &[Probe],
    world: &World,
    place: impl Fn(&Source) -> Result<At, ClusterError>,
    patience: Patience,
    drops: Option<&Drops>,
) -> Result<Vec<Report>, ClusterError> {
    let mut clients: BTreeMap<At, Asked> = BTreeMap::new();
    for (index, probe) in probes.iter().enumerate() {
        let question = question::question(probe, world)?;
        let client = clients.entry(place(&probe.from)?).or_default();
        client.addresses = question.addresses;
        client.questions.push((index, question.exchange));
    }
    let asked = clients.into_iter().map(|(at, Asked { addresses, questions })| async move {
        let (indices, questions): (Vec<usize>, Vec<Exchange>) = questions.into_iter().unzip();
        let answers = order(server, &at, addresses, questions, patience, drops).await?;
        Ok::<_, ClusterError>(indices.into_iter().zip(answers).collect::<Vec<_>>())
    });
    let mut answered: BTreeMap<usize, Report> = BTreeMap::new();
    let mut asked = stream::iter(asked).buffer_unordered(TOGETHER);
    while let Some(answers) = asked.next().await {
        answered.extend(answers?);
    }
    Ok(answered.into_values().collect())
}

/// An order for a client's process.
pub(super) fn line(
    addresses: Vec<IpAddr>,
    questions: Vec<Exchange>,
    patience: Patience,
) -> Result<String, String> {
    let Patience { answer, resolve } = patience;
    let order = Order { version: VERSION, addresses, answer, resolve, questions };
    serde_json::to_string(&order).map_err(|error| error.to_string())
}

/// How long a client may take for so many questions: each may wait for a name, a second time for its search list, and
/// for its peer.
pub(super) fn longest(patience: Patience, questions: usize) -> Duration {
    let each = patience.resolve.saturating_mul(4).saturating_add(patience.answer);
    let all = each.saturating_mul(u32::try_from(questions).unwrap_or(u32::MAX));
    all.saturating_add(Duration::from_secs(30))
}

/// One client's questions, answered in their order. It knows of these addresses of its own; of none: of all.
pub(super) async fn order(
    server: &Server,
    at: &At,
    addresses: Vec<IpAddr>,
    questions: Vec<Exchange>,
    patience: Patience,
    drops: Option<&Drops>,
) -> Result<Vec<Report>, ClusterError> {
    const COMMAND: [&str; 3] = ["/egret", "pod", "probe"];
    let failed = |problem: String| ClusterError::Exec {
        command: COMMAND.join(" "),
        pod: format!("{}/{}", at.namespace, at.pod),
        problem,
    };
    let count = questions.len();
    let line = line(addresses, questions, patience).map_err(failed)? + "\n";
    let limit = longest(patience, count);
    let input = Input { first: &line, then: drops.map(Drops::listen), answers: count };
    let text = exec::run(&server.client, at, &COMMAND, Some(input), limit).await?;
    let mut reports: BTreeMap<usize, Report> = BTreeMap::new();
    for line in text.lines() {
        let answer: Answer = serde_json::from_str(line)
            .map_err(|error| failed(format!("wrote what is no answer: {error}: {line}")))?;
        reports.insert(answer.index, answer.result.map_err(failed)?);
    }
    if reports.len() != count {
        return Err(failed(format!("answered {} of {count} questions", reports.len())));
    }
    Ok(reports.into_values().collect())
}
