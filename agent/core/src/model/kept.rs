//! Connections that stay open from step to step: what each packet of theirs meets, and how they end.

use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::decide::conntrack::tcp;
use egret_shared::{Direction, Verdict};

use super::Model;
use super::client::Client;
use super::node::Packet;
use super::proxy::Said;
use super::route::{Arrival, Journey, exists, node_of};
use crate::probe::{Http, JudgedAs, Judgement, Observation, Opening, Outcome, Source};
use crate::{Protocol, World};

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    source: Source,
    client: Client,
    /// The first packet, after service translation; `None`: its packets stay inside a pod or a node.
    packet: Option<Packet>,
    /// The address and port that it was opened to.
    opened_to: (IpAddr, u16),
    /// Whether a proxy took it, per [`Direction`].
    proxied: [bool; 2],
    /// It stays inside its pod, and came there through a service.
    hairpin: bool,
    /// The server's node has stopped since: whoever is there now knows nothing of it.
    forgotten: bool,
    /// How it ended, or failed to open.
    ended: Option<Outcome>,
}

impl Model {
    /// Opens a connection, and says a first line.
    pub(super) fn open(
        &mut self,
        connection: &str,
        (source, client): (&Source, &Client),
        Opening { to, port }: &Opening,
    ) -> Observation {
        let mut observation =
            self.reach(client, to, Some((port, Protocol::Tcp)), |model, client, address| {
                let Some(number) = model.port_number(to, port, Protocol::Tcp) else {
                    return (Journey::none(), Outcome::Refused);
                };
                let mut journey = model.send(client, address, Protocol::Tcp, number);
                let http = Http::default();
                let at = (address, number);
                let said = Said { protocol: Protocol::Tcp, http: &http, to, at };
                let outcome = model.connected(client, &mut journey, &said);
                let state = state_of(&outcome);
                let kept = Kept {
                    source: source.clone(),
                    client: client.clone(),
                    packet: journey.packet,
                    opened_to: at,
                    proxied: [is_redirected(&journey.egress), is_redirected(&journey.ingress)],
                    forgotten: false,
                    hairpin: journey.packet.is_none() && journey.egress.is_some(),
                    ended: (state != Outcome::Open).then_some(state),
                };
                model.kept.insert(connection.into(), kept);
                (journey, outcome)
            });
        observation.client = state_of(&observation.client);
        observation
    }

    /// Says a line more.
    pub(super) fn exchange(&mut self, connection: &str) -> Observation {
        // Whoever had no way to its server at the start has no connection.
        let Some(kept) = self.kept.get(connection).cloned() else { return silent(Outcome::Stalled) };
        if let Some(ended) = kept.ended {
            return silent(ended);
        }
        let (journey, state) = self.carry(&kept);
        if state.is_over()
            && let Some(kept) = self.kept.get_mut(connection)
        {
            kept.ended = Some(state.clone());
        }
        Observation { client: state, egress: journey.egress, ingress: journey.ingress, addresses: Vec::new() }
    }

    /// Takes a line to the server, and the same line back. Every packet of a client asks policy, also on a
    /// connection that is known (policy semantics 6.3).
    fn carry(&mut self, kept: &Kept) -> (Journey, Outcome) {
        let mut journey = Journey::none();
        let client = &kept.client;
        let Some(packet) = kept.packet else {
            if kept.hairpin
                && let Some(node) = client.node.as_ref().and_then(|node| self.nodes.get(node))
                && let Some(endpoint) = node.endpoint_of(client)
            {
                journey.egress = Some(node.unjudged(&endpoint, Direction::Egress));
                journey.ingress = Some(node.unjudged(&endpoint, Direction::Ingress));
            }
            return (journey, Outcome::Open);
        };
        let mut packet = Packet { tcp_flags: tcp::ACK, ..packet };
        let [by_client, by_server] = kept.proxied;
        let now = self.now;
        if let Some(node) = client.node.as_ref().and_then(|node| self.nodes.get_mut(node)) {
            let (address, port) = kept.opened_to;
            if packet.server != address && !node.has_service(address, port, Protocol::Tcp) {
                // A service that is gone leaves its connections without a backend.
                (packet.server, packet.server_port) = (address, port);
            }
            if let Some(endpoint) = node.endpoint_of(client) {
                let hooked = node.egress(&endpoint, &packet, now);
                journey.egress = Some(hooked.judgement);
                match hooked.verdict {
                    Verdict::Dropped(_) => return (journey, Outcome::Stalled),
                    // The proxy knows nothing of this connection.
                    Verdict::Redirected(_) if !by_client => return (journey, Outcome::Reset),
                    Verdict::Redirected(_) | Verdict::Forwarded => {}
                }
            }
        }
        let redirected = is_redirected(&journey.egress);
        self.deliver(&mut journey, packet);
        let known = match journey.arrival {
            Arrival::Dropped | Arrival::Nowhere => return (journey, Outcome::Stalled),
            Arrival::Proxied { .. } => by_server,
            // Past a proxy that holds the connection, the server knows nothing of it either.
            Arrival::At { .. } => !by_server && !kept.forgotten,
        };
        if !known || redirected != by_client {
            return (journey, Outcome::Reset);
        }
        let state = if self.reply(client, &journey) { Outcome::Open } else { Outcome::Stalled };
        (journey, state)
    }

    /// Ends the clients of a node that loses its power, and has its servers forget what others have open to them.
    pub(super) fn cut_off(&mut self, node: &str) {
        self.kept.retain(|_, kept| kept.client.node.as_deref() != Some(node));
        for kept in self.kept.values_mut() {
            let server = kept.packet.and_then(|packet| node_of(&self.desired.world, packet.server));
            kept.forgotten |= server.is_some_and(|server| server == node);
        }
    }

    /// Closes the connections of everybody who is not in the next world: processes end before their network does.
    pub(super) fn hang_up(&mut self, after: &World) {
        let mut kept = core::mem::take(&mut self.kept);
        kept.retain(|_, kept| Client::of(after, &kept.source).is_some());
        for kept in kept.values_mut().filter(|kept| kept.ended.is_none()) {
            let Some(packet) = kept.packet else { continue };
            let pod_at = |world: &World| world.pod_at(packet.server).map(|(name, _)| name.clone());
            let stays = exists(after, packet.server) && pod_at(&self.desired.world) == pod_at(after);
            if stays || self.is_cut_between(packet.client, packet.server) {
                continue;
            }
            let packet = Packet { tcp_flags: tcp::FIN, ..packet };
            let last = Journey { packet: Some(packet), ..Journey::none() };
            if self.reply(&kept.client, &last) {
                kept.ended = Some(Outcome::Closed);
            }
        }
        self.kept = kept;
    }
}

/// The state of a connection whose client saw this when it opened it.
fn state_of(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Ok | Outcome::Open => Outcome::Open,
        Outcome::Refused | Outcome::Reset => Outcome::Reset,
        Outcome::Http(_) | Outcome::TlsAlert | Outcome::WrongPeer(_) | Outcome::Closed => Outcome::Closed,
        Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::DnsTimeout
        | Outcome::DnsRefused
        | Outcome::NxDomain
        | Outcome::ServFail
        | Outcome::Stalled => Outcome::Stalled,
    }
}

fn is_redirected(judged: &Option<Judgement>) -> bool {
    judged.as_ref().is_some_and(|judged| judged.verdict == JudgedAs::Redirected)
}

/// No packet was sent.
fn silent(client: Outcome) -> Observation {
    Observation { client, egress: None, ingress: None, addresses: Vec::new() }
}
