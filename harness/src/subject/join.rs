//! Attempts of a client and flows of the datapath to one observation.

use std::net::IpAddr;

use egret_core::flow::{Event, Flow, Packet};
use egret_core::probe::{JudgedAs, Judgement, Observation, Outcome, Probe, Source};
use egret_core::{ObjectName, World};
use egret_probe::{Attempt, Report, Stage};
use egret_shared::{CtStatus, Direction, LOOPBACK_V4, LOOPBACK_V6, Verdict};
use serde::{Deserialize, Serialize};

use super::question;

/// A question that is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decided {
    /// When the client started and when it was decided, in nanoseconds since the Unix epoch: the flows in
    /// between are its own.
    pub(super) during: (u64, u64),
    /// Its report; `None` while a client whose packets were dropped is still waiting.
    pub(super) report: Option<Report>,
}

/// The packet of a flow, if a client sent it on the connection or query of `attempt`.
///
/// The DNS proxy asks in its client's name from a port of its own; such packets belong to the query.
fn sent_for<'a>(attempt: &Attempt, flow: &'a Flow) -> Option<&'a Packet> {
    let Event::Packet(packet) = &flow.event else { return None };
    let same_address = flow.source.address == attempt.local.ip() || is_loopback(flow);
    let own = same_address && flow.source.port == attempt.local.port() && !packet.from_proxy;
    let by_proxy = same_address && packet.from_proxy && attempt.stage == Stage::Resolve;
    let forward = matches!(packet.status, CtStatus::New | CtStatus::Established);
    (flow.protocol == attempt.protocol && forward && (own || by_proxy)).then_some(packet)
}

/// Whether a flow is the query that a DNS proxy made of the attempt in its node's name, as it arrives at a server on
/// another node: the answer comes back to the proxy by itself then. Who asked it does not show, but one state is in
/// force for every query that this node asks of its DNS server.
fn asked_for(attempt: &Attempt, flow: &Flow, node: &[IpAddr]) -> bool {
    let Event::Packet(packet) = &flow.event else { return false };
    attempt.stage == Stage::Resolve
        && flow.protocol == attempt.protocol
        && node.contains(&flow.source.address)
        && flow.destination.port == attempt.remote.port()
        && matches!(packet.status, CtStatus::New | CtStatus::Established)
}

/// Whether a packet came back to its own pod, which was its own backend.
fn is_loopback(flow: &Flow) -> bool {
    [LOOPBACK_V4, LOOPBACK_V6].iter().any(|loopback| flow.source.address == loopback.to_ip())
}

/// Whether a flow says that a packet of the attempt was dropped: nothing will come back for it.
pub(crate) fn was_dropped(attempt: &Attempt, flow: &Flow) -> bool {
    matches!(flow.verdict, Verdict::Dropped(_)) && sent_for(attempt, flow).is_some()
}

/// When the client of a connection that stays open, asked at `since`, sent what its report is about. One that found it
/// reset before it spoke has sent that earlier: its kernel says again what nobody has confirmed, whenever there is a way
/// again. `flows` are those since it was asked before.
pub(super) fn spoke(report: &Report, flows: &[Flow], since: u64) -> u64 {
    let Some(attempt) = report.attempts.last().filter(|_| report.outcome == Outcome::Reset) else {
        return since;
    };
    let sent =
        flows.iter().filter(|flow| flow.direction == Direction::Egress && sent_for(attempt, flow).is_some());
    sent.map(|flow| flow.time).max().map_or(since, |last| last.min(since))
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
            let client = Judged::of(&probe.from, world);
            Some(observe(client, decided.report.as_ref()?, own))
        })
        .collect()
}

/// By what flows a client is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    /// The pod whose endpoint judges what it sends, if there is one.
    pub(super) pod: Option<&'a ObjectName>,
    /// Addresses of the pod's node.
    node: &'a [IpAddr],
}

impl<'a> Judged<'a> {
    pub(super) fn of(from: &'a Source, world: &'a World) -> Self {
        let pod = question::endpoint(from, world);
        let node = pod.and_then(|pod| world.nodes.get(&world.pods.get(pod)?.node));
        Self { pod, node: node.map(|node| node.addresses.as_slice()).unwrap_or_default() }
    }
}

/// What a client saw and what the datapath said about its last connection or query.
pub(super) fn observe(client: Judged<'_>, report: &Report, flows: &[Flow]) -> Observation {
    let Some(attempt) = report.attempts.last() else {
        return Observation {
            client: report.outcome.clone(),
            egress: None,
            ingress: None,
            addresses: report.addresses.clone(),
        };
    };
    let at = |direction: Direction, belongs: &dyn Fn(&Flow) -> bool| {
        let mut judged = flows.iter().filter(|flow| {
            let own = flow.endpoint.as_ref().map(|endpoint| &endpoint.pod) == client.pod;
            let here = match direction {
                Direction::Egress => client.pod.is_some() && own,
                Direction::Ingress => flow.endpoint.is_some() && (!own || is_loopback(flow)),
            };
            here && flow.direction == direction && belongs(flow)
        });
        // One state is in force for the whole step, so the first packet speaks for all; a drop behind it is
        // news all the same.
        let first = judged.clone().next();
        judged.find(|flow| matches!(flow.verdict, Verdict::Dropped(_))).or(first).map(judgement)
    };
    // A name that the proxy refuses it does not ask for: what it asks is for another query.
    let went_on = report.outcome != Outcome::DnsRefused;
    let sent = |flow: &Flow| sent_for(attempt, flow).is_some_and(|packet| went_on || !packet.from_proxy);
    let egress = at(Direction::Egress, &sent);
    let is_proxied = egress.as_ref().is_some_and(|judgement| judgement.verdict == JudgedAs::Redirected);
    let asked = |flow: &Flow| went_on && is_proxied && asked_for(attempt, flow, client.node);
    let ingress = at(Direction::Ingress, &sent).or_else(|| at(Direction::Ingress, &asked));
    Observation { client: report.outcome.clone(), egress, ingress, addresses: report.addresses.clone() }
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

#[cfg(test)]
pub(crate) mod tests {
    use egret_core::Protocol;
    use egret_core::flow::{FlowEndpoint, Side};
    use rstest::rstest;

    use super::*;

    const CLIENT: &str = "10.244.0.7";
    const NODE: &str = "172.18.0.2";

    fn query() -> Attempt {
        Attempt {
            protocol: Protocol::Udp,
            local: format!("{CLIENT}:40000").parse().unwrap(),
            remote: "10.96.0.10:53".parse().unwrap(),
            stage: Stage::Resolve,
        }
    }

    /// A packet to the DNS server's pod, as one endpoint sees it.
    pub(crate) fn seen(at: &str, direction: Direction, source: &str, verdict: Verdict) -> Flow {
        let side = |text: &str| {
            let address: std::net::SocketAddr = text.parse().unwrap();
            Side {
                address: address.ip(),
                port: address.port(),
                identity: egret_shared::Identity::WORLD,
                labels: Vec::new(),
                pod: None,
                names: Vec::new(),
            }
        };
        let pod = ObjectName::new("kube-system", at);
        Flow {
            time: 1,
            node: String::new(),
            endpoint: Some(FlowEndpoint { id: 1, pod }),
            direction,
            source: side(source),
            destination: side("10.244.1.3:53"),
            service: None,
            protocol: Protocol::Udp,
            verdict,
            enforced: false,
            match_type: egret_shared::MatchType::None,
            by: None,
            event: Event::Packet(Packet {
                status: CtStatus::New,
                ifindex: 1,
                hash: 0,
                from_proxy: false,
                tcp_flags: 0,
                icmp: None,
                length: 60,
                bytes: Vec::new(),
            }),
        }
    }

    /// The server is on another node, so the proxy asks it in its node's name.
    #[rstest]
    #[case::its_own_node(Outcome::Ok, NODE, true)]
    #[case::another_node(Outcome::Ok, "172.18.0.9", false)]
    #[case::a_refused_name_is_not_asked_for(Outcome::DnsRefused, NODE, false)]
    fn what_a_proxy_asks_in_its_nodes_name(#[case] outcome: Outcome, #[case] from: &str, #[case] own: bool) {
        let client = ObjectName::new("kube-system", "client");
        let node: Vec<IpAddr> = vec![NODE.parse().unwrap()];
        let report = Report { outcome, addresses: Vec::new(), attempts: vec![query()] };
        let redirected = Verdict::Redirected(egret_shared::Proxy::Dns);
        let flows = [
            seen("client", Direction::Egress, &format!("{CLIENT}:40000"), redirected),
            seen("coredns", Direction::Ingress, &format!("{from}:50000"), Verdict::Forwarded),
        ];
        let seen = observe(Judged { pod: Some(&client), node: &node }, &report, &flows);
        assert_eq!(seen.egress.map(|judgement| judgement.verdict), Some(JudgedAs::Redirected));
        assert_eq!(seen.ingress.map(|judgement| judgement.verdict), own.then_some(JudgedAs::None));
        // Without a proxy in between it is somebody else's.
        let direct = observe(Judged { pod: Some(&client), node: &node }, &report, &flows[1..]);
        assert_eq!(direct.ingress, None);
    }

    /// Its kernel tries at 3 and at 7, and its client is asked at 5.
    #[rstest]
    #[case::reset_before_it_spoke(Outcome::Reset, &[3], 3)]
    #[case::reset_when_it_spoke(Outcome::Reset, &[3, 7], 5)]
    #[case::nobody_sent_anything(Outcome::Reset, &[], 5)]
    #[case::what_is_open_speaks_now(Outcome::Open, &[3], 5)]
    fn when_a_connection_spoke(#[case] outcome: Outcome, #[case] sent: &[u64], #[case] since: u64) {
        let report = Report { outcome, addresses: Vec::new(), attempts: vec![query()] };
        let at = |time: &u64| {
            let flow = seen("client", Direction::Egress, &format!("{CLIENT}:40000"), Verdict::Forwarded);
            Flow { time: *time, ..flow }
        };
        let flows: Vec<Flow> = sent.iter().map(at).collect();
        assert_eq!(spoke(&report, &flows, 5), since);
    }
}
