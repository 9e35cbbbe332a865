//! A case's world with the addresses that the cluster has given, and the way back for what clients saw.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::ObjectName;
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
    /// The case's address for each of the cluster's.
    back: BTreeMap<IpAddr, IpAddr>,
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
        let mut actual = Self { world: case.clone(), back: BTreeMap::new() };
        for (name, pod) in &mut actual.world.pods {
            let addresses = if is_clusters_own(pod) {
                own_pod(server, name, &pod.labels).await?
            } else {
                pods.get(&shape.key(Kind::Pod, name)).map(pod_addresses).unwrap_or_default()
            };
            actual.back.extend(addresses.iter().copied().zip(pod.addresses.iter().copied()));
            pod.addresses = addresses;
        }
        for (name, service) in &mut actual.world.services {
            let mut key = shape.key(Kind::Service, name);
            if is_clusters_own_service(name) {
                key.namespace = Some(name.namespace.clone());
            }
            let there = server.get(&key).await?;
            let there = there.ok_or_else(|| ClusterError::Missing(format!("the cluster has no {key}")))?;
            let addresses: Vec<IpAddr> = there.data["spec"]["clusterIPs"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|address| address.as_str()?.parse().ok())
                .collect();
            actual.back.extend(addresses.iter().copied().zip(service.cluster_ips.iter().copied()));
            service.cluster_ips = addresses;
        }
        for (name, node) in &mut actual.world.nodes {
            let place =
                shape.nodes.get(name).and_then(|name| places.iter().find(|place| place.name == *name));
            let addresses = place.map(|place| place.addresses.clone()).unwrap_or_default();
            actual.back.extend(addresses.iter().copied().zip(node.addresses.iter().copied()));
            node.addresses = addresses;
        }
        Ok(actual)
    }

    /// Addresses that a client saw as the case writes them; an address of nobody stays as it is.
    pub(super) fn to_case(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        addresses.iter().map(|address| self.back.get(address).copied().unwrap_or(*address)).collect()
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
