//! One node: its state, what it has learned, and the two hooks at each of its endpoints.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use egret_shared::decide::conntrack::{count, is_live, open, tcp};
use egret_shared::decide::policy::{Decision, decide};
use egret_shared::{CtEntry, CtKey, Direction, DropReason, Identity, ServiceKey, Side, Verdict};

use super::client::Client;
use crate::compile::{Changed, Compiler};
use crate::fqdn::Names;
use crate::probe::{JudgedAs, Judgement};
use crate::state::{DatapathState, EndpointState};
use crate::{Desired, Protocol};

/// A node's agent and datapath.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    compiler: Compiler,
    pub(super) names: Names,
    connections: BTreeMap<CtKey, CtEntry>,
}

/// A client's packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) client: IpAddr,
    /// Port; the identifier of an echo request.
    pub(super) client_port: u16,
    pub(super) server: IpAddr,
    /// Port; the type of an ICMP message.
    pub(super) server_port: u16,
    pub(super) protocol: Protocol,
    /// Of no account for other protocols.
    pub(super) tcp_flags: u8,
}

/// What a hook made of a packet.
#[derive(Clone, Debug)]
pub(super) struct Hooked {
    pub(super) verdict: Verdict,
    pub(super) judgement: Judgement,
}

impl Node {
    /// Compiles what is different for this node.
    pub(super) fn compile(&mut self, desired: &Desired, name: &str, changed: &Changed) {
        // Nothing happens between two writes here, so their order is of no account.
        drop(self.compiler.update(desired, name, &self.names, changed));
    }

    /// Compiles everything from nothing, with what was learned before.
    pub(super) fn restart(&mut self, desired: &Desired, name: &str) {
        self.compiler = Compiler::default();
        let everything = Changed::between(&Desired::default(), desired);
        let addresses = self.names.addresses().collect();
        self.compile(desired, name, &Changed { addresses, ..everything });
    }

    /// What its maps hold.
    pub(super) const fn state(&self) -> &DatapathState {
        self.compiler.state()
    }

    /// The endpoint whose policy a client's packets meet first.
    pub(super) fn endpoint_of(&self, client: &Client) -> Option<EndpointState> {
        match &client.pod {
            Some(pod) => self.state().endpoints.get(pod).cloned(),
            None => self.host(),
        }
    }

    /// The node itself, while a policy is in force for it.
    pub(super) fn host(&self) -> Option<EndpointState> {
        let host = EndpointState {
            id: 0,
            identity: Identity::HOST,
            policy: self.state().host,
            ipv4: None,
            ipv6: None,
        };
        (self.state().host != [0, 0]).then_some(host)
    }

    /// Forgets connections that are over.
    pub(super) fn expire(&mut self, now: u64) {
        self.connections.retain(|_, entry| now < entry.deadline);
    }

    /// Puts a backend in the place of a service's address; `Err`: the service has none.
    ///
    /// The datapath takes any backend. Here it is always the first, so that predictions repeat.
    pub(super) fn translate(&self, packet: &mut Packet) -> Result<(), DropReason> {
        let key =
            |slot| ServiceKey::new(packet.server.into(), packet.protocol.number(), packet.server_port, slot);
        if !self.state().services.contains_key(&key(0)) {
            return Ok(());
        }
        let backend = self.state().services.get(&key(1)).ok_or(DropReason::NoBackend)?;
        packet.server = backend.address.to_ip();
        packet.server_port = u16::from_be_bytes(backend.port);
        Ok(())
    }

    /// Whether an address and port are those of a service.
    pub(super) fn has_service(&self, address: IpAddr, port: u16, protocol: Protocol) -> bool {
        self.state().services.contains_key(&ServiceKey::new(address.into(), protocol.number(), port, 0))
    }

    /// A packet leaves an endpoint, after service translation.
    pub(super) fn egress(&mut self, endpoint: &EndpointState, packet: &Packet, now: u64) -> Hooked {
        self.hook(endpoint, Direction::Egress, packet.server, packet, now)
    }

    /// A packet reaches an endpoint.
    pub(super) fn ingress(&mut self, endpoint: &EndpointState, packet: &Packet, now: u64) -> Hooked {
        self.hook(endpoint, Direction::Ingress, packet.client, packet, now)
    }

    fn hook(
        &mut self,
        endpoint: &EndpointState,
        direction: Direction,
        peer: IpAddr,
        packet: &Packet,
        now: u64,
    ) -> Hooked {
        let policy = endpoint.policy(direction);
        let protocol = packet.protocol.number();
        let key = key(packet, side(direction));
        // As in the programs: a packet counts for its connection before policy is asked, which it always is.
        let live = |entry: &&mut CtEntry| is_live(entry, protocol, packet.tcp_flags, now);
        let tracked = self.connections.get_mut(&key).filter(live).map(|entry| {
            count(entry, protocol, packet.tcp_flags, false, now);
        });
        let rows = self.state().policies.get(&policy);
        let identity = self.state().identity_of(peer);
        let decision = decide(policy, identity, protocol, packet.server_port, |key| rows?.lookup(key));
        match decision.verdict {
            Verdict::Forwarded | Verdict::Redirected(_) if tracked.is_none() => {
                let mut entry = open(decision.rule);
                count(&mut entry, protocol, packet.tcp_flags, false, now);
                self.connections.insert(key, entry);
            }
            Verdict::Forwarded | Verdict::Redirected(_) | Verdict::Dropped(_) => {}
        }
        Hooked { verdict: decision.verdict, judgement: self.judgement(policy, &decision) }
    }

    /// A hook that policy does not reach: a packet that comes back to its own pod through a service.
    pub(super) fn unjudged(&self, endpoint: &EndpointState, direction: Direction) -> Judgement {
        let verdict = if endpoint.policy(direction) == 0 { JudgedAs::None } else { JudgedAs::Forwarded };
        Judgement { verdict, reason: None, by: None }
    }

    /// Whether an answer to `packet` passes the hook at which the packet passed: its connection is live.
    pub(super) fn passes_reply(&mut self, packet: &Packet, direction: Direction, now: u64) -> bool {
        let protocol = packet.protocol.number();
        let answer = packet.tcp_flags | tcp::ACK;
        match self.connections.get_mut(&key(packet, side(direction))) {
            Some(entry) if is_live(entry, protocol, answer, now) => {
                count(entry, protocol, answer, true, now);
                true
            }
            Some(_) | None => false,
        }
    }

    fn judgement(&self, policy: u32, decision: &Decision) -> Judgement {
        let (verdict, reason) = match decision.verdict {
            Verdict::Forwarded if policy == 0 => (JudgedAs::None, None),
            Verdict::Forwarded => (JudgedAs::Forwarded, None),
            Verdict::Redirected(_) => (JudgedAs::Redirected, None),
            Verdict::Dropped(reason) => (JudgedAs::Dropped, Some(reason)),
        };
        Judgement { verdict, reason, by: self.state().author(policy, decision.rule) }
    }
}

/// The end of a connection at which a hook stands.
const fn side(direction: Direction) -> Side {
    match direction {
        Direction::Egress => Side::Client,
        Direction::Ingress => Side::Server,
    }
}

fn key(packet: &Packet, side: Side) -> CtKey {
    let server_port = match packet.protocol {
        Protocol::Icmp | Protocol::Icmpv6 => 0,
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::Other(_) => packet.server_port,
    };
    CtKey {
        client: packet.client.into(),
        server: packet.server.into(),
        client_port: packet.client_port.to_be_bytes(),
        server_port: server_port.to_be_bytes(),
        protocol: packet.protocol.number(),
        side: side as u8,
        pad: 0,
    }
}
