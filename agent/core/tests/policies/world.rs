//! The small cluster that the tests ask about, policies from YAML, and probes from text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::probe::{Http, Observation, Peer, Port, Probe, Record, Request, Source};
use egret_core::rule::{Dialect, Policy};
use egret_core::spec::{Document, InvalidSpec, PolicyKind, understand};
use egret_core::world::{
    Application, Host, Internet, Node, Pod, Serve, Service, ServicePort, TargetPort, World, Zone,
};
use egret_core::{Desired, Labels, ObjectName, Protocol};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn serve(name: Option<&str>, port: u16, protocol: Protocol, application: Application) -> Serve {
    Serve { name: name.map(str::to_owned), port, protocol, application }
}

fn pod(node: &str, address: &str, pairs: &[(&str, &str)], http: u16) -> Pod {
    let identity = Application::Identity;
    Pod {
        labels: labels(pairs),
        node: node.to_owned(),
        addresses: vec![ip(address)],
        service_account: "default".to_owned(),
        host_network: false,
        serves: vec![
            serve(Some("http"), http, Protocol::Tcp, identity),
            serve(None, 80, Protocol::Tcp, identity),
            serve(None, 81, Protocol::Tcp, identity),
            serve(None, 85, Protocol::Tcp, identity),
            serve(None, 80, Protocol::Udp, identity),
            serve(None, 85, Protocol::Udp, identity),
            serve(None, 80, Protocol::Sctp, identity),
        ],
    }
}

/// Subject `a/s` on node-1; peers `a/p1` and `a/p3` of its namespace, `b/p2` of another on node-2; the
/// cluster's DNS server; hosts of the Internet.
pub(crate) fn world() -> World {
    let mut world = World::default();
    for (name, address) in [("node-1", "10.0.0.1"), ("node-2", "10.0.0.2")] {
        let node =
            Node { labels: labels(&[("zone", name)]), addresses: vec![ip(address)], pod_cidrs: Vec::new() };
        world.nodes.insert(name.to_owned(), node);
    }
    for (name, team) in [("a", "red"), ("b", "blue"), ("kube-system", "system"), ("default", "none")] {
        let pairs = [("kubernetes.io/metadata.name", name), ("team", team)];
        world.namespaces.insert(name.to_owned(), labels(&pairs));
    }
    let mut host = pod("node-1", "10.0.0.1", &[("app", "x")], 8000);
    host.host_network = true;
    let mut dns = pod("node-1", "10.0.1.53", &[("k8s-app", "kube-dns")], 9153);
    dns.serves.push(serve(Some("dns"), 53, Protocol::Udp, Application::ClusterDns));
    dns.serves.push(serve(Some("dns-tcp"), 53, Protocol::Tcp, Application::ClusterDns));
    let pods = [
        ("a/s", pod("node-1", "10.0.1.10", &[("app", "s"), ("pod-template-hash", "1")], 8080)),
        ("a/p1", pod("node-1", "10.0.1.11", &[("app", "x")], 8080)),
        ("a/p3", pod("node-1", "10.0.1.13", &[("app", "y")], 9090)),
        ("b/p2", pod("node-2", "10.0.2.12", &[("app", "x")], 8080)),
        ("b/host", host),
        ("kube-system/kube-dns-0", dns),
    ];
    world.pods = pods.into_iter().map(|(name, pod)| (ObjectName::parse(name).into(), pod)).collect();

    let service = |selector: &[(&str, &str)], address: &str, port: u16, protocol, target| Service {
        labels: labels(selector),
        selector: Some(labels(selector)),
        endpoints: Vec::new(),
        ready: None,
        cluster_ips: vec![ip(address)],
        ports: vec![ServicePort { name: None, port, protocol, target }],
    };
    let http = || TargetPort::Name("http".to_owned());
    let kube_dns =
        service(&[("k8s-app", "kube-dns")], "10.96.0.10", 53, Protocol::Udp, TargetPort::Number(53));
    let services = [
        ("kube-system/kube-dns", kube_dns),
        ("a/web", service(&[("app", "x")], "10.96.0.20", 8000, Protocol::Tcp, http())),
        ("a/self", service(&[("app", "s")], "10.96.0.21", 80, Protocol::Tcp, http())),
        ("a/empty", service(&[("app", "nobody")], "10.96.0.22", 80, Protocol::Tcp, http())),
    ];
    world.services = services.into_iter().map(|(name, service)| (ObjectName::parse(name), service)).collect();
    world.internet = internet();
    world
}

fn internet() -> Internet {
    let zone = |addresses: &[&str]| Zone {
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        cname: None,
        ttl: 60,
    };
    let alias = |name: &str| Zone { cname: Some(name.to_owned()), ttl: 30, addresses: Vec::new() };
    let names = [
        ("api.github.com", zone(&["140.82.121.6"])),
        ("api.twitter.com", zone(&["104.244.42.66"])),
        ("www.a.com", zone(&["198.51.100.1"])),
        ("a.com", zone(&["198.51.100.2"])),
        ("y.x.a.com", zone(&["198.51.100.3"])),
        ("c.net", zone(&["198.51.100.4"])),
        ("alias.com", alias("c.net")),
        ("shared.com", zone(&["140.82.121.6"])),
    ];
    let mut hosts: BTreeMap<IpAddr, Host> = BTreeMap::new();
    for (name, zone) in &names {
        for address in &zone.addresses {
            hosts.entry(*address).or_default().names.insert((*name).to_owned());
        }
    }
    for address in ["203.0.113.5", "203.0.113.6", "2001:db8::5"] {
        hosts.entry(ip(address)).or_default();
    }
    for host in hosts.values_mut() {
        host.serves = [80, 81]
            .map(|port| serve(None, port, Protocol::Tcp, Application::Identity))
            .into_iter()
            .collect();
        host.serves.push(serve(None, 443, Protocol::Tcp, Application::Https));
    }
    let names = names.into_iter().map(|(name, zone)| (name.to_owned(), zone)).collect();
    Internet { names, hosts }
}

/// Reads policies from YAML documents.
pub(crate) fn policies(yaml: &str) -> Result<Vec<Policy>, Vec<InvalidSpec>> {
    let mut policies = Vec::new();
    for document in serde_yaml::Deserializer::from_str(yaml) {
        let value = <serde_yaml::Value as serde::Deserialize>::deserialize(document).unwrap();
        if value.is_null() {
            continue;
        }
        let text = |key: &str| value.get(key).and_then(|value| value.as_str()).unwrap().to_owned();
        let kind = PolicyKind::of(&text("apiVersion"), &text("kind")).unwrap();
        policies.push(understand(&Document::deserialize_kind(kind, value).unwrap())?);
    }
    Ok(policies)
}

/// The test cluster with policies in force.
pub(crate) fn desired(yaml: &str, dialect: Dialect) -> Desired {
    let policies = policies(yaml).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Desired {
        world: world(),
        policies: policies.into_iter().map(|policy| (policy.id.clone(), policy.into())).collect(),
        dialect,
    }
}

/// Wraps one spec for subject `a/s` in a CiliumNetworkPolicy `a/cnp`.
pub(crate) fn cnp(spec: &str) -> String {
    named_cnp("cnp", spec)
}

pub(crate) fn named_cnp(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{ name: {name}, namespace: a }}\n\
         spec: {{ endpointSelector: {{ matchLabels: {{ app: s }} }}, {spec} }}\n"
    )
}

/// Wraps one spec in a CiliumClusterwideNetworkPolicy for every pod with `app: s`.
pub(crate) fn ccnp(spec: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata: {{ name: ccnp }}\n\
         spec: {{ endpointSelector: {{ matchLabels: {{ app: s }} }}, {spec} }}\n"
    )
}

/// Wraps one spec for every node in a CiliumClusterwideNetworkPolicy `host`.
pub(crate) fn host(spec: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata: {{ name: host }}\nspec: {{ nodeSelector: {{}}, {spec} }}\n"
    )
}

/// Wraps one spec for subject `a/s` in a ClusterNetworkPolicy.
pub(crate) fn tiered(tier: &str, priority: u16, spec: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n\
         metadata: {{ name: {}-{priority} }}\nspec: {{ tier: {tier}, priority: {priority}, \
         subject: {{ pods: {{ podSelector: {{ matchLabels: {{ app: s }} }} }} }}, {spec} }}\n",
        tier.to_lowercase()
    )
}

/// A CiliumCIDRGroup.
pub(crate) fn group(version: &str, name: &str, zone: &str, prefixes: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/{version}\nkind: CiliumCIDRGroup\n\
         metadata: {{ name: {name}, labels: {{ zone: {zone} }} }}\nspec: {{ externalCIDRs: [{prefixes}] }}\n"
    )
}

/// Wraps one spec for subject `a/s` in a NetworkPolicy `a/knp`.
pub(crate) fn knp(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{ name: knp, namespace: a }}\n\
         spec: {{ podSelector: {{ matchLabels: {{ app: s }} }}, {spec} }}\n"
    )
}

/// Reads `a/p1 -> a/s:80/UDP`, `node node-1 -> a/s icmp`, `a/s -> http://name`, `a/s -> https://name`,
/// `a/s -> dns name`, `a/s -> service a/web:80`, `a/p1 -> POST a/s:80 /path X-Name=value`, `a/s -> TLS 192.0.2.1:443`.
pub(crate) fn probe(text: &str) -> Probe {
    let (from, to) = text.split_once(" -> ").unwrap();
    let from = match from.strip_prefix("node ") {
        Some(node) => Source::Node(node.to_owned()),
        None => from.parse().map_or_else(|_| Source::Pod(ObjectName::parse(from)), Source::Address),
    };
    let connect = |to, port, protocol| Request::Connect { to, port, protocol, http: Http::default() };
    let words: Vec<&str> = to.split(' ').collect();
    let tls = Http { tls: true, ..Http::default() };
    let request = if let Some(name) = to.strip_prefix("https://") {
        let to = Peer::Name(name.to_owned());
        Request::Connect { to, port: Port::Number(443), protocol: Protocol::Tcp, http: tls }
    } else if let [method @ ("GET" | "POST" | "TLS"), to, rest @ ..] = words.as_slice() {
        let (to, port) = to.rsplit_once(':').unwrap();
        let http = if *method == "TLS" {
            tls
        } else {
            let headers = rest.iter().skip(1).map(|header| header.split_once('=').unwrap());
            Http {
                method: (*method).to_owned(),
                path: rest[0].to_owned(),
                headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                ..Http::default()
            }
        };
        let port = Port::Number(port.parse().unwrap());
        Request::Connect { to: peer(to), port, protocol: Protocol::Tcp, http }
    } else if let Some(name) = to.strip_prefix("http://") {
        connect(Peer::Name(name.to_owned()), Port::Number(80), Protocol::Tcp)
    } else if let Some(name) = to.strip_prefix("dns ") {
        Request::Dns { name: name.to_owned(), record: Record::A }
    } else if let Some(to) = to.strip_suffix(" icmp") {
        Request::Ping { to: peer(to) }
    } else {
        let (to, protocol) = match to.rsplit_once('/') {
            Some((to, word)) if Protocol::parse(word).is_some() => (to, Protocol::parse(word).unwrap()),
            _ => (to, Protocol::Tcp),
        };
        let (to, port) = to.rsplit_once(':').unwrap();
        let port = port.parse().map_or_else(|_| Port::Name(port.to_owned()), Port::Number);
        connect(peer(to), port, protocol)
    };
    Probe { from, request }
}

fn peer(text: &str) -> Peer {
    if let Some(name) = text.strip_prefix("service ") {
        return Peer::Service(ObjectName::parse(name));
    }
    if let Some(name) = text.strip_prefix("node ") {
        return Peer::Node(name.to_owned());
    }
    text.parse().map_or_else(|_| Peer::Pod(ObjectName::parse(text)), Peer::Address)
}

/// An observation in one line: the client's outcome, then what dropped and by whom.
pub(crate) fn text(seen: &Observation) -> String {
    let mut text = seen.client.to_string();
    for (direction, judged) in [("egress", &seen.egress), ("ingress", &seen.ingress)] {
        if let Some(judged) = judged
            && let Some(reason) = judged.reason
        {
            text += &format!(" {direction} {}", reason as u8);
        }
    }
    text
}
