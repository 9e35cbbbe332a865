//! One node of a cluster: the links of its pods, their addresses, the routes to other nodes, and the agent that judges
//! what passes.
//!
//! What must outlive the process is in the kernel: links with their owners ([`alias`]), programs that go on judging,
//! and their table of connections. A new process finds it there and takes over without a packet lost.

pub mod address;
pub mod alias;
mod forwarding;
pub mod link;
mod masquerade;
pub mod place;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use egret_core::flow::Flow;
use egret_core::fqdn::Names;
use egret_core::{Desired, ObjectName, World};
use egret_shared::{MARK_MASK, MARK_TO_PROXY};
use ipnet::IpNet;

use crate::agent::Agent;
use crate::clock;
use crate::datapath::{self, Connections, Datapath};
use crate::error::AgentError;
use crate::netlink::Batch;
use crate::netns::Netns;
use address::Cursor;
use alias::{Owner, PodKey};
use link::Attachment;
use masquerade::Masquerade;
use place::{LocalPod, Placed, place};
use routes::Outside;

/// Routing table in which every address is the node's own, for proxied packets.
const PROXY_TABLE: u8 = 200;

/// What the API tells: the whole desired state, and more about this node's pods.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What exists and which policies are in force.
    pub desired: Desired,
    /// Pods of this node that have a network of their own and have not ended.
    pub local: BTreeMap<ObjectName, LocalPod>,
}

/// One node. Dropping it leaves links and programs as they are.
pub struct Node {
    name: String,
    netns: Netns,
    agent: Agent,
    cursor: Cursor,
    /// Pods have IPv6 addresses: programs know them, and proxied packets are delivered.
    knows_ipv6: bool,
    /// What the API told last; nothing is judged by this agent before.
    snapshot: Option<Snapshot>,
    placed: Placed,
    /// Links whose programs are still those of an earlier agent.
    adopted: Vec<Attachment>,
    /// The way of pods to the world outside.
    masquerade: Masquerade,
    outside: Outside,
}

/// Why a pod gets no link.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The API has not told enough yet.
    #[error("the agent of this node does not know the cluster yet")]
    NotReady,
    /// The API has not told of the pod yet.
    #[error("the agent of this node does not know the pod yet")]
    UnknownPod,
    /// The container has such an interface already.
    #[error("container `{container}` has an interface `{interface}` already")]
    Exists {
        /// The container.
        container: String,
        /// The interface.
        interface: String,
    },
    /// Every address of a family is taken.
    #[error("the node's prefixes have no free address: {0}")]
    NoAddress(String),
    /// The agent or the kernel failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

impl Node {
    /// Takes over the node whose network is `netns`, with whatever an earlier agent left there.
    ///
    /// # Errors
    /// Without CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN, which finds programs by number and enters pods.
    pub fn start(name: &str, netns: Netns) -> Result<Self, AgentError> {
        let mut adopted = Vec::new();
        let mut connections = None;
        for attachment in link::find(&netns).map_err(AgentError::system("look for the links of pods"))? {
            let programs = datapath::attached(&netns, attachment.link.index)
                .map_err(AgentError::system("look for the programs on a pod's link"))?;
            let Some((program, _)) = programs else {
                // The agent ended while it made this link, so that nobody was told of it.
                link::delete(&netns, &attachment.link)
                    .map_err(AgentError::system("delete a link that was never finished"))?;
                continue;
            };
            connections = connections.or_else(|| Connections::of_program(program));
            adopted.push(attachment);
        }
        let loaded = Datapath::load_after(connections.as_ref())?;
        let agent = Agent::start(&netns, loaded, clock::wall_offset())?;
        deliver_proxied(&netns, Ipv4Addr::UNSPECIFIED.into())?;
        Ok(Self {
            name: name.to_owned(),
            netns,
            agent,
            cursor: Cursor::default(),
            knows_ipv6: false,
            snapshot: None,
            placed: Placed::default(),
            adopted,
            masquerade: Masquerade::default(),
            outside: Outside::default(),
        })
    }

    /// As [`Agent::keep_names`].
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn keep_names(
        &mut self,
        names: Names,
        keep: impl Fn(&Names) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), AgentError> {
        self.agent.keep_names(names, keep)
    }

    /// Brings what the API tells into force and returns its revision: when this returns, every pod of the node is
    /// judged by it.
    ///
    /// # Errors
    /// When the kernel refuses a link, a route or a map's row.
    pub fn bring(&mut self, snapshot: Snapshot) -> Result<u64, AgentError> {
        let own = snapshot.desired.world.nodes.get(&self.name);
        let prefixes = own.map(|node| node.pod_cidrs.as_slice()).unwrap_or_default();
        forwarding::pass_on(&self.netns, prefixes)
            .map_err(AgentError::system("have the node pass the packets of pods on"))?;
        if prefixes.iter().any(|prefix| prefix.addr().is_ipv6()) && !self.knows_ipv6 {
            self.add_ipv6()?;
        }
        self.masquerade.reconcile(&self.netns, &self.name, &snapshot.desired.world.nodes);
        self.snapshot = Some(snapshot);
        self.settle()
    }

    /// Pods have IPv6 from now on.
    fn add_ipv6(&mut self) -> Result<(), AgentError> {
        deliver_proxied(&self.netns, Ipv6Addr::UNSPECIFIED.into())?;
        self.agent.add_ipv6()?;
        let attachments =
            link::find(&self.netns).map_err(AgentError::system("look for the links of pods"))?;
        for Attachment { link, .. } in &attachments {
            // The turn of those comes when this agent's maps hold what the earlier one's do.
            if !self.adopted.iter().any(|adopted| adopted.link.index == link.index) {
                self.agent.replace(&link.name)?;
            }
        }
        self.knows_ipv6 = true;
        Ok(())
    }

    /// Looks at the node's links anew and brings the state that follows into force.
    ///
    /// # Errors
    /// As for [`Node::bring`].
    pub fn settle(&mut self) -> Result<u64, AgentError> {
        let Some(snapshot) = &self.snapshot else { return Ok(0) };
        let mut desired = snapshot.desired.clone();
        self.route(&desired.world)?;
        let attachments =
            link::find(&self.netns).map_err(AgentError::system("look for the links of pods"))?;
        self.placed = place(&mut desired.world, &self.name, &snapshot.local, &attachments);
        let revision = self.agent.apply(&self.name, &desired, &self.placed.interfaces)?;
        // Only now do this agent's maps hold what the earlier one's do.
        for Attachment { link, .. } in std::mem::take(&mut self.adopted) {
            if attachments.iter().any(|attachment| attachment.link.index == link.index) {
                self.agent.replace(&link.name)?;
            }
        }
        Ok(revision)
    }

    /// Leads prefixes outside the cluster to a neighbour of this node, by its address of their family, in place of those
    /// before; none: no more. An agent that starts knows of none, and takes away what an earlier one made.
    ///
    /// # Errors
    /// When the kernel refuses a route, for example because the neighbour is none.
    pub fn lead_outside(&mut self, via: Vec<IpAddr>, prefixes: Vec<IpNet>) -> Result<(), AgentError> {
        let before = std::mem::replace(&mut self.outside, Outside { via, prefixes });
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let led = self.route(&snapshot.desired.world);
        if led.is_err() {
            // Else every later change of the cluster would fail as well. The first error is the one to tell.
            self.outside = before;
            let _as_before = self.route(&snapshot.desired.world);
        }
        led
    }

    fn route(&self, world: &World) -> Result<(), AgentError> {
        routes::reconcile(&self.netns, &self.name, world, &self.outside)
            .map_err(AgentError::system("route to other nodes and outside"))
    }

    /// Links a pod: when this returns, it has an address of each of the node's families and its policies are in force.
    ///
    /// # Errors
    /// What is missing; nothing is left of a link that could not be finished.
    pub fn add(
        &mut self,
        container: &str,
        interface: &str,
        pod: PodKey,
        pod_netns: &Netns,
    ) -> Result<Attachment, AddError> {
        let snapshot = self.snapshot.as_ref().ok_or(AddError::NotReady)?;
        let is_known = match &pod {
            PodKey::Uid(uid) => snapshot.local.values().any(|local| local.uid == *uid),
            PodKey::Name(name) => snapshot.local.contains_key(name),
        };
        if !is_known {
            return Err(AddError::UnknownPod);
        }
        let attachments =
            link::find(&self.netns).map_err(AgentError::system("look for the links of pods"))?;
        let same =
            |owner: &Owner| (owner.container.as_str(), owner.interface.as_str()) == (container, interface);
        if attachments.iter().any(|attachment| same(&attachment.owner)) {
            return Err(AddError::Exists {
                container: container.to_owned(),
                interface: interface.to_owned(),
            });
        }
        let addresses = self.free_addresses(&attachments)?;
        let owner =
            Owner { container: container.to_owned(), interface: interface.to_owned(), addresses, pod };
        let mtu = routes::uplink(&self.netns, &self.name, &self.world_nodes())
            .map_err(AgentError::system("look for the node's own link"))?
            .map_or(routes::USUAL_MTU, |link| link.mtu);
        let attachment = link::make(&self.netns, pod_netns, &owner, mtu)
            .map_err(AgentError::system(format!("link the container `{container}`")))?;
        let finished = self.finish(&attachment, pod_netns);
        if finished.is_err() {
            // The first error is the one to tell; what cannot be deleted goes with the pod's network.
            let _gone_or_refused = link::delete(&self.netns, &attachment.link);
            let _told_above = self.settle();
        }
        finished.map(|()| attachment).map_err(AddError::Agent)
    }

    /// Takes a pod's link away again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self, attachment: &Attachment) -> Result<(), AgentError> {
        link::delete(&self.netns, &attachment.link).map_err(AgentError::system("delete a pod's link"))?;
        self.settle().map(|_revision| ())
    }

    /// Why pods do not reach addresses outside the cluster; `None`: they do, with the node's address.
    #[must_use]
    pub fn masquerade_problem(&self) -> Option<&str> {
        self.masquerade.problem()
    }

    fn finish(&mut self, attachment: &Attachment, pod: &Netns) -> Result<(), AgentError> {
        // The programs are there before the first packet, and the policies before the link is up.
        self.agent.attach(&attachment.link.name)?;
        self.settle()?;
        link::open(&self.netns, pod, attachment, self.own_addresses())
            .map_err(AgentError::system(format!("open the link `{}`", attachment.link.name)))
    }

    fn free_addresses(&mut self, attachments: &[Attachment]) -> Result<Vec<IpAddr>, AddError> {
        let taken: BTreeSet<IpAddr> =
            attachments.iter().flat_map(|attachment| &attachment.owner.addresses).copied().collect();
        let nodes = self.world_nodes();
        let prefixes = nodes.get(&self.name).map(|node| node.pod_cidrs.clone()).unwrap_or_default();
        self.cursor.next(&prefixes, &taken).map_err(|prefixes| {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            AddError::NoAddress(if prefixes.is_empty() {
                "there are none".into()
            } else {
                prefixes.join(", ")
            })
        })
    }

    fn world_nodes(&self) -> BTreeMap<String, egret_core::world::Node> {
        self.snapshot.as_ref().map(|snapshot| snapshot.desired.world.nodes.clone()).unwrap_or_default()
    }

    fn own_addresses(&self) -> &[IpAddr] {
        let nodes = self.snapshot.as_ref().map(|snapshot| &snapshot.desired.world.nodes);
        let own = nodes.and_then(|nodes| nodes.get(&self.name));
        own.map(|node| node.addresses.as_slice()).unwrap_or_default()
    }

    /// Takes the flows that were observed since the last call; they mean what they mean until the next change.
    pub fn drain(&mut self) -> Vec<Flow> {
        self.agent.drain()
    }

    /// As [`Agent::on_request`].
    pub fn on_request(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.agent.on_request(tell);
    }

    /// As [`Agent::lost`].
    ///
    /// # Errors
    /// When the map cannot be read, or a learned name could not be written.
    pub fn lost(&self) -> Result<u64, AgentError> {
        self.agent.lost()
    }

    /// As [`Agent::forget`].
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn forget(&mut self) -> Result<(), AgentError> {
        self.agent.forget()
    }

    /// As [`Agent::set_capture`].
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_capture(&mut self, every_packet: bool) -> Result<(), AgentError> {
        self.agent.set_capture(every_packet)
    }

    /// Name of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of the last state that came into force; 0: none.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.agent.revision()
    }

    /// Pods of this node, with and without a link.
    #[must_use]
    pub const fn placed(&self) -> &Placed {
        &self.placed
    }
}

/// Delivers the proxied packets of the family of this unspecified address to the proxies.
fn deliver_proxied(netns: &Netns, any: IpAddr) -> Result<(), AgentError> {
    Batch::new()
        .deliver_marked(any, (MARK_TO_PROXY, MARK_MASK), PROXY_TABLE)
        .send(netns)
        .map_err(AgentError::system("route proxied packets"))
}

impl AsFd for Node {
    /// As for [`Agent`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.agent.as_fd()
    }
}
