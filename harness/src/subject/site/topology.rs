//! The networks of one site: one namespace for each pod, each node and the Internet, kept from case to case.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use egret_agent::{Agent, AgentError, Netns};
use egret_core::World;
use egret_core::probe::Source;
use egret_core::{Desired, ObjectName};

use super::node::Node;
use super::wiring::{self, End, Numbering};

/// Pods' networks that the first node has from the start: as many as are made while its datapath loads.
const RESERVE: usize = 9;

/// The networks, and the agent of each node. Nodes have slots: their places in the order of their names.
pub(super) struct Topology {
    internet: Option<Internet>,
    nodes: BTreeMap<usize, Node>,
    /// Slots of the present world's nodes, by name.
    names: BTreeMap<String, usize>,
    /// Nodes that do not run, by name: there is nothing of them here.
    stopped: BTreeSet<String>,
    /// Nodes that are not here yet are made here.
    makes_nodes: bool,
    wall_offset: u64,
}

/// The simulated Internet's network.
struct Internet {
    netns: Netns,
    hosts: BTreeSet<IpAddr>,
    /// Its ends of the links to the nodes, by slot.
    ends: BTreeMap<usize, End>,
    /// Its end of the one way to nodes that nobody has linked: they are on a network that others have made.
    shared: Option<End>,
    /// Nodes whose links are down or that are stopped, by slot.
    cut: BTreeSet<usize>,
    /// Index of an interface behind which nobody answers for the nodes in `cut`.
    nowhere: u32,
    /// The nodes by slot, with whether there is a way to them.
    routed: BTreeMap<usize, (Numbering, bool)>,
}

impl Topology {
    /// Everything in this process: the Internet and one node, so that whatever this machine cannot do shows at
    /// once; more nodes as they are needed.
    pub(super) fn whole(wall_offset: u64) -> Result<Self, AgentError> {
        let netns = Netns::new().map_err(AgentError::system("make a network namespace"))?;
        let nowhere = wiring::prepare(&netns, true)
            .and_then(|()| wiring::make_nowhere(&netns))
            .map_err(AgentError::system("set up the Internet's network"))?;
        let mut topology = Self::empty(Some(Internet::new(netns, nowhere)), true, wall_offset);
        topology.make_node(0, RESERVE)?;
        Ok(topology)
    }

    /// The Internet alone, in the network of this process, behind whose `eth0` the nodes are.
    #[cfg(feature = "docker")]
    pub(super) fn internet(wall_offset: u64) -> Result<Self, AgentError> {
        let (netns, index) = wiring::own_network()
            .and_then(|netns| Ok((netns, wiring::own_index()?)))
            .map_err(AgentError::system("set up the Internet's network"))?;
        Ok(Self::empty(Some(Internet::new(netns, index)), false, wall_offset))
    }

    /// The Internet alone, in the network of this process, on a network with nodes that others have made.
    #[cfg(feature = "docker")]
    pub(super) fn internet_for_others(wall_offset: u64) -> Result<Self, AgentError> {
        let (netns, end) =
            wiring::shared_network().map_err(AgentError::system("set up the Internet's network"))?;
        let internet = Internet { shared: Some(end), ..Internet::new(netns, end.index) };
        Ok(Self::empty(Some(internet), false, wall_offset))
    }

    /// Tells the Internet of the node in a slot.
    #[cfg(feature = "docker")]
    pub(super) fn link(&mut self, slot: usize, node: End) {
        if let Some(internet) = &mut self.internet {
            internet.ends.insert(slot, node);
        }
    }

    /// One node alone, in the network of this process, behind whose `eth0` the Internet is.
    #[cfg(feature = "docker")]
    pub(super) fn node(slot: usize, internet: End, wall_offset: u64) -> Result<Self, AgentError> {
        let make = || {
            let netns = wiring::own_network()?;
            wiring::deliver_proxied(&netns)?;
            Ok(netns)
        };
        let node = Node::new(make, internet, RESERVE, wall_offset)?;
        let mut topology = Self::empty(None, false, wall_offset);
        topology.nodes.insert(slot, node);
        Ok(topology)
    }

    fn empty(internet: Option<Internet>, makes_nodes: bool, wall_offset: u64) -> Self {
        let (nodes, names, stopped) = Default::default();
        Self { internet, nodes, names, stopped, makes_nodes, wall_offset }
    }

    fn make_node(&mut self, slot: usize, reserve: usize) -> Result<(), AgentError> {
        let Some(internet) = &mut self.internet else { return Ok(()) };
        let (near, far) = wiring::ends(slot);
        let make = || {
            let netns = Netns::new()?;
            wiring::prepare(&netns, true)?;
            wiring::link_node(&netns, &internet.netns, slot)?;
            Ok(netns)
        };
        let node = Node::new(make, near, reserve, self.wall_offset)?;
        internet.ends.insert(slot, far);
        self.nodes.insert(slot, node);
        Ok(())
    }

    /// Makes the networks what a world needs; what is there already is used.
    pub(super) fn reconcile(&mut self, world: &World) -> Result<(), AgentError> {
        self.names = world.nodes.keys().enumerate().map(|(slot, name)| (name.clone(), slot)).collect();
        if self.makes_nodes {
            for (slot, name) in world.nodes.keys().enumerate() {
                if !self.nodes.contains_key(&slot) && !self.stopped.contains(name) {
                    self.make_node(slot, 0)?;
                }
            }
        }
        for (slot, (name, node)) in world.nodes.iter().enumerate() {
            let Some(place) = self.nodes.get_mut(&slot) else { continue };
            place.renumber(node)?;
            let pods = world.pods.iter().filter(|(_, pod)| pod.node == *name && !pod.host_network);
            place.reconcile_pods(pods.map(|(pod, spec)| (&**pod, spec.addresses.as_slice())))?;
        }
        match &mut self.internet {
            Some(internet) => internet.reconcile(world),
            None => Ok(()),
        }
    }

    /// Brings a desired state into force on every node that is here and returns the highest revision.
    pub(super) fn apply(&mut self, desired: &Desired) -> Result<u64, AgentError> {
        let mut revision = 0;
        for (name, slot) in &self.names {
            if let Some(node) = self.nodes.get_mut(slot) {
                revision = revision.max(node.apply(name, desired)?);
            }
        }
        Ok(revision)
    }

    /// Ends an agent, or every one, and starts it again under the same desired state.
    pub(super) fn restart(&mut self, node: Option<&str>, desired: &Desired) -> Result<(), AgentError> {
        for (name, slot) in &self.names {
            if node.is_none_or(|node| node == name)
                && let Some(node) = self.nodes.remove(slot)
            {
                self.nodes.insert(*slot, node.restarted(name, desired, self.wall_offset)?);
            }
        }
        Ok(())
    }

    /// Takes a node's link down, or up again, at the ends that are here.
    pub(super) fn set_link(&mut self, world: &World, name: &str, up: bool) -> Result<(), AgentError> {
        let Some(slot) = self.names.get(name) else { return Ok(()) };
        if let Some(node) = self.nodes.get_mut(slot) {
            node.set_link(up)?;
        }
        let Some(internet) = &mut self.internet else { return Ok(()) };
        if up {
            internet.cut.remove(slot);
        } else {
            internet.cut.insert(*slot);
        }
        internet.reconcile(world)
    }

    /// Stops a node: all that is here of it goes, and nobody knows a way to it.
    pub(super) fn stop(&mut self, world: &World, name: &str) -> Result<(), AgentError> {
        self.set_link(world, name, false)?;
        self.stopped.insert(name.into());
        let Some(slot) = self.names.get(name) else { return Ok(()) };
        if let (Some(_), Some(internet)) = (self.nodes.remove(slot), &self.internet) {
            // Its networks go behind the caller's back; the link's other end may be wanted before.
            wiring::unlink_node(&internet.netns, *slot)
                .map_err(AgentError::system("remove a node's link"))?;
        }
        Ok(())
    }

    /// Starts a stopped node, if it is one of those that are made here, and makes the way to it known.
    pub(super) fn start(&mut self, world: &World, name: &str) -> Result<(), AgentError> {
        self.stopped.remove(name);
        self.reconcile(world)?;
        self.set_link(world, name, true)
    }

    /// Brings every link up, and has every node run.
    pub(super) fn mend(&mut self, world: &World) -> Result<(), AgentError> {
        self.stopped.clear();
        self.nodes.values_mut().try_for_each(|node| node.set_link(true))?;
        match &mut self.internet {
            Some(internet) if !internet.cut.is_empty() => {
                internet.cut.clear();
                internet.reconcile(world)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Every agent, also those of nodes that the present world does not use.
    pub(super) fn agents(&mut self) -> impl Iterator<Item = &mut Agent> {
        self.nodes.values_mut().map(|node| &mut node.agent)
    }

    /// The network in which a pod runs, if it is here: its own, or its node's.
    pub(super) fn pod(&self, world: &World, name: &ObjectName) -> Option<&Netns> {
        let pod = world.pods.get(name)?;
        let node = self.nodes.get(self.names.get(&pod.node)?)?;
        if pod.host_network { Some(&node.netns) } else { node.pod(name) }
    }

    /// The Internet's network, if it is here.
    pub(super) fn outside(&self) -> Option<&Netns> {
        self.internet.as_ref().map(|internet| &internet.netns)
    }

    /// The network in which a client runs, if it is here.
    pub(super) fn client(&self, world: &World, from: &Source) -> Option<&Netns> {
        match from {
            Source::Pod(name) => self.pod(world, name),
            Source::Node(name) => self.nodes.get(self.names.get(name)?).map(|node| &node.netns),
            Source::Address(_) => self.outside(),
        }
    }
}

impl Internet {
    fn new(netns: Netns, nowhere: u32) -> Self {
        Self {
            netns,
            hosts: BTreeSet::new(),
            ends: BTreeMap::new(),
            shared: None,
            cut: BTreeSet::new(),
            nowhere,
            routed: BTreeMap::new(),
        }
    }

    fn reconcile(&mut self, world: &World) -> Result<(), AgentError> {
        let mut wanted: BTreeSet<IpAddr> = world.internet.hosts.keys().copied().collect();
        wanted.extend(world.authorities().map(|authority| authority.ip()));
        let add: Vec<IpAddr> = wanted.difference(&self.hosts).copied().collect();
        let remove: Vec<IpAddr> = self.hosts.difference(&wanted).copied().collect();
        wiring::address_internet(&self.netns, &add, &remove)
            .map_err(AgentError::system("address the Internet's hosts"))?;
        self.hosts = wanted;
        let mut routes = BTreeMap::new();
        for (slot, node) in world.nodes.values().enumerate() {
            let there = !self.cut.contains(&slot);
            routes.extend(Numbering::of(node).map(|numbering| (slot, (numbering, there))));
        }
        // Ways that are no longer right go first: another node may have the address now.
        for (slot, before) in &self.routed {
            if routes.get(slot) != Some(before) {
                match before {
                    (node, true) => wiring::unroute_node(&self.netns, self.end(*slot)?, node),
                    (node, false) => wiring::lead_nowhere(&self.netns, self.nowhere, node, false),
                }
                .map_err(AgentError::system("forget the way to a node"))?;
            }
        }
        for (slot, after) in &routes {
            if self.routed.get(slot) != Some(after) {
                let (node, there) = after;
                if *there {
                    wiring::route_node(&self.netns, self.end(*slot)?, node)
                } else {
                    wiring::lead_nowhere(&self.netns, self.nowhere, node, true)
                }
                .map_err(AgentError::system(format!("route to the node at {:?}", node.addresses)))?;
            }
        }
        self.routed = routes;
        Ok(())
    }

    fn end(&self, slot: usize) -> Result<End, AgentError> {
        let unlinked = || io::Error::other(format!("no node was linked in place {slot}"));
        let end = self.ends.get(&slot).copied().or(self.shared);
        end.ok_or_else(unlinked).map_err(AgentError::system("route to a node"))
    }
}
