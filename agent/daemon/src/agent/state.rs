//! A node's state between two changes, and the one path by which a change reaches the maps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use egret_core::compile::{Changed, Compiler};
use egret_core::diff::MapWrite;
use egret_core::flow::{Flow, Side};
use egret_core::fqdn::Names;
use egret_core::identity::LabelSet;
use egret_core::state::{DatapathState, EndpointState};
use egret_core::{Desired, ObjectName};
use egret_shared::{Address, Endpoint, FlowRecord};

use crate::clock;
use crate::datapath::Datapath;
use crate::datapath::decode::{self, Decoded};
use crate::error::AgentError;

/// Everything that one node's agent knows.
pub(super) struct State {
    pub(super) node: String,
    pub(super) datapath: Datapath,
    pub(super) desired: Desired,
    pub(super) names: Names,
    pub(super) revision: u64,
    compiler: Compiler,
    /// What the maps do not hold yet: the write that failed last, and those after it.
    unwritten: VecDeque<MapWrite>,
    interfaces: BTreeMap<ObjectName, u32>,
    clock_offset: u64,
    wall_offset: u64,
    keep: Option<KeepNames>,
}

/// Whoever keeps learned names for the next agent.
type KeepNames = Box<dyn Fn(&Names) -> std::io::Result<()> + Send>;

impl State {
    pub(super) fn new(datapath: Datapath, wall_offset: u64) -> Self {
        Self {
            node: String::new(),
            datapath,
            desired: Desired::default(),
            names: Names::default(),
            revision: 0,
            compiler: Compiler::default(),
            unwritten: VecDeque::new(),
            interfaces: BTreeMap::new(),
            clock_offset: 0,
            wall_offset,
            keep: None,
        }
    }

    /// The datapath's clock in nanoseconds, as the kernel programs read it.
    pub(super) fn now(&self) -> u64 {
        clock::monotonic().saturating_add(self.clock_offset)
    }

    /// Nanoseconds since the Unix epoch for an instant of the kernel's clock.
    pub(super) fn wall(&self, monotonic: u64) -> u64 {
        monotonic.saturating_add(self.wall_offset)
    }

    pub(super) fn apply(
        &mut self,
        node: &str,
        desired: &Desired,
        interfaces: &BTreeMap<ObjectName, u32>,
    ) -> Result<u64, AgentError> {
        node.clone_into(&mut self.node);
        let before = std::mem::replace(&mut self.interfaces, interfaces.clone());
        let now = self.now();
        let mut changed = Changed::between(&self.desired, desired);
        changed.addresses = self.names.expire(now);
        self.desired = desired.clone();
        self.follow(&changed)?;
        self.move_endpoints(&before)?;
        self.revision = self.revision.saturating_add(1);
        Ok(self.revision)
    }

    /// Learns what a name leads to; when this returns, the maps hold the addresses.
    pub(super) fn learn(&mut self, name: &str, addresses: &[IpAddr], ttl: u32) -> Result<(), AgentError> {
        let now = self.now();
        let addresses = self.names.learn(name, addresses, ttl, now);
        self.follow(&Changed { addresses, ..Changed::default() })?;
        // Also when no address is new: the known ones live longer.
        self.tell_keeper()
    }

    pub(super) fn keep_names(&mut self, names: Names, keep: KeepNames) -> Result<(), AgentError> {
        let mut addresses: BTreeSet<IpAddr> = self.names.addresses().chain(names.addresses()).collect();
        self.names = names;
        self.keep = Some(keep);
        addresses.extend(self.names.expire(self.now()));
        self.follow(&Changed { addresses, ..Changed::default() })?;
        self.tell_keeper()
    }

    fn tell_keeper(&self) -> Result<(), AgentError> {
        let kept = self.keep.as_ref().map_or(Ok(()), |keep| keep(&self.names));
        kept.map_err(AgentError::system("keep the learned names"))
    }

    /// Forgets names whose time is over.
    pub(super) fn expire(&mut self) -> Result<(), AgentError> {
        let now = self.now();
        let addresses = self.names.expire(now);
        if addresses.is_empty() && self.unwritten.is_empty() {
            return Ok(());
        }
        self.follow(&Changed { addresses, ..Changed::default() })?;
        self.tell_keeper()
    }

    pub(super) fn advance(&mut self, nanoseconds: u64) -> Result<(), AgentError> {
        self.clock_offset = self.clock_offset.saturating_add(nanoseconds);
        self.datapath.maps.set_clock_offset(self.clock_offset)?;
        self.expire()
    }

    pub(super) const fn advanced(&self) -> u64 {
        self.clock_offset
    }

    pub(super) fn forget(&mut self) -> Result<(), AgentError> {
        let addresses = std::mem::take(&mut self.names).addresses().collect();
        self.follow(&Changed { addresses, ..Changed::default() })?;
        self.tell_keeper()?;
        self.datapath.maps.forget_connections()
    }

    /// What the maps hold, once everything is written.
    pub(super) const fn compiled(&self) -> &DatapathState {
        self.compiler.state()
    }

    /// A change of what is desired or learned to map entries, and those into the maps.
    fn follow(&mut self, changed: &Changed) -> Result<(), AgentError> {
        self.unwritten.extend(self.compiler.update(&self.desired, &self.node, &self.names, changed));
        while let Some(write) = self.unwritten.front().cloned() {
            self.write(write)?;
            self.unwritten.pop_front();
        }
        Ok(())
    }

    fn write(&mut self, write: MapWrite) -> Result<(), AgentError> {
        let maps = &mut self.datapath.maps;
        match write {
            MapWrite::PutPolicy { key, prefix, entry } => maps.put_policy(key, prefix, entry),
            MapWrite::DeletePolicy { key, prefix } => maps.delete_policy(key, prefix),
            MapWrite::PutIpcache(prefix, identity) => maps.put_ipcache(prefix, identity),
            MapWrite::DeleteIpcache(prefix) => maps.delete_ipcache(prefix),
            MapWrite::PutService(key, entry) => maps.put_service(key, entry),
            MapWrite::DeleteService(key) => maps.delete_service(key),
            MapWrite::PutEndpoint(name, endpoint) => {
                match self.interfaces.get(&*name) {
                    Some(interface) => maps.put_endpoint(*interface, row(&endpoint)),
                    None if self.compiler.state().endpoints.contains_key(&name) => {
                        Err(AgentError::NoInterface((*name).clone()))
                    }
                    // It went before its row could be written.
                    None => Ok(()),
                }
            }
            // Rows belong to interfaces: `move_endpoints` knows which of them still have a pod.
            MapWrite::DeleteEndpoint(_) => Ok(()),
        }
    }

    /// Gives every interface the row of the pod that it has now; `before` is what pods had before.
    fn move_endpoints(&mut self, before: &BTreeMap<ObjectName, u32>) -> Result<(), AgentError> {
        let maps = &mut self.datapath.maps;
        for (pod, interface) in &self.interfaces {
            if let Some(endpoint) = self.compiler.state().endpoints.get(pod)
                && before.get(pod) != Some(interface)
            {
                maps.put_endpoint(*interface, row(endpoint))?;
            }
        }
        let used: BTreeSet<u32> = self.interfaces.values().copied().collect();
        for interface in before.values().filter(|interface| !used.contains(interface)) {
            maps.delete_endpoint(*interface)?;
        }
        Ok(())
    }

    /// What a record says, with its numbers resolved; `None` for bytes that are no IP packet.
    pub(super) fn flow_of(&self, record: &FlowRecord) -> Option<Flow> {
        let decoded = decode::decode(record)?;
        let endpoint = self.compiled().endpoints.iter().find(|(_, state)| state.id == record.endpoint);
        let policy = endpoint.map_or(0, |(_, state)| state.policy(decoded.direction));
        let Decoded { source, destination, direction, verdict, .. } = decoded;
        Some(Flow {
            time: self.wall(record.time),
            node: self.node.clone(),
            endpoint: endpoint
                .map(|(pod, state)| egret_core::flow::FlowEndpoint { id: state.id, pod: (**pod).clone() }),
            direction,
            source: self.side(source.0, source.1, decoded.identities.0),
            destination: self.side(destination.0, destination.1, decoded.identities.1),
            service: decoded.service,
            protocol: decoded.protocol,
            verdict,
            enforced: record.flags & FlowRecord::ENFORCED != 0,
            match_type: decoded.match_type,
            by: self.compiled().author(policy, record.rule),
            event: egret_core::flow::Event::Packet(decoded.packet),
        })
    }

    /// One side of a flow by its names.
    pub(super) fn side(&self, address: IpAddr, port: u16, identity: egret_shared::Identity) -> Side {
        let pod = self.desired.world.pod_at(address).map(|(name, pod)| {
            let id = self.compiled().endpoints.get(name).map_or(0, |state| state.id);
            (name.clone(), id, pod.labels.clone())
        });
        Side {
            address,
            port,
            identity,
            labels: self.compiled().labels.get(&identity).map(LabelSet::texts).unwrap_or_default(),
            pod,
            names: self.names.of(address).map(str::to_owned).collect(),
        }
    }
}

/// The map's row for an endpoint.
fn row(endpoint: &EndpointState) -> Endpoint {
    Endpoint {
        id: endpoint.id,
        identity: endpoint.identity.0,
        policy: endpoint.policy,
        ipv4: endpoint.ipv4.map(Address::from).unwrap_or_default(),
        ipv6: endpoint.ipv6.map(|address| Address::from(IpAddr::V6(address))).unwrap_or_default(),
    }
}
