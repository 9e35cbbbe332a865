//! A node's state between two changes, and the one path by which a change reaches the maps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egret_core::compile::{Allocator, compile};
use egret_core::diff::{MapWrite, diff};
use egret_core::flow::{Flow, Side};
use egret_core::fqdn::Names;
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
    pub(super) compiled: DatapathState,
    pub(super) names: Names,
    pub(super) revision: u64,
    numbers: Allocator,
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
            compiled: DatapathState::default(),
            names: Names::default(),
            revision: 0,
            numbers: Allocator::default(),
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
        self.desired = desired.clone();
        let now = self.now();
        self.names.expire(now);
        self.recompile()?;
        self.move_endpoints(&before)?;
        self.revision = self.revision.saturating_add(1);
        Ok(self.revision)
    }

    /// Learns what a name leads to; when this returns, the maps hold the addresses.
    pub(super) fn learn(&mut self, name: &str, addresses: &[IpAddr], ttl: u32) -> Result<(), AgentError> {
        let now = self.now();
        if self.names.learn(name, addresses, ttl, now) {
            self.recompile()?;
        }
        // Also when no address is new: the known ones live longer.
        self.tell_keeper()
    }

    pub(super) fn keep_names(&mut self, names: Names, keep: KeepNames) -> Result<(), AgentError> {
        self.names = names;
        self.keep = Some(keep);
        self.expire()
    }

    fn tell_keeper(&self) -> Result<(), AgentError> {
        let kept = self.keep.as_ref().map_or(Ok(()), |keep| keep(&self.names));
        kept.map_err(AgentError::system("keep the learned names"))
    }

    /// Forgets names whose time is over.
    pub(super) fn expire(&mut self) -> Result<(), AgentError> {
        let now = self.now();
        if self.names.expire(now) {
            self.recompile()?;
            self.tell_keeper()?;
        }
        Ok(())
    }

    pub(super) fn advance(&mut self, nanoseconds: u64) -> Result<(), AgentError> {
        self.clock_offset = self.clock_offset.saturating_add(nanoseconds);
        self.datapath.maps.set_clock_offset(self.clock_offset)?;
        self.expire()
    }

    pub(super) fn forget(&mut self) -> Result<(), AgentError> {
        self.names = Names::default();
        self.recompile()?;
        self.tell_keeper()?;
        self.datapath.maps.forget_connections()
    }

    /// Desired state and learned names to map entries, and the difference into the maps.
    fn recompile(&mut self) -> Result<(), AgentError> {
        let compiled = compile(&self.desired, &self.node, &self.names, &mut self.numbers);
        for write in diff(&self.compiled, &compiled) {
            self.write(write)?;
        }
        self.compiled = compiled;
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
                let interface = self.interfaces.get(&name).ok_or(AgentError::NoInterface(name))?;
                maps.put_endpoint(*interface, row(&endpoint))
            }
            // Rows belong to interfaces: `move_endpoints` knows which of them still have a pod.
            MapWrite::DeleteEndpoint(_) => Ok(()),
        }
    }

    /// Gives every interface the row of the pod that it has now; `before` is what pods had before.
    fn move_endpoints(&mut self, before: &BTreeMap<ObjectName, u32>) -> Result<(), AgentError> {
        let maps = &mut self.datapath.maps;
        for (pod, interface) in &self.interfaces {
            if let Some(endpoint) = self.compiled.endpoints.get(pod)
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
        let endpoint = self.compiled.endpoints.iter().find(|(_, state)| state.id == record.endpoint);
        let policy = endpoint.map_or(0, |(_, state)| state.policy(decoded.direction));
        let Decoded { source, destination, direction, verdict, .. } = decoded;
        Some(Flow {
            time: self.wall(record.time),
            node: self.node.clone(),
            endpoint: endpoint
                .map(|(pod, state)| egret_core::flow::FlowEndpoint { id: state.id, pod: pod.clone() }),
            direction,
            source: self.side(source.0, source.1, decoded.identities.0),
            destination: self.side(destination.0, destination.1, decoded.identities.1),
            service: decoded.service,
            protocol: decoded.protocol,
            verdict,
            enforced: record.flags & FlowRecord::ENFORCED != 0,
            match_type: decoded.match_type,
            by: self.compiled.author(policy, record.rule),
            event: egret_core::flow::Event::Packet(decoded.packet),
        })
    }

    /// One side of a flow by its names.
    pub(super) fn side(&self, address: IpAddr, port: u16, identity: egret_shared::Identity) -> Side {
        let pod = self.desired.world.pod_at(address).map(|(name, pod)| {
            let id = self.compiled.endpoints.get(name).map_or(0, |state| state.id);
            (name.clone(), id, pod.labels.clone())
        });
        Side {
            address,
            port,
            identity,
            labels: self.compiled.labels.get(&identity).cloned().unwrap_or_default(),
            pod,
            names: self.names.names_of(address),
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
