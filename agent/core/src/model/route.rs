//! A packet's way: from a client, through the hook at its endpoint, to the hook at the server's.

use alloc::string::String;
use core::net::IpAddr;

use egret_shared::decide::conntrack::tcp;
use egret_shared::{Direction, Proxy, Verdict};

use super::Model;
use super::client::Client;
use super::node::Packet;
use crate::probe::{JudgedAs, Judgement};
use crate::state::EndpointState;
use crate::world::Application;
use crate::{Protocol, World};

/// How a connection's first packet went.
#[derive(Clone, Debug)]
pub(super) struct Journey {
    pub(super) egress: Option<Judgement>,
    pub(super) ingress: Option<Judgement>,
    pub(super) arrival: Arrival,
    /// The packet after service translation.
    pub(super) packet: Option<Packet>,
}

/// Where a packet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A hook dropped it.
    Dropped,
    /// Nobody has the address.
    Nowhere,
    /// At a proxy, on its way to this address and port.
    Proxied {
        /// The server's address.
        address: IpAddr,
        /// The server's port.
        port: u16,
        /// Which proxy.
        proxy: Proxy,
        /// Of the client's node for egress, of the server's for ingress.
        direction: Direction,
    },
    /// At somebody's address.
    At {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
}

impl Journey {
    /// No packet was sent.
    pub(super) const fn none() -> Self {
        Self { egress: None, ingress: None, arrival: Arrival::Nowhere, packet: None }
    }
}

impl Model {
    /// Sends a connection's first packet.
    ///
    /// 1. A pod's own address stays inside the pod, and a node's inside the node.
    /// 2. The client's node puts a backend in the place of a service.
    /// 3. The hook at the client's endpoint; a pod that is its own backend is not judged.
    /// 4. The hook at the server's endpoint.
    pub(super) fn send(&mut self, client: &Client, server: IpAddr, protocol: Protocol, port: u16) -> Journey {
        let Some(address) = client.address(server) else { return Journey::none() };
        let mut journey = Journey::none();
        if client.node.is_some() && address == server {
            journey.arrival = Arrival::At { address: server, port };
            return journey;
        }
        let client_port = self.next_port();
        let mut packet =
            Packet { client: address, client_port, server, server_port: port, protocol, tcp_flags: tcp::SYN };
        let now = self.now;
        let node = client.node.as_ref().and_then(|node| self.nodes.get_mut(node));
        if let Some(node) = node {
            let endpoint = node.endpoint_of(client);
            if let Err(reason) = node.translate(&mut packet) {
                journey.arrival = Arrival::Dropped;
                journey.egress = endpoint.map(|_| Judgement {
                    verdict: JudgedAs::Dropped,
                    reason: Some(reason),
                    by: None,
                });
                return journey;
            }
            if let Some(endpoint) = endpoint {
                if packet.server == packet.client {
                    journey.egress = Some(node.unjudged(&endpoint, Direction::Egress));
                    journey.ingress = Some(node.unjudged(&endpoint, Direction::Ingress));
                    journey.arrival = Arrival::At { address: packet.server, port: packet.server_port };
                    return journey;
                }
                let hooked = node.egress(&endpoint, &packet, now);
                journey.egress = Some(hooked.judgement);
                match hooked.verdict {
                    Verdict::Dropped(_) => {
                        journey.arrival = Arrival::Dropped;
                        return journey;
                    }
                    Verdict::Redirected(proxy) => {
                        let (address, port) = (packet.server, packet.server_port);
                        journey.arrival =
                            Arrival::Proxied { address, port, proxy, direction: Direction::Egress };
                        journey.packet = Some(packet);
                        return journey;
                    }
                    Verdict::Forwarded => {}
                }
            }
        }
        self.deliver(&mut journey, packet);
        journey
    }

    /// Takes a packet from the client's node to whoever has the server's address.
    pub(super) fn deliver(&mut self, journey: &mut Journey, packet: Packet) {
        journey.packet = Some(packet);
        if self.is_cut_between(packet.client, packet.server) {
            // Both ends of a link that is down know it, and what is left of one to a node that has stopped: whoever has
            // no way left says so.
            journey.arrival = Arrival::Nowhere;
            return;
        }
        let arrived = Arrival::At { address: packet.server, port: packet.server_port };
        let now = self.now;
        let Some((node, endpoint)) = self.endpoint_at(packet.server) else {
            journey.arrival =
                if exists(&self.desired.world, packet.server) { arrived } else { Arrival::Nowhere };
            return;
        };
        let Some(node) = self.nodes.get_mut(&node) else { return };
        let hooked = node.ingress(&endpoint, &packet, now);
        journey.ingress = Some(hooked.judgement);
        journey.arrival = match hooked.verdict {
            Verdict::Dropped(_) => Arrival::Dropped,
            Verdict::Redirected(proxy) => Arrival::Proxied {
                address: packet.server,
                port: packet.server_port,
                proxy,
                direction: Direction::Ingress,
            },
            Verdict::Forwarded => arrived,
        };
    }

    /// Whether a link that is down, or a node that has stopped, lies between two addresses.
    pub(super) fn is_cut_between(&self, one: IpAddr, other: IpAddr) -> bool {
        let world = &self.desired.world;
        let (one, other) = (node_of(world, one), node_of(world, other));
        let is_off = |node: &String| self.cut.contains(node) || self.stopped.contains(node);
        one != other && [one, other].into_iter().flatten().any(is_off)
    }

    /// The proxy sends the client's query on, from the client's own address: only the server's hook is left.
    pub(super) fn send_upstream(&mut self, journey: &mut Journey) {
        if let Some(packet) = journey.packet {
            self.deliver(journey, packet);
        }
    }

    /// Whether an answer passes back through the hooks that the packet passed.
    pub(super) fn reply(&mut self, client: &Client, journey: &Journey) -> bool {
        let Some(packet) = journey.packet else { return true };
        let now = self.now;
        let mut passes = true;
        if let Some((node, _)) = self.endpoint_at(packet.server)
            && let Some(node) = self.nodes.get_mut(&node)
        {
            passes &= node.passes_reply(&packet, Direction::Ingress, now);
        }
        if let Some(node) = client.node.as_ref().and_then(|node| self.nodes.get_mut(node))
            && node.endpoint_of(client).is_some()
        {
            passes &= node.passes_reply(&packet, Direction::Egress, now);
        }
        passes
    }

    /// The endpoint that has an address, and its node; a node itself is one while a policy is in force for it.
    pub(super) fn endpoint_at(&self, address: IpAddr) -> Option<(String, EndpointState)> {
        let world = &self.desired.world;
        if let Some((name, _)) = world.node_at(address) {
            return Some((name.clone(), self.nodes.get(name)?.host()?));
        }
        let (name, pod) = world.pod_at(address)?;
        let endpoint = self.nodes.get(&pod.node)?.state().endpoints.get(name)?;
        Some((pod.node.clone(), endpoint.clone()))
    }
}

/// The node that has an address, or on which a pod has it.
pub(super) fn node_of(world: &World, address: IpAddr) -> Option<&String> {
    let node = world.node_at(address).map(|(name, _)| name);
    node.or_else(|| world.pod_at(address).map(|(_, pod)| &pod.node))
}

/// Whether somebody has this address.
pub(super) fn exists(world: &World, address: IpAddr) -> bool {
    world.authorities().any(|authority| authority.ip() == address)
        || world.internet.hosts.contains_key(&address)
        || world.node_at(address).is_some()
        || world.pod_at(address).is_some()
}

/// What answers at an address and port; on a node's address, what its hostNetwork pods serve.
pub(super) fn application_at(
    world: &World,
    address: IpAddr,
    port: u16,
    protocol: Protocol,
) -> Option<Application> {
    let pods = world.pods.values().filter(|pod| pod.addresses.contains(&address));
    let hosts = world.internet.hosts.get(&address);
    pods.flat_map(|pod| &pod.serves)
        .chain(hosts.into_iter().flat_map(|host| &host.serves))
        .find(|serve| serve.port == port && serve.protocol == protocol)
        .map(|serve| serve.application)
}
