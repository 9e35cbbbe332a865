//! Services as rows of the service map.

use alloc::collections::BTreeMap;

use egret_shared::{ServiceEntry, ServiceKey};

use crate::World;

/// Rows of every service with a cluster address: row 0 counts, the rows after it hold one backend each.
///
/// Only backends of the cluster address's family count; a port without backends has row 0 alone, so that
/// its packets are dropped for that reason and not routed.
pub(super) fn table(world: &World) -> BTreeMap<ServiceKey, ServiceEntry> {
    let mut rows = BTreeMap::new();
    for (name, service) in &world.services {
        for port in &service.ports {
            let backends = world.backends(name, service, port);
            for cluster_ip in &service.cluster_ips {
                let key = |slot| ServiceKey {
                    address: (*cluster_ip).into(),
                    port: port.port.to_be_bytes(),
                    protocol: port.protocol.number(),
                    pad: 0,
                    slot,
                };
                let mut count: u16 = 0;
                for (address, number) in backends.iter().filter(|(a, _)| a.is_ipv4() == cluster_ip.is_ipv4())
                {
                    count = count.saturating_add(1);
                    let entry =
                        ServiceEntry { address: (*address).into(), port: number.to_be_bytes(), count: 0 };
                    rows.insert(key(u32::from(count)), entry);
                }
                rows.insert(key(0), ServiceEntry { count, ..ServiceEntry::default() });
            }
        }
    }
    rows
}
