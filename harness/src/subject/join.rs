//! Attempts of a client and flows of the datapath to one observation.

use egret_core::flow::{Event, Flow, Packet};
use egret_core::probe::{JudgedAs, Judgement, Observation, Probe};
use egret_core::{ObjectName, World};
use egret_probe::{Attempt, Report, Stage};
use egret_shared::{CtStatus, Direction, Verdict};

use super::question;
use super::site::Decided;

/// The packet of a flow, if a client sent it on the connection or query of `attempt`.
///
/// The DNS proxy asks in its client's name from a port of its own; such packets belong to the query.
fn sent_for<'a>(attempt: &Attempt, flow: &'a Flow) -> Option<&'a Packet> {
    let Event::Packet(packet) = &flow.event else { return None };
    let same_address = flow.source.address == attempt.local.ip();
    let own = same_address && flow.source.port == attempt.local.port() && !packet.from_proxy;
    let by_proxy = same_address && packet.from_proxy && attempt.stage == Stage::Resolve;
    let forward = matches!(packet.status, CtStatus::New | CtStatus::Established);
    (flow.protocol == attempt.protocol && forward && (own || by_proxy)).then_some(packet)
}

/// Whether a flow says that a packet of the attempt was dropped: nothing will come back for it.
pub(super) fn was_dropped(attempt: &Attempt, flow: &Flow) -> bool {
    matches!(flow.verdict, Verdict::Dropped(_)) && sent_for(attempt, flow).is_some()
}

/// Puts the reports of clients that were told last in their places.
pub(super) fn settled(decided: &mut [Decided], reports: Vec<(usize, Report)>) {
    for (index, report) in reports {
        if let Some(place) = decided.get_mut(index) {
            place.report = Some(report);
        }
    }
}

/// The observations of a step: each probe with the flows that were seen while it was being decided. `flows` are
/// those of every site, in order of time.
pub(super) fn observations(
    probes: &[Probe],
    world: &World,
    decided: &[Decided],
    flows: &[Flow],
) -> Vec<Observation> {
    let pairs = probes.iter().zip(decided);
    pairs
        .filter_map(|(probe, decided)| {
            let (from, until) = decided.during;
            let begin = flows.partition_point(|flow| flow.time < from);
            let end = flows.partition_point(|flow| flow.time <= until);
            let own = flows.get(begin..end).unwrap_or_default();
            let client = question::endpoint(&probe.from, world);
            Some(observe(client, decided.report.as_ref()?, own))
        })
        .collect()
}

/// What a client saw and what the datapath said about its last connection or query.
///
/// `client` is the pod of the client, if it is one with an endpoint of its own.
pub(super) fn observe(client: Option<&ObjectName>, report: &Report, flows: &[Flow]) -> Observation {
    let at = |direction: Direction| {
        let attempt = report.attempts.last()?;
        let mut judged = flows.iter().filter(|flow| {
            let own = flow.endpoint.as_ref().map(|endpoint| &endpoint.pod) == client;
            let here = match direction {
                Direction::Egress => client.is_some() && own,
                Direction::Ingress => flow.endpoint.is_some() && !own,
            };
            here && flow.direction == direction && sent_for(attempt, flow).is_some()
        });
        // One state is in force for the whole step, so the first packet speaks for all; a drop behind it is
        // news all the same.
        let first = judged.clone().next();
        judged.find(|flow| matches!(flow.verdict, Verdict::Dropped(_))).or(first).map(judgement)
    };
    Observation {
        client: report.outcome.clone(),
        egress: at(Direction::Egress),
        ingress: at(Direction::Ingress),
        addresses: report.addresses.clone(),
    }
}

fn judgement(flow: &Flow) -> Judgement {
    let (verdict, reason) = match flow.verdict {
        Verdict::Dropped(reason) => (JudgedAs::Dropped, Some(reason)),
        Verdict::Redirected(_) => (JudgedAs::Redirected, None),
        Verdict::Forwarded if flow.enforced => (JudgedAs::Forwarded, None),
        Verdict::Forwarded => (JudgedAs::None, None),
    };
    Judgement { verdict, reason, by: flow.by.clone() }
}
