//! What exists: nodes, namespaces, pods, services and the simulated Internet, with every address assigned.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{Labels, ObjectName, Protocol};

/// Where the DNS server of the simulated Internet answers for every name outside the cluster, over UDP and TCP.
pub const DNS_AUTHORITY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 53), 53));

/// Where it also answers in a world with IPv6, for those who have no IPv4.
pub const DNS_AUTHORITY_V6: SocketAddr =
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0x53, 0, 0, 0, 0x53), 53, 0, 0));

/// Everything that policies can speak of. Plain data: the harness or a Kubernetes watch fills it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// Nodes by name; at least one.
    pub nodes: BTreeMap<String, Node>,
    /// Labels of each namespace, `kubernetes.io/metadata.name` included.
    pub namespaces: BTreeMap<String, Labels>,
    /// Pods by name.
    pub pods: BTreeMap<Arc<ObjectName>, Pod>,
    /// Services by name.
    pub services: BTreeMap<ObjectName, Service>,
    /// Names and hosts outside the cluster.
    pub internet: Internet,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Node labels.
    pub labels: Labels,
    /// The node's own addresses, primary first; at least one.
    pub addresses: Vec<IpAddr>,
    /// Prefixes from which the node's pods get addresses.
    pub pod_cidrs: Vec<IpNet>,
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Pod labels.
    pub labels: Labels,
    /// Name of the node it runs on.
    pub node: String,
    /// Addresses, primary first; the node's for a hostNetwork pod.
    pub addresses: Vec<IpAddr>,
    /// Service account.
    pub service_account: String,
    /// The pod shares its node's network and has no endpoint.
    pub host_network: bool,
    /// What its containers serve, and the names of the ports.
    pub serves: Vec<Serve>,
}

/// One port that a pod or a host serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Serve {
    /// Container port name, which policies may use.
    pub name: Option<String>,
    /// Port number.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// What answers there.
    pub application: Application,
}

/// What answers on a served port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Application {
    /// The server's own identity: over HTTP on TCP, as one datagram on UDP.
    Identity,
    /// HTTP over TLS with a certificate for the host's names.
    Https,
    /// The cluster's DNS server: services and pods itself, every other name from the Internet.
    ClusterDns,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The service's own labels.
    pub labels: Labels,
    /// Labels that select the backends in the service's namespace; `None` when `endpoints` are given by hand.
    pub selector: Option<Labels>,
    /// Backends given by hand.
    pub endpoints: Vec<IpAddr>,
    /// Which addresses of the selected pods take traffic; `None`: all of them.
    pub ready: Option<BTreeSet<IpAddr>>,
    /// Cluster addresses; empty for a headless service.
    pub cluster_ips: Vec<IpAddr>,
    /// Ports of the service.
    pub ports: Vec<ServicePort>,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServicePort {
    /// Port name.
    pub name: Option<String>,
    /// Port on the cluster address.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on each backend.
    pub target: TargetPort,
}

/// A service's target port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the backend's container port name.
    Name(String),
}

/// The simulated Internet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Internet {
    /// DNS names, lower-case, without trailing dot.
    pub names: BTreeMap<String, Zone>,
    /// Hosts by address.
    pub hosts: BTreeMap<IpAddr, Host>,
}

/// The records of one DNS name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// IPv4 and IPv6 addresses in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// Canonical name, lower-case, without trailing dot; excludes `addresses`.
    pub cname: Option<String>,
    /// Time to live in seconds.
    pub ttl: u32,
}

/// One host of the Internet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Names that lead to it; the first is its identity, the address is when there is none.
    pub names: BTreeSet<String>,
    /// What it serves.
    pub serves: Vec<Serve>,
}

impl Service {
    /// Whether an address of this family can stand behind it.
    fn has_family_of(&self, address: IpAddr) -> bool {
        let mut clusters = self.cluster_ips.iter();
        self.cluster_ips.is_empty() || clusters.any(|own| own.is_ipv4() == address.is_ipv4())
    }

    /// Whether a pod of its namespace stands behind it.
    #[must_use]
    pub fn selects(&self, pod: &Pod) -> bool {
        let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
        self.selector.as_ref().is_some_and(|selector| selector.iter().all(has))
    }
}

impl World {
    /// The pod that has this address as its own; hostNetwork pods have none of their own.
    #[must_use]
    pub fn pod_at(&self, address: IpAddr) -> Option<(&ObjectName, &Pod)> {
        let mut pods = self.pods.iter().filter(|(_, pod)| !pod.host_network);
        pods.find(|(_, pod)| pod.addresses.contains(&address)).map(|(name, pod)| (&**name, pod))
    }

    /// Where the DNS server of the simulated Internet answers.
    pub fn authorities(&self) -> impl Iterator<Item = SocketAddr> {
        let ipv6 = self.nodes.values().any(|node| node.addresses.iter().any(IpAddr::is_ipv6));
        [DNS_AUTHORITY].into_iter().chain(ipv6.then_some(DNS_AUTHORITY_V6))
    }

    /// The node that has this address.
    #[must_use]
    pub fn node_at(&self, address: IpAddr) -> Option<(&String, &Node)> {
        self.nodes.iter().find(|(_, node)| node.addresses.contains(&address))
    }

    /// Backends of one service port as addresses and ports, ordered by pod name, of each pod all addresses of the
    /// service's families: those of its cluster addresses, or all when it is headless.
    ///
    /// A pod without the named target port is left out, as an endpoint controller leaves it out; so is an address that
    /// is not ready where that is known.
    #[must_use]
    pub fn backends(&self, name: &ObjectName, service: &Service, port: &ServicePort) -> Vec<(IpAddr, u16)> {
        if service.selector.is_none() {
            let TargetPort::Number(number) = &port.target else { return Vec::new() };
            return service.endpoints.iter().map(|address| (*address, *number)).collect();
        }
        in_namespace(&self.pods, &name.namespace)
            .filter(|(_, pod)| service.selects(pod))
            .filter_map(|(_, pod)| {
                let number = match &port.target {
                    TargetPort::Number(number) => *number,
                    TargetPort::Name(name) => {
                        pod.serves
                            .iter()
                            .find(|serve| {
                                serve.protocol == port.protocol && serve.name.as_deref() == Some(name)
                            })?
                            .port
                    }
                };
                Some((pod, number))
            })
            .flat_map(|(pod, number)| pod.addresses.iter().map(move |address| (*address, number)))
            .filter(|(address, _)| service.has_family_of(*address))
            .filter(|(address, _)| service.ready.as_ref().is_none_or(|ready| ready.contains(address)))
            .collect()
    }
}

/// The objects of one namespace.
pub(crate) fn in_namespace<'a, N: Borrow<ObjectName> + Ord, T>(
    objects: &'a BTreeMap<N, T>,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a N, &'a T)> {
    let first = ObjectName::new(namespace, "");
    objects.range(first..).take_while(move |(name, _)| (*name).borrow().namespace == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ready_pods_take_traffic_where_readiness_is_known() {
        let labels: Labels = [("app".into(), "web".into())].into();
        let pod = |last| Pod {
            labels: labels.clone(),
            addresses: Vec::from([IpAddr::from([10, 0, 0, last])]),
            ..Pod::default()
        };
        let pods = [("a", pod(1)), ("b", pod(2))];
        let world = World {
            pods: pods.into_iter().map(|(name, pod)| (ObjectName::new("x", name).into(), pod)).collect(),
            ..World::default()
        };
        let port =
            ServicePort { name: None, port: 80, protocol: Protocol::Tcp, target: TargetPort::Number(8080) };
        let ready = |last: &[u8]| Some(last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect());
        for (ready, backends) in [(None, 2), (ready(&[]), 0), (ready(&[2]), 1), (ready(&[1, 2]), 2)] {
            let service = Service { selector: Some(labels.clone()), ready, ..Service::default() };
            assert_eq!(world.backends(&ObjectName::new("x", "web"), &service, &port).len(), backends);
        }
    }

    #[test]
    fn behind_a_service_stand_addresses_of_its_own_families() {
        let labels: Labels = [("app".into(), "web".into())].into();
        let addresses: Vec<IpAddr> =
            Vec::from([[10, 0, 0, 1].into(), [0x3fff, 0x10, 0, 1, 0, 0, 0, 0x10].into()]);
        let pod = Pod { labels: labels.clone(), addresses: addresses.clone(), ..Pod::default() };
        let world = World { pods: [(ObjectName::new("x", "a").into(), pod)].into(), ..World::default() };
        let port =
            ServicePort { name: None, port: 80, protocol: Protocol::Tcp, target: TargetPort::Number(8080) };
        let v4: IpAddr = [10, 96, 0, 1].into();
        let v6: IpAddr = [0x3fff, 0x10, 0x96, 0, 0, 0, 0, 1].into();
        let cases: [(&[IpAddr], &[IpAddr]); 4] =
            [(&[], &addresses), (&[v4], &addresses[..1]), (&[v6], &addresses[1..]), (&[v4, v6], &addresses)];
        for (cluster_ips, expected) in cases {
            let service = Service {
                selector: Some(labels.clone()),
                cluster_ips: cluster_ips.to_vec(),
                ..Service::default()
            };
            let backends = world.backends(&ObjectName::new("x", "web"), &service, &port);
            let expected: Vec<_> = expected.iter().map(|address| (*address, 8080)).collect();
            assert_eq!(backends, expected, "{cluster_ips:?}");
            // The endpoint controller writes what a service leads to, each address in its family's list.
            let ready = Some(expected.iter().map(|(address, _)| *address).collect());
            let service = Service { ready, ..service };
            assert_eq!(world.backends(&ObjectName::new("x", "web"), &service, &port), expected);
            let service = Service { ready: Some(BTreeSet::new()), ..service };
            assert_eq!(world.backends(&ObjectName::new("x", "web"), &service, &port), []);
        }
    }
}
