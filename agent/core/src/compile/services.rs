//! Services as rows of the service map.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use egret_shared::{ServiceEntry, ServiceKey};

use crate::change::Entries;
use crate::state::DatapathState;
use crate::world::{Service, ServicePort, in_namespace};
use crate::{ObjectName, Protocol, World};

/// An address and port that leads to a service.
type Frontend = (IpAddr, Protocol, u16);

/// Which service has which frontend; of several the last by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    owners: BTreeMap<Frontend, ObjectName>,
    /// The pods that each service with a selector selects.
    backends: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
}

impl Services {
    /// The services of a world, and all their rows.
    pub(super) fn new(world: &World, rows: &mut Entries<ServiceKey, ServiceEntry>) -> Self {
        let mut this = Self::default();
        for (name, service) in &world.services {
            for (frontend, _) in frontends(service) {
                this.owners.insert(frontend, name.clone());
            }
        }
        for (name, service) in &world.services {
            this.add_rows(world, name, service, rows);
            this.backends.insert(name.clone(), backends(world, name, service));
        }
        this
    }

    /// Rows that are different because pods are: those of services that select one of them, or did.
    pub(super) fn update(
        &mut self,
        world: &World,
        pods: &BTreeSet<ObjectName>,
        state: &DatapathState,
        rows: &mut Entries<ServiceKey, ServiceEntry>,
    ) {
        let mut namespaces = pods.iter().peekable();
        while let Some(first) = namespaces.next() {
            let namespace = &first.namespace;
            let mut of_namespace = alloc::vec![first];
            while let Some(name) = namespaces.next_if(|name| name.namespace == *namespace) {
                of_namespace.push(name);
            }
            for (name, service) in in_namespace(&world.services, namespace) {
                let reaches = |pod: &&&ObjectName| {
                    let now = world.pods.get(**pod).is_some_and(|pod| service.selects(pod));
                    let backends = self.backends.get(name);
                    now || backends.is_some_and(|backends| backends.contains(**pod))
                };
                if service.selector.is_some() && of_namespace.iter().any(|pod| reaches(&pod)) {
                    let backends = backends(world, name, service);
                    self.change_rows(world, name, service, state, rows);
                    self.backends.insert(name.clone(), backends);
                }
            }
        }
    }

    fn change_rows(
        &self,
        world: &World,
        name: &ObjectName,
        service: &Service,
        state: &DatapathState,
        rows: &mut Entries<ServiceKey, ServiceEntry>,
    ) {
        let mut new = Entries::new();
        self.add_rows(world, name, service, &mut new);
        for (frontend, _) in
            frontends(service).filter(|(frontend, _)| self.owners.get(frontend) == Some(name))
        {
            let old = state.services.range(key(frontend, 0)..=key(frontend, u32::MAX));
            let gone = old.filter(|(key, _)| new.iter().all(|(kept, _)| kept != *key));
            rows.extend(gone.map(|(key, _)| (*key, None)));
        }
        rows.extend(new.into_iter().filter(|(key, entry)| state.services.get(key) != entry.as_ref()));
    }

    /// Rows of one service: row 0 counts, the rows after it hold one backend each.
    ///
    /// Only backends of the cluster address's family count; a port without backends has row 0 alone, so that
    /// its packets are dropped for that reason and not routed.
    fn add_rows(
        &self,
        world: &World,
        name: &ObjectName,
        service: &Service,
        rows: &mut Entries<ServiceKey, ServiceEntry>,
    ) {
        for (frontend, port) in
            frontends(service).filter(|(frontend, _)| self.owners.get(frontend) == Some(name))
        {
            let mut count: u16 = 0;
            let backends = world.backends(name, service, port).into_iter();
            for (address, number) in backends.filter(|(address, _)| address.is_ipv4() == frontend.0.is_ipv4())
            {
                count = count.saturating_add(1);
                let entry = ServiceEntry { address: address.into(), port: number.to_be_bytes(), count: 0 };
                rows.push((key(frontend, u32::from(count)), Some(entry)));
            }
            rows.push((key(frontend, 0), Some(ServiceEntry { count, ..ServiceEntry::default() })));
        }
    }
}

/// The frontends of a service, with the port behind each.
fn frontends(service: &Service) -> impl Iterator<Item = (Frontend, &ServicePort)> {
    service.ports.iter().flat_map(|port| {
        service.cluster_ips.iter().map(move |address| ((*address, port.protocol, port.port), port))
    })
}

fn key((address, protocol, port): Frontend, slot: u32) -> ServiceKey {
    ServiceKey {
        address: address.into(),
        port: port.to_be_bytes(),
        protocol: protocol.number(),
        pad: 0,
        slot,
    }
}

/// The pods that a service selects.
fn backends(world: &World, name: &ObjectName, service: &Service) -> BTreeSet<ObjectName> {
    let pods = in_namespace(&world.pods, &name.namespace).filter(|(_, pod)| service.selects(pod));
    pods.map(|(name, _)| name.clone()).collect()
}
