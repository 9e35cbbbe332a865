//! What a cluster can do, and what a case asks that it cannot: found by looking, not by asking for versions.

use std::collections::BTreeSet;
use std::net::IpAddr;

use egret_agent::netlink::family;
use egret_core::probe::{Opening, Peer, Probe, Request, Source};
use egret_core::spec::PolicyKind;
use egret_core::world::World;
use ipnet::IpNet;
use kube::Client;
use serde_json::Value;

use super::error::ClusterError;
use super::nodes::{Families, Place};
use crate::case::{Capability, Case, Step};
use crate::kubernetes;

/// What the cluster's plugin does of Cilium's language when the cluster knows Cilium's kinds.
const CILIUM: [Capability; 4] = [Capability::Cilium, Capability::Fqdn, Capability::L7Dns, Capability::L7Http];

/// The same for Egret's own agent.
const EGRET: [Capability; 3] = [Capability::Cilium, Capability::Fqdn, Capability::L7Dns];

/// What the cluster can do.
pub(super) async fn of(
    client: &Client,
    places: &[Place],
    is_egret: bool,
) -> Result<BTreeSet<Capability>, ClusterError> {
    let groups =
        client.list_api_groups().await.map_err(|error| ClusterError::of("ask for the kinds", error))?;
    let serves = |kind: PolicyKind| {
        let mut versions = groups.groups.iter().flat_map(|group| &group.versions);
        versions.any(|version| kind.api_versions().contains(&version.group_version.as_str()))
    };
    let mut able = BTreeSet::from([Capability::Icmp, Capability::Keep, Capability::Services]);
    if serves(PolicyKind::CiliumNetworkPolicy) {
        able.extend(if is_egret { &EGRET[..] } else { &CILIUM });
    }
    if serves(PolicyKind::ClusterNetworkPolicy) {
        able.insert(Capability::Tiers);
    }
    if places.len() > 1 {
        able.insert(Capability::Nodes);
    }
    if Families::of(places).have_ipv6() {
        able.insert(Capability::Ipv6);
    }
    Ok(able)
}

/// What a case asks beside the words that it requires: hosts outside, addresses, nodes, policies for everybody.
/// `dns` has the addresses of the cluster's DNS server.
pub(super) fn needs(case: &Case, places: &[Place], dns: &[IpAddr], prefixed: bool) -> BTreeSet<Capability> {
    let mut needs = BTreeSet::new();
    for step in &case.steps {
        of_world(&step.desired.world, places.len(), &mut needs);
        of_probes(step, Families::of(places), dns, &mut needs);
        of_policies(step, places, prefixed, &mut needs);
    }
    of_world(&case.world, places.len(), &mut needs);
    needs
}

fn of_world(world: &World, places: usize, needs: &mut BTreeSet<Capability>) {
    if !world.internet.hosts.is_empty() || !world.internet.names.is_empty() {
        needs.insert(Capability::Internet);
    }
    // The cluster's nodes have labels of their own, which are not the case's to change.
    let labelled =
        world.nodes.values().any(|node| node.labels.keys().any(|key| key != "kubernetes.io/hostname"));
    if world.nodes.len() > places || labelled {
        needs.insert(Capability::Nodes);
    }
    if world.services.values().any(|service| service.selector.is_none()) {
        needs.insert(Capability::Addresses);
    }
}

fn of_probes(step: &Step, families: Families, dns: &[IpAddr], needs: &mut BTreeSet<Capability>) {
    let world = &step.desired.world;
    for expectation in &step.expectations {
        if !resolves(&expectation.probe, world, families, dns) {
            needs.insert(Capability::Addresses);
        }
        if matches!(expectation.probe.from, Source::Address(_)) {
            needs.insert(Capability::Internet);
        }
        let to = match &expectation.probe.request {
            Request::Connect { to, .. } | Request::Ping { to } | Request::Forge { to, .. } => to,
            Request::Keep { open: Some(Opening { to, .. }), .. } => to,
            Request::Dns { .. } | Request::Keep { open: None, .. } => continue,
        };
        // An address that somebody has stands for one that the cluster gives; of an address of nobody, nobody knows.
        let is_somebodys = |address: &IpAddr| {
            world.internet.hosts.contains_key(address) || families.has(*address) && is_given(world, *address)
        };
        // A rule for ICMP is of one family.
        let is_strange = matches!(expectation.probe.request, Request::Ping { .. })
            && addresses(to, world).first().is_some_and(|address| !families.has(*address));
        if is_strange || matches!(to, Peer::Address(address) if !is_somebodys(address)) {
            needs.insert(Capability::Addresses);
        }
    }
}

/// The addresses of a peer that has some of its own.
fn addresses<'a>(peer: &Peer, world: &'a World) -> &'a [IpAddr] {
    let found = match peer {
        Peer::Pod(name) => world.pods.get(name).map(|pod| &pod.addresses),
        Peer::Node(name) => world.nodes.get(name).map(|node| &node.addresses),
        Peer::Service(_) | Peer::Address(_) | Peer::Name(_) => None,
    };
    found.map(Vec::as_slice).unwrap_or_default()
}

/// Whether a pod, a service or a node has this address.
fn is_given(world: &World, address: IpAddr) -> bool {
    world.pod_at(address).is_some()
        || world.node_at(address).is_some()
        || world.services.values().any(|service| service.cluster_ips.contains(&address))
}

/// Whether a client that asks for a name has an address of the family in which the cluster's DNS server is asked.
fn resolves(probe: &Probe, world: &World, families: Families, dns: &[IpAddr]) -> bool {
    let asks = match &probe.request {
        Request::Dns { .. } => true,
        Request::Connect { to, .. } | Request::Ping { to } => matches!(to, Peer::Name(_)),
        Request::Keep { .. } | Request::Forge { .. } => false,
    };
    let Source::Pod(client) = &probe.from else { return true };
    let own = world.pods.get(client).map(|pod| pod.addresses.as_slice()).unwrap_or_default();
    // Where the cluster has none of the case's families, its pods' own stand for them.
    let mut own = own.iter().filter(|own| families.has(**own)).peekable();
    !asks || dns.is_empty() || own.peek().is_none() || own.any(|own| family::like(*own, dns).is_some())
}

fn of_policies(step: &Step, places: &[Place], prefixed: bool, needs: &mut BTreeSet<Capability>) {
    for (id, manifest) in step.policies.objects() {
        if id.namespace.is_none() && prefixed {
            needs.insert(Capability::ClusterWide);
        }
        let document: Value = kubernetes::read(manifest).unwrap_or_default();
        let mut prefixes = Vec::new();
        ["spec", "specs"].iter().for_each(|part| named(&document[part], &mut prefixes));
        let world = &step.desired.world;
        if !prefixes.iter().all(|prefix| means_the_same(*prefix, world, places)) {
            needs.insert(Capability::Addresses);
        }
    }
}

/// The prefixes that a policy names.
fn named(value: &Value, prefixes: &mut Vec<IpNet>) {
    match value {
        Value::String(text) => prefixes.extend(text.parse::<IpNet>()),
        Value::Array(items) => items.iter().for_each(|item| named(item, prefixes)),
        Value::Object(object) => object.values().for_each(|item| named(item, prefixes)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a prefix holds the same pods and nodes with the case's addresses and with the cluster's. Hosts outside have
/// the same addresses in both.
fn means_the_same(prefix: IpNet, world: &World, places: &[Place]) -> bool {
    let pods = world.pods.values().filter(|pod| !pod.host_network);
    let pods: Vec<IpNet> = pods.flat_map(|pod| &pod.addresses).copied().map(IpNet::from).collect();
    let nodes: Vec<IpNet> =
        world.nodes.values().flat_map(|node| &node.addresses).copied().map(IpNet::from).collect();
    let ranges: Vec<IpNet> = places.iter().flat_map(|place| &place.pod_cidrs).copied().collect();
    let places: Vec<IpNet> =
        places.iter().flat_map(|place| &place.addresses).copied().map(IpNet::from).collect();
    [(pods, ranges), (nodes, places)].iter().all(|(case, cluster)| {
        let here = side(prefix, case);
        let has = |of: &[IpNet]| of.iter().any(|net| net.addr().is_ipv4() == prefix.addr().is_ipv4());
        // Everything of a family, where whoever has it here has it there too.
        let is_all = prefix.prefix_len() == 0 && (!has(case) || cluster.is_empty() || has(cluster));
        is_all || case.is_empty() || (here != Side::Some && here == side(prefix, cluster))
    })
}

/// How much of something a prefix holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    All,
    Some,
    None,
}

/// How much of these a prefix holds; of nothing at all, nobody knows.
fn side(prefix: IpNet, of: &[IpNet]) -> Side {
    let is_v4 = |net: &IpNet| matches!(net, IpNet::V4(_));
    let mut same = of.iter().filter(|net| is_v4(net) == is_v4(&prefix)).peekable();
    if of.is_empty() {
        return Side::Some;
    }
    if same.peek().is_none() {
        return Side::None;
    }
    let held = same.clone().filter(|net| prefix.contains(*net)).count();
    let touched = same.clone().filter(|net| prefix.contains(*net) || net.contains(&prefix)).count();
    match (held, touched) {
        (_, 0) => Side::None,
        (held, _) if held == same.count() => Side::All,
        (_, _) => Side::Some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egret_core::ObjectName;
    use egret_core::world::{Node, Pod};
    use rstest::rstest;

    #[rstest]
    #[case::everything("0.0.0.0/0", true)]
    #[case::everything_of_ipv6("::/0", true)]
    #[case::a_host_outside("203.0.113.7/32", true)]
    #[case::every_pod_and_no_node("10.0.0.0/8", true)]
    #[case::one_pod("10.0.1.10/32", false)]
    #[case::pods_of_the_case_alone("10.0.0.0/16", false)]
    #[case::pods_of_the_cluster_alone("10.244.0.0/16", false)]
    #[case::part_of_the_clusters_pods("10.244.1.0/24", false)]
    #[case::the_clusters_nodes("172.18.0.0/16", false)]
    #[case::the_cases_nodes("192.168.0.0/16", false)]
    fn prefixes(#[case] prefix: &str, #[case] same: bool) {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let pod = |address: &str| Pod { addresses: addresses(&[address]), ..Pod::default() };
        let world = World {
            nodes: [("n".to_owned(), Node { addresses: addresses(&["192.168.0.1"]), ..Node::default() })]
                .into(),
            pods: [("a", "10.0.1.10"), ("b", "10.0.1.11")]
                .map(|(name, address)| (ObjectName::new("x", name).into(), pod(address)))
                .into(),
            ..World::default()
        };
        let place = |name: &str, address: &str, pods: &str| Place {
            name: name.into(),
            addresses: addresses(&[address]),
            pod_cidrs: vec![pods.parse().unwrap()],
            takes_pods: true,
        };
        let places =
            [place("one", "172.18.0.2", "10.244.0.0/24"), place("two", "172.18.0.3", "10.244.1.0/24")];
        assert_eq!(means_the_same(prefix.parse().unwrap(), &world, &places), same);
        // A cluster that does not say which addresses its pods get could give them any.
        let silent = places.map(|place| Place { pod_cidrs: Vec::new(), ..place });
        assert_eq!(means_the_same(prefix.parse().unwrap(), &world, &silent), prefix.ends_with("/0"));
    }
}
