//! One node of a site: its network, its agent, and its pods' networks, which pods move into and out of.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use egret_agent::datapath::{self, Connections, Datapath};
use egret_agent::{Agent, AgentError, Netns};
use egret_core::fqdn::Names;
use egret_core::{Desired, ObjectName};

use super::wiring::{self, End, Numbering};

/// One node and its pods' networks.
pub(super) struct Node {
    pub(super) netns: Netns,
    pub(super) agent: Agent,
    /// The way to the Internet.
    uplink: End,
    numbering: Option<Numbering>,
    unplugged: bool,
    slots: Vec<Slot>,
    interfaces: BTreeMap<ObjectName, u32>,
    /// What the agent has learned, which outlives it.
    names: Arc<Mutex<Names>>,
}

/// A pod's network, with or without a pod in it.
struct Slot {
    netns: Netns,
    addresses: Vec<IpAddr>,
    pod: Option<ObjectName>,
}

impl Node {
    /// A node with so many pods' networks in reserve. Those and the node's own, which `make` makes, are made
    /// while the kernel verifies the datapath.
    pub(super) fn new(
        make: impl FnOnce() -> io::Result<Netns>,
        uplink: End,
        reserve: usize,
        wall_offset: u64,
    ) -> Result<Self, AgentError> {
        let loading = std::thread::Builder::new()
            .name("datapath loader".into())
            .spawn(Datapath::load)
            .map_err(AgentError::system("start the loader's thread"))?;
        let netns = make().map_err(AgentError::system("set up a node's network"))?;
        let slots = (0..reserve).map(|index| Slot::new(&netns, index)).collect::<Result<Vec<_>, _>>()?;
        // All links come up at once; only then is it worth waiting for each.
        for (index, slot) in slots.iter().enumerate() {
            slot.await_link(&netns, index)?;
        }
        let panicked = |_| AgentError::system("load the datapath")(io::Error::other("its thread panicked"));
        let loaded = loading.join().map_err(panicked)?;
        let mut agent = Agent::start(&netns, loaded?, wall_offset)?;
        (0..reserve).try_for_each(|index| agent.attach(&wiring::pod_port(index)))?;
        let names = Arc::default();
        keep(&mut agent, &names)?;
        Ok(Self {
            netns,
            agent,
            uplink,
            numbering: None,
            unplugged: false,
            slots,
            interfaces: BTreeMap::new(),
            names,
        })
    }

    /// Ends the agent and starts another, which takes over what is left on a node: programs that go on judging,
    /// their connections, and the names that were kept.
    pub(super) fn restarted(
        self,
        name: &str,
        desired: &Desired,
        wall_offset: u64,
    ) -> Result<Self, AgentError> {
        let Self { netns, agent, slots, interfaces, names, .. } = self;
        let advanced = agent.advanced();
        drop(agent);
        let connections = if slots.is_empty() { None } else { Some(connections(&netns)?) };
        let mut agent = Agent::start(&netns, Datapath::load_after(connections.as_ref())?, wall_offset)?;
        agent.advance(advanced)?;
        keep(&mut agent, &names)?;
        agent.apply(name, desired, &interfaces)?;
        if self.numbering.as_ref().is_some_and(Numbering::has_ipv6) {
            agent.add_ipv6()?;
        }
        let mut restarted = Self { netns, agent, slots, interfaces, names, ..self };
        // Only now do this agent's maps hold what the earlier one's do.
        restarted.replace_programs()?;
        Ok(restarted)
    }

    /// Brings a desired state into force and returns its revision.
    pub(super) fn apply(&mut self, name: &str, desired: &Desired) -> Result<u64, AgentError> {
        self.agent.apply(name, desired, &self.interfaces)
    }

    /// The network of a pod that has one of its own here.
    pub(super) fn pod(&self, name: &ObjectName) -> Option<&Netns> {
        self.slots.iter().find(|slot| slot.pod.as_ref() == Some(name)).map(|slot| &slot.netns)
    }

    /// Gives the node its addresses in place of those of another world.
    pub(super) fn renumber(&mut self, node: &egret_core::world::Node) -> Result<(), AgentError> {
        let Some(after) = Numbering::of(node) else { return Ok(()) };
        if self.numbering.as_ref() == Some(&after) {
            return Ok(());
        }
        // The routes to pods carry the node's address.
        (0..self.slots.len()).try_for_each(|index| self.vacate(index))?;
        if after.has_ipv6() && self.agent.add_ipv6()? {
            self.replace_programs()?;
        }
        wiring::number_node(&self.netns, self.uplink, self.numbering.as_ref(), &after)
            .map_err(AgentError::system(format!("give a node the addresses {:?}", after.addresses)))?;
        self.numbering = Some(after);
        Ok(())
    }

    /// Puts this agent's programs in the place of those that are on the pods' links.
    fn replace_programs(&mut self) -> Result<(), AgentError> {
        (0..self.slots.len()).try_for_each(|index| self.agent.replace(&wiring::pod_port(index)))
    }

    /// Takes the link to the Internet down, or up again.
    pub(super) fn set_link(&mut self, up: bool) -> Result<(), AgentError> {
        let Some(numbering) = self.numbering.as_ref().filter(|_| up == self.unplugged) else { return Ok(()) };
        let (done, what) = if up {
            (wiring::plug(&self.netns, self.uplink, numbering), "bring a node's link up")
        } else {
            (wiring::unplug(&self.netns, self.uplink), "take a node's link down")
        };
        done.map_err(AgentError::system(what))?;
        self.unplugged = !up;
        Ok(())
    }

    /// Puts each pod into a slot: the one that it has, one with its addresses, or any; vacates the others.
    pub(super) fn reconcile_pods<'a>(
        &mut self,
        pods: impl Iterator<Item = (&'a ObjectName, &'a [IpAddr])>,
    ) -> Result<(), AgentError> {
        let wanted: BTreeMap<&ObjectName, &[IpAddr]> = pods.collect();
        for index in 0..self.slots.len() {
            let stays = self.slots.get(index).is_some_and(|slot| {
                slot.pod.as_ref().is_some_and(|pod| wanted.get(pod) == Some(&slot.addresses.as_slice()))
            });
            if !stays {
                self.vacate(index)?;
            }
        }
        for (pod, addresses) in wanted {
            if !self.slots.iter().any(|slot| slot.pod.as_ref() == Some(pod)) {
                self.place(pod, addresses)?;
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

    /// Takes the pod out of a slot.
    fn vacate(&mut self, index: usize) -> Result<(), AgentError> {
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        if slot.pod.take().is_some() {
            wiring::unroute_pod(&self.netns, index, &slot.addresses)
                .map_err(AgentError::system("take a pod off the network"))?;
        }
        Ok(())
    }

    fn place(&mut self, pod: &ObjectName, addresses: &[IpAddr]) -> Result<(), AgentError> {
        let free = |slot: &Slot| slot.pod.is_none();
        let index = self
            .slots
            .iter()
            .position(|slot| free(slot) && slot.addresses == addresses)
            .or_else(|| self.slots.iter().position(free));
        let index = match index {
            Some(index) => index,
            None => self.add_slot()?,
        };
        let (Some(slot), Some(numbering)) = (self.slots.get_mut(index), &self.numbering) else {
            return Ok(());
        };
        let node = (&self.netns, numbering.addresses.as_slice());
        wiring::address_pod(node, &slot.netns, index, (&slot.addresses, addresses))
            .map_err(AgentError::system(format!("address pod `{pod}`")))?;
        slot.addresses = addresses.to_vec();
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

/// Has an agent begin with kept names, and keep what it learns, as an agent of a cluster keeps it in a file.
fn keep(agent: &mut Agent, kept: &Arc<Mutex<Names>>) -> Result<(), AgentError> {
    let names = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let kept = Arc::clone(kept);
    agent.keep_names(names, move |names| {
        names.clone_into(&mut kept.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    })
}

/// The table of connections of the programs on the first pod's link, which no agent holds now.
fn connections(netns: &Netns) -> Result<Connections, AgentError> {
    let programs = datapath::attached(netns, wiring::port_index(0))
        .map_err(AgentError::system("look for the programs on a pod's link"))?;
    programs.and_then(|(program, _)| Connections::of_program(program)).ok_or_else(|| {
        AgentError::system("take over the connections")(io::Error::other(
            "the earlier agent's programs are gone",
        ))
    })
}

impl Slot {
    /// An empty network, linked to its node.
    fn new(node: &Netns, index: usize) -> Result<Self, AgentError> {
        let netns = Netns::new().map_err(AgentError::system("make a network namespace"))?;
        wiring::prepare(&netns, false)
            .and_then(|()| wiring::link_pod(node, &netns, index))
            .map_err(AgentError::system("set up a pod's network"))?;
        Ok(Self { netns, addresses: Vec::new(), pod: None })
    }

    /// Returns when the link passes packets.
    fn await_link(&self, node: &Netns, index: usize) -> Result<(), AgentError> {
        wiring::await_pod(node, &self.netns, index).map_err(AgentError::system("link a pod to its node"))
    }
}
