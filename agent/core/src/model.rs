//! The datapath in memory: every node's compiled state, asked by the same decisions as the kernel's.
//!
//! | part | module |
//! | --- | --- |
//! | where a connection comes from | `client` |
//! | one node: services, policy, connections | `node` |
//! | a packet's way from client to server | `route` |
//! | what the proxies for HTTP and TLS let pass | `proxy` |
//! | names: the client's resolver, the DNS proxy, the cluster's server | `resolver` |
//! | connections that stay open from step to step | `kept` |

mod client;
mod kept;
mod node;
mod proxy;
mod resolver;
mod route;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::compile::Changed;
use crate::probe::{JudgedAs, Judgement, Observation, Outcome, Peer, Port, Probe, Request};
use crate::state::DatapathState;
use crate::world::Application;
use crate::{Desired, ObjectName, Protocol};
use client::Client;
use egret_shared::DropReason;
use kept::Kept;
use node::Node;
use proxy::Said;
use route::{Arrival, Journey};

/// A cluster without packets. Its clock starts at 0 and moves only by [`Model::advance`].
#[derive(Clone, Debug, Default)]
pub struct Model {
    desired: Desired,
    nodes: BTreeMap<String, Node>,
    /// Nanoseconds.
    now: u64,
    /// Nodes whose link to all others and to the Internet is down.
    cut: BTreeSet<String>,
    /// Nodes that do not run: there is nothing of them in `nodes`.
    stopped: BTreeSet<String>,
    /// Connections opened so far: each gets a port of its own.
    opened: u16,
    /// Connections that stay open, by name.
    kept: BTreeMap<String, Kept>,
}

impl Model {
    /// An empty cluster.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings a desired state into force on every node. What nodes have learned and which connections are
    /// open stays; whoever goes away closes what it has open before it goes.
    pub fn apply(&mut self, desired: &Desired) {
        self.hang_up(&desired.world);
        let changed = Changed::between(&self.desired, desired);
        self.desired = desired.clone();
        self.nodes.retain(|name, _| desired.world.nodes.contains_key(name));
        for name in desired.world.nodes.keys().filter(|name| !self.stopped.contains(*name)) {
            self.nodes.entry(name.clone()).or_default().compile(desired, name, &changed);
        }
    }

    /// Moves time forward by nanoseconds: names and connections that are over are forgotten.
    pub fn advance(&mut self, nanoseconds: u64) {
        self.now = self.now.saturating_add(nanoseconds);
        for (name, node) in &mut self.nodes {
            node.expire(self.now);
            let addresses = node.names.expire(self.now);
            node.compile(&self.desired, name, &Changed { addresses, ..Changed::default() });
        }
    }

    /// Takes a node's link to all others and to the Internet down, or up again.
    pub fn set_link(&mut self, node: &str, up: bool) {
        if up {
            self.cut.remove(node);
        } else {
            self.cut.insert(node.into());
        }
    }

    /// Stops a node: its pods and its agent are gone, and with them its connections and the names that it has learned.
    /// What is desired stays desired, and its addresses stay its own: whoever goes there finds no way.
    pub fn stop(&mut self, node: &str) {
        self.cut_off(node);
        self.nodes.remove(node);
        self.stopped.insert(node.into());
    }

    /// Starts a stopped node: its agent brings into force what is desired now, its pods are back, and its link is up.
    pub fn start(&mut self, node: &str) {
        self.cut.remove(node);
        if self.stopped.remove(node) && self.desired.world.nodes.contains_key(node) {
            let mut started = Node::default();
            started.restart(&self.desired, node);
            self.nodes.insert(node.into(), started);
        }
    }

    /// Ends a node's agent, or that of every node, and starts it again: it compiles anew all that is desired. The
    /// connections and learned names of the one before are there, as Cilium's are (pinned maps, restored names).
    pub fn restart(&mut self, node: Option<&str>) {
        for (name, restarted) in &mut self.nodes {
            if node.is_none_or(|node| node == name) {
                restarted.restart(&self.desired, name);
            }
        }
    }

    /// The compiled state of a node.
    #[must_use]
    pub fn state(&self, node: &str) -> Option<&DatapathState> {
        self.nodes.get(node).map(|node| node.state())
    }

    /// Predicts one probe, which leaves behind what it would leave behind: a connection, learned names.
    pub fn probe(&mut self, probe: &Probe) -> Observation {
        let Some(client) = Client::of(&self.desired.world, &probe.from) else {
            return nowhere(Vec::new());
        };
        match &probe.request {
            Request::Dns { name, record } => {
                let lookup = self.resolve(&client, name, &[*record]);
                let client = lookup.outcome.clone().err().unwrap_or(Outcome::Ok);
                lookup.observation(client)
            }
            Request::Ping { to } => self.reach(&client, to, None, |model, client, address| {
                let protocol = if address.is_ipv4() { Protocol::Icmp } else { Protocol::Icmpv6 };
                let journey = model.send(client, address, protocol, echo_request(protocol));
                let outcome = match &journey.arrival {
                    Arrival::Dropped | Arrival::Proxied { .. } => Outcome::Timeout,
                    Arrival::Nowhere => Outcome::Unreachable,
                    Arrival::At { .. } => model.answered(client, &journey, Outcome::Ok),
                };
                (journey, outcome)
            }),
            Request::Connect { to, port, protocol, http } => {
                self.reach(&client, to, Some((port, *protocol)), |model, client, address| {
                    let Some(number) = model.port_number(to, port, *protocol) else {
                        return (Journey::none(), Outcome::Refused);
                    };
                    let mut journey = model.send(client, address, *protocol, number);
                    let said = Said { protocol: *protocol, http, to, at: (address, number) };
                    let outcome = model.connected(client, &mut journey, &said);
                    (journey, outcome)
                })
            }
            Request::Keep { connection, open: Some(opening) } => {
                self.open(connection, (&probe.from, &client), opening)
            }
            Request::Keep { connection, open: None } => self.exchange(connection),
            Request::Forge { source, .. } => self.forged(&client, *source),
        }
    }

    /// What becomes of a packet from an address that is not its sender's: the hook at the sender's endpoint drops
    /// it before anything else is looked at (policy semantics 6.1), and nobody answers.
    fn forged(&self, client: &Client, source: IpAddr) -> Observation {
        let node = client.node.as_ref().and_then(|node| self.nodes.get(node));
        let own = |endpoint: &crate::state::EndpointState| match source {
            IpAddr::V4(source) => endpoint.ipv4 == Some(source),
            IpAddr::V6(source) => endpoint.ipv6 == Some(source),
        };
        let endpoint = node.and_then(|node| node.endpoint_of(client)).filter(|endpoint| !own(endpoint));
        let egress = endpoint.map(|_| Judgement {
            verdict: JudgedAs::Dropped,
            reason: Some(DropReason::InvalidSourceIp),
            by: None,
        });
        Observation { client: Outcome::Timeout, egress, ingress: None, addresses: Vec::new() }
    }

    /// Finds the peer's address, resolving a name first, and goes there.
    fn reach(
        &mut self,
        client: &Client,
        to: &Peer,
        port: Option<(&Port, Protocol)>,
        go: impl FnOnce(&mut Self, &Client, IpAddr) -> (Journey, Outcome),
    ) -> Observation {
        let (address, addresses) = match to {
            Peer::Name(name) => {
                let lookup = self.resolve(client, name, client.records());
                match &lookup.outcome {
                    Err(outcome) => {
                        let outcome = outcome.clone();
                        return lookup.observation(outcome);
                    }
                    Ok(addresses) => (client.first_of(addresses), addresses.clone()),
                }
            }
            Peer::Pod(_) | Peer::Service(_) | Peer::Node(_) | Peer::Address(_) => {
                (self.address_of(client, to, port), Vec::new())
            }
        };
        let Some(address) = address else { return nowhere(addresses) };
        let (journey, outcome) = go(self, client, address);
        Observation { client: outcome, egress: journey.egress, ingress: journey.ingress, addresses }
    }

    /// The peer's first address of a family that the client has; a headless service's first backend.
    fn address_of(&self, client: &Client, to: &Peer, port: Option<(&Port, Protocol)>) -> Option<IpAddr> {
        let world = &self.desired.world;
        let addresses = match to {
            Peer::Pod(name) => world.pods.get(name)?.addresses.clone(),
            Peer::Node(name) => world.nodes.get(name)?.addresses.clone(),
            Peer::Address(address) => alloc::vec![*address],
            Peer::Service(name) => {
                let service = world.services.get(name)?;
                if service.cluster_ips.is_empty() {
                    let (port, protocol) = port?;
                    let port = service.ports.iter().find(|known| is_port(known, port, protocol))?;
                    world.backends(name, service, port).into_iter().map(|(address, _)| address).collect()
                } else {
                    service.cluster_ips.clone()
                }
            }
            Peer::Name(_) => Vec::new(),
        };
        addresses.into_iter().find(|address| client.address(*address).is_some())
    }

    /// The number behind a port, by the name that the pod or service gives it.
    fn port_number(&self, to: &Peer, port: &Port, protocol: Protocol) -> Option<u16> {
        let world = &self.desired.world;
        let name = match port {
            Port::Number(number) => return Some(*number),
            Port::Name(name) => name,
        };
        match to {
            Peer::Pod(pod) => {
                let mut serves = world.pods.get(pod)?.serves.iter();
                serves
                    .find(|serve| serve.name.as_ref() == Some(name) && serve.protocol == protocol)
                    .map(|serve| serve.port)
            }
            Peer::Service(service) => {
                let mut ports = world.services.get(service)?.ports.iter();
                ports.find(|known| is_port(known, port, protocol)).map(|known| known.port)
            }
            Peer::Node(_) | Peer::Address(_) | Peer::Name(_) => None,
        }
    }

    /// What the client of a connection sees.
    fn connected(&mut self, client: &Client, journey: &mut Journey, said: &Said<'_>) -> Outcome {
        let proxy = match self.through_proxies(client, journey, said) {
            Ok(proxy) => proxy,
            Err(outcome) => return outcome,
        };
        let outcome = match journey.arrival {
            Arrival::Dropped => Outcome::Timeout,
            // No proxy is left on the way.
            Arrival::Nowhere | Arrival::Proxied { .. } => Outcome::Unreachable,
            Arrival::At { address, port } => self.served(client, journey, said, (address, port)),
        };
        proxy::seen_through(proxy, outcome)
    }

    /// What the client sees of whoever serves an address and port.
    fn served(
        &mut self,
        client: &Client,
        journey: &Journey,
        said: &Said<'_>,
        (address, port): (IpAddr, u16),
    ) -> Outcome {
        let Said { protocol, http, to: _, at: _ } = *said;
        let application = route::application_at(&self.desired.world, address, port, protocol);
        let outcome = match (application, protocol) {
            (None, _) => Outcome::Refused,
            (Some(Application::Identity), _) if !http.tls => Outcome::Ok,
            (Some(Application::Https), _) if http.tls => Outcome::Ok,
            // Plain text to a TLS server, TLS to a plain one, or a request to a DNS server.
            (Some(Application::Identity | Application::Https | Application::ClusterDns), Protocol::Tcp) => {
                Outcome::Reset
            }
            (Some(Application::Identity | Application::Https | Application::ClusterDns), _) => {
                Outcome::Timeout
            }
        };
        self.answered(client, journey, outcome)
    }

    /// `outcome`, if the answer finds its way back.
    fn answered(&mut self, client: &Client, journey: &Journey, outcome: Outcome) -> Outcome {
        if self.reply(client, journey) { outcome } else { Outcome::Timeout }
    }

    /// The next client port, from the range that IANA leaves to clients.
    fn next_port(&mut self) -> u16 {
        const FIRST: u16 = 49152;
        let port = FIRST.saturating_add(self.opened % (u16::MAX - FIRST));
        self.opened = self.opened.wrapping_add(1);
        port
    }
}

/// Nothing was sent: there is no such client or peer.
fn nowhere(addresses: Vec<IpAddr>) -> Observation {
    Observation { client: Outcome::Unreachable, egress: None, ingress: None, addresses }
}

/// The type of an echo request, which stands where other protocols have a port.
const fn echo_request(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Icmpv6 => 128,
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::Icmp | Protocol::Other(_) => 8,
    }
}

fn is_port(known: &crate::world::ServicePort, port: &Port, protocol: Protocol) -> bool {
    known.protocol == protocol
        && match port {
            Port::Number(number) => known.port == *number,
            Port::Name(name) => known.name.as_ref() == Some(name),
        }
}

/// The service that pods ask for names.
fn dns_service() -> ObjectName {
    ObjectName::new("kube-system", "kube-dns")
}
