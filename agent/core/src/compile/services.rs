//! Services as rows of the service map.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::{ServiceEntry, ServiceKey};

use crate::change::Entries;
use crate::state::DatapathState;
use crate::world::{Service, ServicePort, in_namespace};
use crate::{ObjectName, Protocol, World};

/// An address and port that leads to a service.
type Frontend = (IpAddr, Protocol, u16);

/// Which services have which frontends; of several the last by name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    claims: BTreeMap<Frontend, BTreeSet<ObjectName>>,
    known: BTreeMap<ObjectName, Known>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default)]
struct Known {
    frontends: Vec<Frontend>,
    /// The pods that it selects.
    backends: BTreeSet<Arc<ObjectName>>,
}

impl Services {
    /// Follows services and pods that are different; rows change of these services, and of those that select one of
    /// these pods, or did.
    pub(super) fn update<'a>(
        &mut self,
        world: &World,
        services: impl Iterator<Item = &'a ObjectName>,
        pods: &BTreeSet<ObjectName>,
        state: &DatapathState,
        rows: &mut Entries<ServiceKey, ServiceEntry>,
    ) {
        let mut reached = BTreeSet::new();
        for name in services {
            reached.extend(self.replace(name, world));
        }
        let mut pods = pods.iter().peekable();
        while let Some(first) = pods.next() {
            let namespace = &first.namespace;
            let mut of_namespace = alloc::vec![first];
            while let Some(name) = pods.next_if(|name| name.namespace == *namespace) {
                of_namespace.push(name);
            }
            for (name, service) in in_namespace(&world.services, namespace) {
                let Some(known) = self.known.get_mut(name).filter(|_| service.selector.is_some()) else {
                    continue;
                };
                let reaches = |name: &&ObjectName| {
                    let now = world.pods.get(*name).is_some_and(|pod| service.selects(pod));
                    now || known.backends.contains::<ObjectName>(name)
                };
                if of_namespace.iter().any(reaches) {
                    known.backends = backends(world, name, service);
                    reached.extend(&known.frontends);
                }
            }
        }
        for frontend in reached {
            self.change_rows(world, frontend, state, rows);
        }
    }

    /// Takes a service as it is now; returns the frontends that it had and has.
    fn replace(&mut self, name: &ObjectName, world: &World) -> Vec<Frontend> {
        let mut reached = self.known.remove(name).unwrap_or_default().frontends;
        for frontend in &reached {
            if let Some(claims) = self.claims.get_mut(frontend) {
                claims.remove(name);
                if claims.is_empty() {
                    self.claims.remove(frontend);
                }
            }
        }
        if let Some(service) = world.services.get(name) {
            let frontends: Vec<_> = frontends(service).map(|(frontend, _)| frontend).collect();
            for frontend in &frontends {
                self.claims.entry(*frontend).or_default().insert(name.clone());
            }
            reached.extend(&frontends);
            self.known.insert(name.clone(), Known { frontends, backends: backends(world, name, service) });
        }
        reached
    }

    fn change_rows(
        &self,
        world: &World,
        frontend: Frontend,
        state: &DatapathState,
        rows: &mut Entries<ServiceKey, ServiceEntry>,
    ) {
        let new = self.rows(world, frontend);
        let old = state.services.range(key(frontend, 0)..=key(frontend, u32::MAX));
        let gone = old.filter(|(key, _)| new.iter().all(|(kept, _)| kept != *key));
        rows.extend(gone.map(|(key, _)| (*key, None)));
        let changed = new.into_iter().filter(|(key, entry)| state.services.get(key) != Some(entry));
        rows.extend(changed.map(|(key, entry)| (key, Some(entry))));
    }

    /// Rows of one frontend: row 0 counts, the rows after it hold one backend each.
    ///
    /// Only backends of the cluster address's family count; a port without backends has row 0 alone, so that
    /// its packets are dropped for that reason and not routed.
    fn rows(&self, world: &World, frontend: Frontend) -> Vec<(ServiceKey, ServiceEntry)> {
        let owner = self.claims.get(&frontend).and_then(BTreeSet::last);
        let found = owner.and_then(|owner| world.services.get_key_value(owner));
        let Some((name, service)) = found else { return Vec::new() };
        let Some((_, port)) = frontends(service).filter(|(own, _)| *own == frontend).last() else {
            return Vec::new();
        };
        let backends = world.backends(name, service, port).into_iter();
        let of_family = backends.filter(|(address, _)| address.is_ipv4() == frontend.0.is_ipv4());
        let mut rows: Vec<_> = (1..)
            .zip(of_family)
            .map(|(slot, (address, number))| {
                let entry = ServiceEntry { address: address.into(), port: number.to_be_bytes(), count: 0 };
                (key(frontend, slot), entry)
            })
            .collect();
        let count = u16::try_from(rows.len()).unwrap_or(u16::MAX);
        rows.insert(0, (key(frontend, 0), ServiceEntry { count, ..ServiceEntry::default() }));
        rows
    }
}

/// The frontends of a service, with the port behind each.
fn frontends(service: &Service) -> impl Iterator<Item = (Frontend, &ServicePort)> {
    service.ports.iter().flat_map(|port| {
        service.cluster_ips.iter().map(move |address| ((*address, port.protocol, port.port), port))
    })
}

fn key((address, protocol, port): Frontend, slot: u32) -> ServiceKey {
    ServiceKey::new(address.into(), protocol.number(), port, slot)
}

/// The pods that a service selects.
fn backends(world: &World, name: &ObjectName, service: &Service) -> BTreeSet<Arc<ObjectName>> {
    let pods = in_namespace(&world.pods, &name.namespace).filter(|(_, pod)| service.selects(pod));
    pods.map(|(name, _)| Arc::clone(name)).collect()
}
