//! Services in the way of a flow: which backends an address stands for, and who asks in a service's name.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::{DropReason, Identity, ServiceKey};

use super::cluster::Cluster;
use super::end::{End, Unanswerable};
use super::judged::SideJudged;
use super::{Answer, Balanced, SideVerdict};
use crate::{ObjectName, Protocol};

impl Cluster {
    /// What stands behind the party that is asked: nothing but itself, or a service's backends.
    pub(super) fn balanced(
        &self,
        from: &End,
        to: &End,
        protocol: Protocol,
        port: u16,
    ) -> Result<Option<Balanced>, Unanswerable> {
        let between = |name, backends| Some(Balanced { name, backends, chosen: None, agree: true });
        let world = &self.desired.world;
        match to {
            End::Endpoint { .. } | End::Node { .. } | End::Reserved(_) | End::Outside { .. } => Ok(None),
            End::Service(name) => {
                let service =
                    world.services.get(name).ok_or_else(|| Unanswerable::NoService(name.clone()))?;
                let known =
                    service.ports.iter().find(|known| known.port == port && known.protocol == protocol);
                let known = known.ok_or_else(|| {
                    let name = name.clone();
                    Unanswerable::NoServicePort { name, port, protocol }
                })?;
                Ok(between(name.clone(), world.backends(name, service, known)))
            }
            // Only nodes of the cluster translate services' addresses.
            End::Frontend { address, name, .. } => {
                let is_inside = match from {
                    End::Endpoint { .. } | End::Node { .. } | End::Service(_) => true,
                    End::Reserved(identity) => *identity != Identity::WORLD,
                    End::Outside { .. } | End::Frontend { .. } => false,
                };
                let backends = is_inside.then(|| self.behind(*address, protocol, port)).flatten();
                Ok(backends.and_then(|backends| between(name.clone(), backends)))
            }
        }
    }

    /// Backends of a service's address and port, as the service map holds them; `None`: it is no service.
    fn behind(&self, address: IpAddr, protocol: Protocol, port: u16) -> Option<Vec<(IpAddr, u16)>> {
        let services = &self.nodes.first()?.state.services;
        let key = |slot| ServiceKey::new(address.into(), protocol.number(), port, slot);
        let count = services.get(&key(0))?.count;
        let entries = (1..=u32::from(count)).filter_map(|slot| services.get(&key(slot)));
        Some(entries.map(|entry| (entry.address.to_ip(), u16::from_be_bytes(entry.port))).collect())
    }

    /// The pods behind a service that opens connections.
    pub(super) fn clients(&self, name: &ObjectName) -> Result<Vec<End>, Unanswerable> {
        let world = &self.desired.world;
        let service = world.services.get(name).ok_or_else(|| Unanswerable::NoService(name.clone()))?;
        let ports = service.ports.iter().flat_map(|port| world.backends(name, service, port));
        let addresses: BTreeSet<_> = ports.map(|(address, _)| address).collect();
        if addresses.is_empty() {
            return Err(Unanswerable::NoClient(name.clone()));
        }
        Ok(addresses.into_iter().map(|address| self.at(address)).collect())
    }

    /// A service's address with nothing behind it: the client's node drops the packet.
    pub(super) fn without_backend(&self, client: &End) -> Answer {
        let dropped = SideJudged {
            verdict: SideVerdict::Denied,
            reason: Some(DropReason::NoBackend),
            ..SideJudged::unasked(Identity::WORLD)
        };
        let nobody = End::Reserved(Identity::WORLD);
        Answer {
            egress: self.side_answer(client, &nobody, &dropped),
            ingress: self.side_answer(&nobody, client, &SideJudged::unasked(Identity::WORLD)),
            layer7: None,
            service: None,
        }
    }
}
