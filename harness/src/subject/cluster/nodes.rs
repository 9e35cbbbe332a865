//! The cluster's nodes that take pods, and which of them stands for which node of a case.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::world::World;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};

use super::error::ClusterError;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    /// Prefixes of its pods; empty where the cluster does not say.
    pub(super) pod_cidrs: Vec<IpNet>,
    /// Whether it is ready and any pod may run there.
    pub(super) takes_pods: bool,
}

/// The address families of a cluster's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Those in which every node has a range for its pods; where the cluster does not say, those of the nodes' own
    /// addresses.
    pub(super) fn of(places: &[Place]) -> Self {
        let silent = places.iter().all(|place| place.pod_cidrs.is_empty());
        let has = |is: fn(&IpAddr) -> bool| {
            places.iter().all(|place| match silent {
                true => place.addresses.iter().any(is),
                false => place.pod_cidrs.iter().any(|prefix| is(&prefix.addr())),
            })
        };
        Self { v4: has(IpAddr::is_ipv4), v6: has(IpAddr::is_ipv6) }
    }

    /// Whether pods have addresses like this one.
    pub(super) const fn has(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }

    /// Whether pods have addresses of both.
    pub(super) const fn are_both(self) -> bool {
        self.v4 && self.v6
    }

    /// Whether pods have IPv6 addresses.
    pub(super) const fn have_ipv6(self) -> bool {
        self.v6
    }
}

/// Every node, by name.
pub(super) async fn list(client: &Client) -> Result<Vec<Place>, ClusterError> {
    let api: Api<Node> = Api::all(client.clone());
    let nodes =
        api.list(&ListParams::default()).await.map_err(|error| ClusterError::of("list nodes", error))?;
    let mut places: Vec<Place> = nodes.items.iter().map(place).collect();
    places.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(places)
}

/// The ready nodes on which any pod may run; at least one.
pub(super) fn taking_pods(places: &[Place]) -> Result<Vec<Place>, ClusterError> {
    let places: Vec<Place> = places.iter().filter(|place| place.takes_pods).cloned().collect();
    if places.is_empty() { Err(ClusterError::Nodes { there: 0, needed: 1 }) } else { Ok(places) }
}

/// The case's nodes in order on the cluster's.
pub(super) fn map(world: &World, places: &[Place]) -> Result<BTreeMap<String, String>, ClusterError> {
    let (there, needed) = (places.len(), world.nodes.len());
    if needed > there {
        return Err(ClusterError::Nodes { there, needed });
    }
    Ok(world.nodes.keys().cloned().zip(places.iter().map(|place| place.name.clone())).collect())
}

fn takes_pods(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.clone().any(|it| it.type_ == "Ready" && it.status == "True");
    let spec = node.spec.as_ref();
    let shut = spec.is_some_and(|spec| spec.unschedulable == Some(true));
    let taints = spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let tainted = taints.into_iter().any(|taint| taint.effect != "PreferNoSchedule");
    ready && !shut && !tainted
}

fn place(node: &Node) -> Place {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let prefixes = node.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
    let internal = addresses.filter(|address| address.type_ == "InternalIP");
    Place {
        name: node.metadata.name.clone().unwrap_or_default(),
        addresses: internal.filter_map(|address| address.address.parse().ok()).collect(),
        pod_cidrs: prefixes.filter_map(|prefix| prefix.parse().ok()).collect(),
        takes_pods: takes_pods(node),
    }
}
