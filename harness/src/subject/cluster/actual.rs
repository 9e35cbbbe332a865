//! A case's world with the addresses that the cluster has given, and the way from one to the other: what a case asks for
//! by address is asked at the cluster's, and what clients saw is told with the case's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::ObjectName;
use egret_core::probe::{Opening, Peer, Probe, Request};
use egret_core::world::World;
use k8s_openapi::api::core::v1::Pod;

use super::error::ClusterError;
use super::nodes::Place;
use super::object::Kind;
use super::ready::Pods;
use super::server::Server;
use super::shape::{Shape, is_clusters_own, is_clusters_own_service};

/// The world as it is in the cluster.
#[derive(Default)]
pub(super) struct Actual {
    /// Names of the case, addresses of the cluster.
    pub(super) world: World,
    addresses: Addresses,
}

/// The case's addresses and the cluster's.
#[derive(Default)]
struct Addresses {
    /// The case's address for each of the cluster's.
    back: BTreeMap<IpAddr, IpAddr>,
    /// The cluster's address for each of the case's that it has one of the same family for.
    forth: BTreeMap<IpAddr, IpAddr>,
}

impl Actual {
    /// Reads the addresses of pods, services and nodes.
    ///
    /// # Errors
    /// A service or the cluster's DNS server cannot be read.
    pub(super) async fn read(
        server: &Server,
        shape: &Shape<'_>,
        pods: &Pods,
        places: &[Place],
        case: &World,
    ) -> Result<Self, ClusterError> {
        let mut world = case.clone();
        let mut known = Addresses::default();
        for (name, pod) in &mut world.pods {
            let there = if is_clusters_own(pod) {
                own_pod(server, name, &pod.labels).await?
            } else {
                pods.get(&shape.key(Kind::Pod, name)).map(pod_addresses).unwrap_or_default()
            };
            pod.addresses = known.take(&pod.addresses, there);
        }
        for (name, service) in &mut world.services {
            let mut key = shape.key(Kind::Service, name);
            if is_clusters_own_service(name) {
                key.namespace = Some(name.namespace.clone());
            }
            let there = server.get(&key).await?;
            let there = there.ok_or_else(|| ClusterError::Missing(format!("the cluster has no {key}")))?;
            let addresses = there.data["spec"]["clusterIPs"].as_array().into_iter().flatten();
            let addresses = addresses.filter_map(|address| address.as_str()?.parse().ok()).collect();
            service.cluster_ips = known.take(&service.cluster_ips, addresses);
        }
        for (name, node) in &mut world.nodes {
            let place =
                shape.nodes.get(name).and_then(|name| places.iter().find(|place| place.name == *name));
            let there = place.map(|place| place.addresses.clone()).unwrap_or_default();
            node.addresses = known.take(&node.addresses, there);
        }
        Ok(Self { world, addresses: known })
    }

    /// Addresses that a client saw as the case writes them; an address of nobody stays as it is.
    pub(super) fn to_case(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let back = &self.addresses.back;
        addresses.iter().map(|address| back.get(address).copied().unwrap_or(*address)).collect()
    }

    /// A probe with the cluster's addresses in the place of the case's; an address of nobody stays as it is.
    pub(super) fn to_cluster(&self, probe: &Probe) -> Probe {
        let address = |address: &mut IpAddr| {
            *address = self.addresses.forth.get(address).copied().unwrap_or(*address);
        };
        let peer = |peer: &mut Peer| match peer {
            Peer::Address(it) => address(it),
            Peer::Pod(_) | Peer::Service(_) | Peer::Node(_) | Peer::Name(_) => {}
        };
        let mut probe = probe.clone();
        match &mut probe.request {
            Request::Connect { to, .. } | Request::Ping { to } => peer(to),
            Request::Keep { open: Some(Opening { to, .. }), .. } => peer(to),
            Request::Forge { source, to, .. } => {
                address(source);
                peer(to);
            }
            Request::Dns { .. } | Request::Keep { open: None, .. } => {}
        }
        probe
    }
}

impl Addresses {
    /// Of what somebody has in the cluster, what stands for what the case gives it: an address of each of the case's
    /// families, in the case's order. All of them where no family is the same.
    fn take(&mut self, case: &[IpAddr], there: Vec<IpAddr>) -> Vec<IpAddr> {
        let mut left = there.clone();
        let mut taken = Vec::new();
        for address in case {
            let Some(place) = left.iter().position(|other| other.is_ipv4() == address.is_ipv4()) else {
                continue;
            };
            let found = left.remove(place);
            self.back.insert(found, *address);
            self.forth.insert(*address, found);
            taken.push(found);
        }
        if taken.is_empty() {
            self.back.extend(there.iter().copied().zip(case.iter().copied()));
            return there;
        }
        taken
    }
}

fn pod_addresses(pod: &Pod) -> Vec<IpAddr> {
    let ips = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    ips.filter_map(|ip| ip.ip.parse().ok()).collect()
}

/// Addresses of one of the cluster's own pods with a pod's labels: its name is not the case's to choose.
async fn own_pod(
    server: &Server,
    name: &ObjectName,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<IpAddr>, ClusterError> {
    let selector: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods = server.list(Kind::Pod, Some(&name.namespace), &selector.join(",")).await?;
    // One that is on its way out may be there beside its successor.
    let pods = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let addresses = pods.filter_map(|pod| pod.data["status"]["podIPs"].as_array());
    let first = addresses.into_iter().find(|ips| !ips.is_empty());
    Ok(first.into_iter().flatten().filter_map(|ip| ip["ip"].as_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one_of_each(&["10.0.1.10", "3fff::10"], &["fd00::7", "10.244.0.7"], &["10.244.0.7", "fd00::7"])]
    #[case::what_the_case_has_of_both(&["3fff::10"], &["10.244.0.7", "fd00::7"], &["fd00::7"])]
    #[case::what_the_cluster_has_of_both(&["10.0.1.10", "3fff::10"], &["fd00::7"], &["fd00::7"])]
    #[case::nothing_in_common(&["10.0.1.10"], &["fd00::7"], &["fd00::7"])]
    #[case::headless(&[], &["10.244.0.7"], &["10.244.0.7"])]
    fn families(#[case] case: &[&str], #[case] there: &[&str], #[case] taken: &[&str]) {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let (case, there) = (addresses(case), addresses(there));
        let mut known = Addresses::default();
        assert_eq!(known.take(&case, there), addresses(taken));
        for (address, found) in &known.forth {
            assert_eq!(address.is_ipv4(), found.is_ipv4());
            assert_eq!(known.back[found], *address);
        }
    }
}
