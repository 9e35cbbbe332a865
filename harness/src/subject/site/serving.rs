//! What the pods and the Internet's hosts of a site serve, started and stopped as the world changes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use egret_agent::Netns;
use egret_core::ObjectName;
use egret_core::world::{Serve, World};
use egret_probe::{Network, Server, Zones, serve, serve_authority};

use super::SiteError;
use super::topology::Topology;
use crate::subject::question::host_identity;

/// A network of the site, in which a probe's or a server's sockets are made.
pub(super) struct Inside(pub(super) Netns);

impl Network for Inside {
    fn socket(
        &self,
        domain: socket2::Domain,
        kind: socket2::Type,
        protocol: Option<socket2::Protocol>,
    ) -> io::Result<socket2::Socket> {
        self.0.enter(|| socket2::Socket::new(domain, kind, protocol))
    }
}

/// Who serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Authority(SocketAddr),
    Host(IpAddr),
    Pod(ObjectName),
}

/// What one owner serves; a change of any part restarts it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Menu {
    identity: String,
    at: Vec<(IpAddr, Serve)>,
    /// The node, for a pod that moved.
    place: String,
}

/// The running servers.
pub(super) struct Serving {
    zones: Zones,
    running: BTreeMap<Owner, (Menu, Server)>,
}

impl Serving {
    pub(super) fn new() -> Self {
        Self { zones: Zones::default(), running: BTreeMap::new() }
    }

    /// Ends what pods of a node serve: their networks are about to go.
    pub(super) async fn leave(&mut self, world: &World, node: &str) {
        let here = |owner: &Owner| match owner {
            Owner::Pod(name) => world.pods.get(name).is_some_and(|pod| pod.node == node),
            Owner::Authority(_) | Owner::Host(_) => false,
        };
        for (_, (_, server)) in self.running.extract_if(.., |owner, _| here(owner)) {
            server.stop().await;
        }
    }

    /// Stops the servers that another world does not have, while they still have a network: their clients hear of it.
    pub(super) async fn retire(&mut self, world: &World) {
        let wanted = menus(world);
        let stale: Vec<Owner> = self
            .running
            .iter()
            .filter(|(owner, (menu, _))| wanted.get(*owner) != Some(menu))
            .map(|(owner, _)| owner.clone())
            .collect();
        for owner in stale {
            if let Some((_, server)) = self.running.remove(&owner) {
                server.stop().await;
            }
        }
    }

    /// Starts servers so that they are what a world says, once those of another have retired; all of them listen on
    /// return.
    pub(super) async fn reconcile(&mut self, world: &World, topology: &Topology) -> Result<(), SiteError> {
        self.zones.set(world)?;
        for (owner, menu) in menus(world) {
            if self.running.contains_key(&owner) {
                continue;
            }
            let netns = match &owner {
                Owner::Authority(_) | Owner::Host(_) => topology.outside(),
                Owner::Pod(pod) => topology.pod(world, pod),
            };
            // Another site serves it.
            let Some(netns) = netns else { continue };
            let network = Inside(netns.try_clone()?);
            let server = if let Owner::Authority(at) = &owner {
                serve_authority(&network, *at, &self.zones)?
            } else {
                serve(&network, &menu.at, &menu.identity, &self.zones)?
            };
            self.running.insert(owner, (menu, server));
        }
        Ok(())
    }
}

fn menus(world: &World) -> BTreeMap<Owner, Menu> {
    let authorities = world.authorities().map(|at| {
        let menu = Menu { identity: "the Internet's DNS".into(), at: Vec::new(), place: String::new() };
        (Owner::Authority(at), menu)
    });
    let hosts = world.internet.hosts.iter().map(|(address, host)| {
        let at = host.serves.iter().map(|serve| (*address, serve.clone())).collect();
        (Owner::Host(*address), Menu { identity: host_identity(*address, host), at, place: String::new() })
    });
    let pods = world.pods.iter().map(|(name, pod)| {
        let each =
            |serve: &Serve| pod.addresses.iter().map(|address| (*address, serve.clone())).collect::<Vec<_>>();
        let at = pod.serves.iter().flat_map(each).collect();
        (Owner::Pod((**name).clone()), Menu { identity: name.to_string(), at, place: pod.node.clone() })
    });
    authorities.chain(hosts).chain(pods).collect()
}
