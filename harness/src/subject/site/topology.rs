//! The lab's networks: one namespace for each pod, each node and the Internet, kept from case to case.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use egret_agent::datapath::Datapath;
use egret_agent::{Agent, AgentError, Netns};
use egret_core::world::{DNS_AUTHORITY, World};
use egret_core::{Desired, ObjectName};

use super::wiring;

/// Pods' networks that the first node has from the start: as many as are made while its datapath loads.
const RESERVE: usize = 9;

/// The networks, and the agent of each node.
pub(super) struct Topology {
    pub(super) internet: Netns,
    hosts: BTreeSet<IpAddr>,
    nodes: Vec<Node>,
    /// Grows with every agent that starts.
    generation: u64,
    /// Nodes of the present world, by name.
    names: BTreeMap<String, usize>,
}

/// One node and its pods' networks.
struct Node {
    netns: Netns,
    agent: Agent,
    address: Option<IpAddr>,
    prefixes: Vec<(IpAddr, u8)>,
    slots: Vec<Slot>,
    interfaces: BTreeMap<ObjectName, u32>,
}

/// A pod's network, with or without a pod in it.
struct Slot {
    netns: Netns,
    address: Option<IpAddr>,
    pod: Option<ObjectName>,
}

impl Topology {
    /// The Internet and one node, so that whatever this machine cannot do shows at once.
    pub(super) fn new() -> Result<Self, AgentError> {
        let internet = Netns::new().map_err(AgentError::system("make a network namespace"))?;
        wiring::prepare(&internet, true).map_err(AgentError::system("set up the Internet's network"))?;
        let nodes = vec![Node::new(0, &internet, RESERVE)?];
        Ok(Self { internet, hosts: BTreeSet::new(), nodes, generation: 1, names: BTreeMap::new() })
    }

    /// Makes the networks what a world needs; what is there already is used.
    pub(super) fn reconcile(&mut self, world: &World) -> Result<(), AgentError> {
        self.reconcile_internet(world)?;
        self.names = world.nodes.keys().enumerate().map(|(slot, name)| (name.clone(), slot)).collect();
        for (slot, (name, node)) in world.nodes.iter().enumerate() {
            if slot == self.nodes.len() {
                self.nodes.push(Node::new(slot, &self.internet, 0)?);
                self.generation = self.generation.saturating_add(1);
            }
            let Some(place) = self.nodes.get_mut(slot) else { continue };
            if place.reconcile(slot, node, &self.internet)? {
                self.generation = self.generation.saturating_add(1);
            }
            let pods = world.pods.iter().filter(|(_, pod)| pod.node == *name && !pod.host_network);
            place.reconcile_pods(pods.filter_map(|(pod, spec)| Some((pod, *spec.addresses.first()?))))?;
        }
        Ok(())
    }

    fn reconcile_internet(&mut self, world: &World) -> Result<(), AgentError> {
        let mut wanted: BTreeSet<IpAddr> = world.internet.hosts.keys().copied().collect();
        wanted.insert(DNS_AUTHORITY.ip());
        let add: Vec<IpAddr> = wanted.difference(&self.hosts).copied().collect();
        let remove: Vec<IpAddr> = self.hosts.difference(&wanted).copied().collect();
        wiring::address_internet(&self.internet, &add, &remove)
            .map_err(AgentError::system("address the Internet's hosts"))?;
        self.hosts = wanted;
        Ok(())
    }

    /// Brings a desired state into force on every node and returns the highest revision.
    pub(super) fn apply(&mut self, desired: &Desired) -> Result<u64, AgentError> {
        let mut revision = 0;
        for (name, slot) in &self.names {
            if let Some(node) = self.nodes.get_mut(*slot) {
                revision = revision.max(node.agent.apply(name, desired, &node.interfaces)?);
            }
        }
        Ok(revision)
    }

    /// Changes when [`Topology::agents`] are others than before.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Every agent, also those of nodes that the present world does not use.
    pub(super) fn agents(&mut self) -> impl Iterator<Item = &mut Agent> {
        self.nodes.iter_mut().map(|node| &mut node.agent)
    }

    /// The network of a node.
    pub(super) fn node(&self, name: &str) -> Option<&Netns> {
        self.nodes.get(*self.names.get(name)?).map(|node| &node.netns)
    }

    /// The network in which a pod runs: its own, or its node's.
    pub(super) fn pod(&self, world: &World, name: &ObjectName) -> Option<&Netns> {
        let pod = world.pods.get(name)?;
        if pod.host_network {
            return self.node(&pod.node);
        }
        let node = self.nodes.get(*self.names.get(&pod.node)?)?;
        node.slots.iter().find(|slot| slot.pod.as_ref() == Some(name)).map(|slot| &slot.netns)
    }
}

impl Node {
    /// A node with so many pods' networks in reserve, which are made while the kernel verifies the datapath.
    fn new(slot: usize, internet: &Netns, reserve: usize) -> Result<Self, AgentError> {
        let loading = std::thread::Builder::new()
            .name("datapath loader".into())
            .spawn(Datapath::load)
            .map_err(AgentError::system("start the loader's thread"))?;
        let netns = Netns::new().map_err(AgentError::system("make a network namespace"))?;
        wiring::prepare(&netns, true)
            .and_then(|()| wiring::link_node(&netns, internet, slot))
            .map_err(AgentError::system("set up a node's network"))?;
        let slots = (0..reserve).map(|index| Slot::new(&netns, index)).collect::<Result<Vec<_>, _>>()?;
        // All links come up at once; only then is it worth waiting for each.
        for (index, slot) in slots.iter().enumerate() {
            slot.await_link(&netns, index)?;
        }
        let panicked = |_| AgentError::system("load the datapath")(io::Error::other("its thread panicked"));
        let loaded = loading.join().map_err(panicked)?;
        let mut agent = Agent::start(&netns, loaded?)?;
        (0..reserve).try_for_each(|index| agent.attach(&wiring::pod_port(index)))?;
        Ok(Self { netns, agent, address: None, prefixes: Vec::new(), slots, interfaces: BTreeMap::new() })
    }

    /// Gives the node its addresses; says whether it has a new agent since.
    fn reconcile(
        &mut self,
        slot: usize,
        node: &egret_core::world::Node,
        internet: &Netns,
    ) -> Result<bool, AgentError> {
        let mut fresh = false;
        let Some(address) = node.addresses.first().copied() else { return Ok(fresh) };
        let prefixes: Vec<(IpAddr, u8)> =
            node.pod_cidrs.iter().map(|prefix| (prefix.network(), prefix.prefix_len())).collect();
        if self.address == Some(address) && self.prefixes == prefixes {
            return Ok(fresh);
        }
        if self.address.is_some() {
            // Another world numbers its nodes differently: start over rather than unpick every route.
            wiring::unlink_node(&self.netns).map_err(AgentError::system("cut a node off the Internet"))?;
            *self = Self::new(slot, internet, 0)?;
            fresh = true;
        }
        wiring::address_node(&self.netns, internet, slot, address, &prefixes)
            .map_err(AgentError::system(format!("give a node the address {address}")))?;
        self.address = Some(address);
        self.prefixes = prefixes;
        Ok(fresh)
    }

    /// Puts each pod into a slot: the one that it has, one with its address, or any; vacates the others.
    fn reconcile_pods<'a>(
        &mut self,
        pods: impl Iterator<Item = (&'a ObjectName, IpAddr)>,
    ) -> Result<(), AgentError> {
        let wanted: BTreeMap<&ObjectName, IpAddr> = pods.collect();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let stays = slot.pod.as_ref().is_some_and(|pod| wanted.get(pod).copied() == slot.address);
            if slot.pod.is_some() && !stays {
                slot.pod = None;
                if let Some(address) = slot.address {
                    wiring::unroute_pod(&self.netns, index, address)
                        .map_err(AgentError::system("take a pod off the network"))?;
                }
            }
        }
        for (pod, address) in wanted {
            if !self.slots.iter().any(|slot| slot.pod.as_ref() == Some(pod)) {
                self.place(pod, address)?;
            }
        }
        self.interfaces = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((slot.pod.clone()?, wiring::port_index(index))))
            .collect();
        Ok(())
    }

    fn place(&mut self, pod: &ObjectName, address: IpAddr) -> Result<(), AgentError> {
        let free = |slot: &Slot| slot.pod.is_none();
        let index = self
            .slots
            .iter()
            .position(|slot| free(slot) && slot.address == Some(address))
            .or_else(|| self.slots.iter().position(free));
        let index = match index {
            Some(index) => index,
            None => self.add_slot()?,
        };
        let (Some(slot), Some(node_address)) = (self.slots.get_mut(index), self.address) else {
            return Ok(());
        };
        wiring::address_pod((&self.netns, node_address), &slot.netns, index, (slot.address, address))
            .map_err(AgentError::system(format!("address pod `{pod}`")))?;
        slot.address = Some(address);
        slot.pod = Some(pod.clone());
        Ok(())
    }

    fn add_slot(&mut self) -> Result<usize, AgentError> {
        let index = self.slots.len();
        let slot = Slot::new(&self.netns, index)?;
        slot.await_link(&self.netns, index)?;
        self.agent.attach(&wiring::pod_port(index))?;
        self.slots.push(slot);
        Ok(index)
    }
}

impl Slot {
    /// An empty network, linked to its node.
    fn new(node: &Netns, index: usize) -> Result<Self, AgentError> {
        let netns = Netns::new().map_err(AgentError::system("make a network namespace"))?;
        wiring::prepare(&netns, false)
            .and_then(|()| wiring::link_pod(node, &netns, index))
            .map_err(AgentError::system("set up a pod's network"))?;
        Ok(Self { netns, address: None, pod: None })
    }

    /// Returns when the link passes packets.
    fn await_link(&self, node: &Netns, index: usize) -> Result<(), AgentError> {
        wiring::await_pod(node, &self.netns, index).map_err(AgentError::system("link a pod to its node"))
    }
}
