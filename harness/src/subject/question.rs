//! From a probe, which speaks of a world's names, to what a client is asked, which holds addresses and ports.

use std::net::{IpAddr, SocketAddr};

use egret_core::probe::{Opening, Peer, Port, Probe, Request, Source};
use egret_core::world::{DNS_AUTHORITY, Host, TargetPort, World};
use egret_core::{ObjectName, Protocol, destination};
use egret_probe::{Exchange, Resolver, Target};
use serde::{Deserialize, Serialize};

/// What a client is asked, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    /// The client.
    pub(super) from: Source,
    /// Its addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// How it resolves names.
    pub(super) resolver: Option<Resolver>,
    /// What it does.
    pub(super) exchange: Exchange,
}

/// A probe names something that is not in the world of its step.
#[derive(Debug, thiserror::Error)]
#[error("there is no {0} in the world of this step")]
pub(super) struct NotThere(pub(super) String);

/// Turns a probe into addresses and ports.
pub(super) fn question(probe: &Probe, world: &World) -> Result<Question, NotThere> {
    let missing = |what: &str, name: &dyn std::fmt::Display| NotThere(format!("{what} `{name}`"));
    let outside = || Some(Resolver { server: DNS_AUTHORITY, search: Vec::new(), ndots: 1 });
    let (addresses, resolver) = match &probe.from {
        Source::Pod(name) => {
            let pod = world.pods.get(name).ok_or_else(|| missing("pod", name))?;
            (pod.addresses.clone(), resolver_of(world, name))
        }
        Source::Node(name) => {
            let node = world.nodes.get(name).ok_or_else(|| missing("node", name))?;
            (node.addresses.clone(), outside())
        }
        Source::Address(address) => (vec![*address], outside()),
    };
    let exchange = exchange(&probe.request, &addresses, world)?;
    Ok(Question { from: probe.from.clone(), addresses, resolver, exchange })
}

/// The pod whose endpoint judges what the client sends: the client's own, if it has one.
pub(super) fn endpoint<'a>(from: &'a Source, world: &World) -> Option<&'a ObjectName> {
    match from {
        Source::Pod(name) => world.pods.get(name).filter(|pod| !pod.host_network).map(|_| name),
        Source::Node(_) | Source::Address(_) => None,
    }
}

/// The resolver of a pod: the cluster's DNS service, if there is one, at its first address of a family that the pod
/// has.
pub(super) fn resolver_of(world: &World, pod: &ObjectName) -> Option<Resolver> {
    let service = world.services.get(&ObjectName::new("kube-system", "kube-dns"))?;
    let namespace = &pod.namespace;
    let own = world.pods.get(pod).map(|pod| pod.addresses.as_slice()).unwrap_or_default();
    let server = address(&service.cluster_ips, own)?;
    Some(Resolver {
        server: SocketAddr::new(server, 53),
        search: vec![
            format!("{namespace}.svc.cluster.local"),
            "svc.cluster.local".into(),
            "cluster.local".into(),
        ],
        ndots: 5,
    })
}

fn exchange(request: &Request, own: &[IpAddr], world: &World) -> Result<Exchange, NotThere> {
    Ok(match request {
        Request::Dns { name, record } => Exchange::Dns { name: name.clone(), record: *record },
        Request::Ping { to } => Exchange::Ping { to: target(to, own, world)? },
        Request::Keep { connection, open } => {
            let open = open.as_ref().map(|Opening { to, port }| {
                let port = number(to, port, Protocol::Tcp, world)?;
                let at = SocketAddr::new(address_of(to, own, world)?, port);
                Ok::<_, NotThere>((at, identity(to, own, world)))
            });
            Exchange::Keep { connection: connection.clone(), open: open.transpose()? }
        }
        Request::Forge { source, to, port, protocol } => Exchange::Forged {
            source: *source,
            to: address_of(to, &[*source], world)?,
            port: number(to, port, *protocol, world)?,
            protocol: *protocol,
        },
        Request::Connect { to, port, protocol, http } => {
            let expect_peer = identity(to, own, world);
            let port = number(to, port, *protocol, world)?;
            let to = target(to, own, world)?;
            match protocol {
                Protocol::Tcp => Exchange::Tcp { to, port, http: http.clone(), expect_peer },
                Protocol::Udp => Exchange::Udp { to, port, expect_peer },
                Protocol::Sctp => Exchange::Sctp { to, port },
                Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_) => {
                    return Err(NotThere(format!("port of protocol {protocol}")));
                }
            }
        }
    })
}

/// The first address of a family that the client has; the first one when there is none, so that the client finds out
/// itself.
fn address(addresses: &[IpAddr], own: &[IpAddr]) -> Option<IpAddr> {
    let can = |address: &&IpAddr| own.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    addresses.iter().find(can).or_else(|| addresses.first()).copied()
}

fn target(peer: &Peer, own: &[IpAddr], world: &World) -> Result<Target, NotThere> {
    match peer {
        Peer::Name(name) => Ok(Target::Name(name.clone())),
        Peer::Pod(_) | Peer::Service(_) | Peer::Node(_) | Peer::Address(_) => {
            address_of(peer, own, world).map(Target::Address)
        }
    }
}

/// The address of a peer that is not known by a name of DNS.
fn address_of(peer: &Peer, own: &[IpAddr], world: &World) -> Result<IpAddr, NotThere> {
    let first = |addresses: Option<&Vec<IpAddr>>| address(addresses?, own);
    let address = match peer {
        Peer::Name(_) => None,
        Peer::Address(address) => Some(*address),
        Peer::Pod(name) => first(world.pods.get(name).map(|pod| &pod.addresses)),
        Peer::Service(name) => first(world.services.get(name).map(|service| &service.cluster_ips)),
        Peer::Node(name) => first(world.nodes.get(name).map(|node| &node.addresses)),
    };
    address.ok_or_else(|| NotThere(format!("{peer:?}")))
}

/// The identity that must answer; `None` where several may, or nobody known has the address.
fn identity(peer: &Peer, own: &[IpAddr], world: &World) -> Option<String> {
    match peer {
        Peer::Pod(name) => world.pods.get(name).map(|_| name.to_string()),
        Peer::Address(address) => identity_at(world, *address),
        Peer::Node(_) | Peer::Service(_) => None,
        Peer::Name(name) => {
            let mut name = name.trim_end_matches('.').to_lowercase();
            // A chain of canonical names ends after as many steps as there are names.
            for _ in 0..=world.internet.names.len() {
                let zone = world.internet.names.get(&name)?;
                match &zone.cname {
                    Some(target) => name.clone_from(target),
                    None => return identity_at(world, destination::first(&zone.addresses, own)?),
                }
            }
            None
        }
    }
}

/// The number of a port; a name is looked up where the peer has it.
fn number(peer: &Peer, port: &Port, protocol: Protocol, world: &World) -> Result<u16, NotThere> {
    let name = match port {
        Port::Number(number) => return Ok(*number),
        Port::Name(name) => name,
    };
    let found = match peer {
        Peer::Pod(pod) => world
            .pods
            .get(pod)
            .and_then(|pod| {
                let mut serves = pod.serves.iter();
                serves.find(|serve| serve.protocol == protocol && serve.name.as_ref() == Some(name))
            })
            .map(|serve| serve.port),
        Peer::Service(service) => world.services.get(service).and_then(|service| {
            let mut ports = service.ports.iter();
            ports.find(|port| port.protocol == protocol && port.name.as_ref() == Some(name)).map(|port| {
                let (TargetPort::Number(_) | TargetPort::Name(_)) = port.target;
                port.port
            })
        }),
        Peer::Node(_) | Peer::Address(_) | Peer::Name(_) => None,
    };
    found.ok_or_else(|| NotThere(format!("port named `{name}` at {peer:?}")))
}

/// Whether an address answers with an identity of its own choice, so that a wrong peer can be told.
fn identity_at(world: &World, address: IpAddr) -> Option<String> {
    if let Some((pod, _)) = world.pod_at(address) {
        return Some(pod.to_string());
    }
    let host = world.internet.hosts.get(&address)?;
    Some(host_identity(address, host))
}

/// The identity with which a host of the Internet answers: its first name, or its address.
pub(super) fn host_identity(address: IpAddr, host: &Host) -> String {
    host.names.first().cloned().unwrap_or_else(|| address.to_string())
}
