//! Random clusters: two nodes, a handful of pods with drawn labels, services, and learned names.

use std::fmt;
use std::net::IpAddr;

use egret_core::fqdn::Names;
use egret_core::world::{Application, Node, Pod, Serve, Service, World};
use egret_core::{Labels, ObjectName, Protocol};
use proptest::prelude::*;

/// Pods: name, node, addresses.
const PODS: [(&str, &str, &[&str]); 6] = [
    ("a/s", "node-1", &["10.0.1.10"]),
    ("a/p", "node-1", &["10.0.1.11", "2001:db8:1::11"]),
    ("a/r", "node-2", &["10.0.2.12"]),
    ("b/p", "node-1", &["10.0.1.13"]),
    ("b/q", "node-2", &["2001:db8:2::14", "10.0.2.14"]),
    ("b/host", "node-1", &["10.0.0.1"]),
];

/// Names that a node may have learned.
const NAMES: [(&str, &str); 4] = [
    ("a.com", "198.51.100.2"),
    ("www.a.com", "198.51.100.1"),
    ("x.www.a.com", "203.0.113.9"),
    ("c.net", "203.0.113.5"),
];

/// What is drawn for one pod.
#[derive(Clone, Debug)]
struct Drawn {
    labels: Labels,
    /// Number of the port named `http`.
    http: Option<u16>,
}

/// A random cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// Values of the label `team` of the namespaces a and b.
    teams: [Option<&'static str>; 2],
    /// Values of the label `zone` of both nodes.
    zones: [Option<&'static str>; 2],
    pods: Vec<Drawn>,
    learned: Vec<(&'static str, &'static str)>,
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let team = || prop::option::of(prop::sample::select(vec!["red", "blue"]));
    let learned = prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len());
    let zone = || prop::option::of(prop::sample::select(vec!["1", "2"]));
    ([team(), team()], [zone(), zone()], prop::collection::vec(drawn(), PODS.len()), learned)
        .prop_map(|(teams, zones, pods, learned)| Cluster { teams, zones, pods, learned })
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let pairs = vec![
        ("app", vec!["x", "y"]),
        ("tier", vec!["", "db"]),
        ("pod-template-hash", vec!["1"]),
        ("app.kubernetes.io/name", vec!["x"]),
    ];
    let labels: Vec<_> = pairs
        .into_iter()
        .map(|(key, values)| {
            prop::option::of(prop::sample::select(values)).prop_map(move |value| Some((key, value?)))
        })
        .collect();
    let http = prop::option::of(prop::sample::select(vec![80, 8080, 9090]));
    (labels, http).prop_map(|(labels, http)| Drawn {
        labels: labels.into_iter().flatten().map(|(key, value)| (key.into(), value.into())).collect(),
        http,
    })
}

impl Cluster {
    pub(crate) fn world(&self) -> World {
        let mut world = World::default();
        let nodes = [("node-1", ["10.0.0.1", "2001:db8::1"]), ("node-2", ["10.0.0.2", "2001:db8::2"])];
        for ((name, addresses), zone) in nodes.into_iter().zip(self.zones) {
            let addresses = addresses.map(ip).to_vec();
            let labels = zone.map(|zone| ("zone".to_owned(), zone.to_owned())).into_iter().collect();
            world.nodes.insert(name.to_owned(), Node { addresses, labels, ..Node::default() });
        }
        for (name, team) in ["a", "b"].into_iter().zip(self.teams) {
            let mut labels = Labels::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]);
            labels.extend(team.map(|team| ("team".to_owned(), team.to_owned())));
            world.namespaces.insert(name.to_owned(), labels);
        }
        for ((name, node, addresses), drawn) in PODS.into_iter().zip(&self.pods) {
            let serve = |name: Option<&str>, port, protocol| Serve {
                name: name.map(str::to_owned),
                port,
                protocol,
                application: Application::Identity,
            };
            let named = drawn.http.map(|port| serve(Some("http"), port, Protocol::Tcp));
            let pod = Pod {
                labels: drawn.labels.clone(),
                node: node.to_owned(),
                addresses: addresses.iter().map(|address| ip(address)).collect(),
                host_network: name == "b/host",
                serves: named.into_iter().chain([serve(None, 80, Protocol::Tcp)]).collect(),
                ..Pod::default()
            };
            world.pods.insert(ObjectName::parse(name).into(), pod);
        }
        let labels = |kind: &str| Labels::from([("kind".to_owned(), kind.to_owned())]);
        let selecting = Service {
            labels: labels("web"),
            selector: Some([("app".to_owned(), "x".to_owned())].into()),
            ..Service::default()
        };
        let by_hand = Service {
            labels: labels("manual"),
            endpoints: ["203.0.113.5", "10.0.1.11"].map(ip).to_vec(),
            ..Service::default()
        };
        let empty = Service { labels: labels("empty"), ..Service::default() };
        let services =
            [("a/web", &selecting), ("b/web", &selecting), ("b/manual", &by_hand), ("a/empty", &empty)];
        world.services =
            services.into_iter().map(|(name, service)| (ObjectName::parse(name), service.clone())).collect();
        world
    }

    /// As a node holds it.
    pub(crate) fn names(&self) -> Names {
        let mut names = Names::default();
        for (name, address) in self.learned() {
            names.learn(name, &[address], 60, 0);
        }
        names
    }

    pub(crate) fn learned(&self) -> Vec<(&'static str, IpAddr)> {
        self.learned.iter().map(|(name, address)| (*name, ip(address))).collect()
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "namespaces a and b with teams {:?}", self.teams)?;
        writeln!(f, "node-1 and node-2 in zones {:?}", self.zones)?;
        for ((name, node, addresses), drawn) in PODS.iter().zip(&self.pods) {
            writeln!(
                f,
                "pod {name} on {node} at {addresses:?}: {:?}, http on {:?}",
                drawn.labels, drawn.http
            )?;
        }
        writeln!(f, "learned {:?}", self.learned)
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
