//! Parts to the world: addresses assigned, references checked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::world::{Node, Pod, Service, ServicePort, TargetPort, World};
use egret_core::{Labels, ObjectName};

use super::address::{Addresses, check_family, parse_address};
use super::parts::{Given, Parts};
use super::problems::Problems;
use super::{internet, serve};
use crate::case::schema::{InternetFile, NodeFile, PodFile, PortText, ProtocolWord, ServiceFile};
use crate::diagnostic::Diagnostic;
use crate::source::Location;
use crate::yaml::Located;

/// The label that the API server gives to every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// The node of a world that names none.
pub(crate) const DEFAULT_NODE: &str = "node-1";
/// Namespaces that every cluster has.
pub(crate) const NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// The world as it stands, and the addresses given away so far.
#[derive(Clone, Debug)]
pub(super) struct Worldly {
    pub(super) world: World,
    addresses: Addresses,
    /// Nodes and pods have IPv6 addresses too, and other things may.
    ipv6: bool,
}

// === impl Worldly ===

impl Worldly {
    /// The world before the first step; `ipv6`: it has IPv6 whether or not a part does.
    pub(super) fn new(parts: &Parts, ipv6: bool, problems: &mut Problems) -> Self {
        let namespaces = NAMESPACES.iter().map(|name| ((*name).to_owned(), namespace_labels(name)));
        let world = World { namespaces: namespaces.collect(), ..World::default() };
        let ipv6 = ipv6 || parts.has_ipv6();
        let mut this = Self { world, addresses: Addresses::default(), ipv6 };
        this.nodes(&parts.nodes, problems);
        if this.world.nodes.is_empty()
            && let Some(node) = this.node(Labels::new(), None)
        {
            this.world.nodes.insert(DEFAULT_NODE.to_owned(), node);
        }
        this.add_without_nodes(parts, problems);
        this
    }

    /// Adds parts to what is there.
    pub(super) fn add(&mut self, parts: &Parts, problems: &mut Problems) {
        self.nodes(&parts.nodes, problems);
        self.add_without_nodes(parts, problems);
    }

    fn add_without_nodes(&mut self, parts: &Parts, problems: &mut Problems) {
        for (name, part) in &parts.namespaces {
            if self.world.namespaces.contains_key(name) && !NAMESPACES.contains(&name.as_str()) {
                problems.add(already(name, &part.location()));
                continue;
            }
            let labels = self.world.namespaces.entry(name.clone()).or_insert_with(|| namespace_labels(name));
            labels.extend(part.file.labels.clone());
        }
        // What is written goes before what is assigned, so that the two never meet.
        let fixed: BTreeMap<_, _> =
            parts.pods.iter().map(|(name, pod)| (name, self.fixed_addresses(pod, problems))).collect();
        for part in parts.services.values() {
            if let Some(address) = &part.file.cluster_ip {
                self.fixed_address(part, address, problems);
            }
        }
        for (name, part) in &parts.pods {
            let fixed = fixed.get(name).cloned().unwrap_or_default();
            if self.world.pods.contains_key(name) {
                problems.add(already(name, &part.location()));
            } else if let Some(pod) = self.pod(name, part, fixed, problems) {
                self.world.pods.insert(name.clone().into(), pod);
            }
        }
        for (name, part) in &parts.services {
            if self.world.services.contains_key(name) {
                problems.add(already(name, &part.location()));
            } else if let Some(service) = self.service(name, part, problems) {
                self.world.services.insert(name.clone(), service);
            }
        }
        internet::add(&mut self.world.internet, &parts.internet, self.ipv6, problems);
    }

    /// Other records for names that are there; their former hosts stay.
    pub(super) fn replace_records(
        &mut self,
        parts: &BTreeMap<String, Given<InternetFile>>,
        problems: &mut Problems,
    ) {
        internet::replace(&mut self.world.internet, parts, self.ipv6, problems);
    }

    fn nodes(&mut self, nodes: &BTreeMap<String, Given<NodeFile>>, problems: &mut Problems) {
        let mut fixed = BTreeMap::new();
        for (name, part) in nodes {
            if let Some(ip) = &part.file.ip {
                fixed.insert(name, self.fixed_address(part, ip, problems));
            }
        }
        for (name, part) in nodes {
            if self.world.nodes.contains_key(name) {
                problems.add(already(name, &part.location()));
                continue;
            }
            let node = self.node(part.file.labels.clone(), fixed.get(name).copied().flatten());
            let node = problems.expect(node, || Diagnostic::error("too many nodes").at(part.location()));
            self.world.nodes.extend(node.map(|node| (name.clone(), node)));
        }
    }

    /// The next node; what is given of its address takes the place of the assigned one of that family.
    fn node(&mut self, labels: Labels, given: Option<IpAddr>) -> Option<Node> {
        let v4 = self.addresses.node()?;
        let v6 = if self.ipv6 { Some(self.addresses.node_v6()?) } else { None };
        let (addresses, pod_cidrs): (Vec<IpAddr>, _) = [v4].into_iter().chain(v6).unzip();
        let given_or =
            |address: IpAddr| given.filter(|given| given.is_ipv4() == address.is_ipv4()).unwrap_or(address);
        Some(Node { labels, addresses: addresses.into_iter().map(given_or).collect(), pod_cidrs })
    }

    fn pod(
        &mut self,
        name: &ObjectName,
        part: &Given<PodFile>,
        fixed: Vec<IpAddr>,
        problems: &mut Problems,
    ) -> Option<Pod> {
        self.check_namespace(&name.namespace, &part.location(), problems);
        let file = &part.file;
        let first = self.world.nodes.keys().next()?.clone();
        let node = file.node.as_ref().map_or_else(|| first.clone(), |node| node.value.clone());
        // The pod stands on the first node then, so that what speaks of the pod is not blamed as well.
        let node = if self.world.nodes.contains_key(&node) {
            node
        } else {
            let names: Vec<_> = self.world.nodes.keys().collect();
            let at = file.node.as_ref().map_or_else(|| part.location(), |node| part.place(node));
            problems
                .add(Diagnostic::error(format!("there is no node `{node}`")).at(at).nearest(&node, &names));
            first
        };
        let place = self.world.nodes.get(&node)?;
        let addresses = if file.host_network {
            place.addresses.clone()
        } else if fixed.is_empty() {
            let addresses: Option<Vec<_>> =
                place.pod_cidrs.iter().map(|prefix| self.addresses.pod(prefix)).collect();
            problems.expect(addresses, || {
                Diagnostic::error(format!("the node `{node}` has no pod address left")).at(part.location())
            })?
        } else {
            fixed
        };
        Some(Pod {
            labels: file.labels.clone(),
            node,
            addresses,
            service_account: file.service_account.clone().unwrap_or_else(|| "default".to_owned()),
            host_network: file.host_network,
            serves: serve::lower(part, file.serves.as_ref(), problems),
        })
    }

    fn service(
        &mut self,
        name: &ObjectName,
        part: &Given<ServiceFile>,
        problems: &mut Problems,
    ) -> Option<Service> {
        self.check_namespace(&name.namespace, &part.location(), problems);
        let file = &part.file;
        if file.ports.is_empty() {
            problems.add(Diagnostic::error(format!("the service `{name}` has no port")).at(part.location()));
        }
        if file.selector.is_some() && !file.endpoints.is_empty() {
            problems.add(
                Diagnostic::error(format!("the service `{name}` has a selector and endpoints"))
                    .at(part.location())
                    .help("a selector finds the backends, or `endpoints` lists them"),
            );
        }
        let endpoints: Vec<_> =
            file.endpoints.iter().filter_map(|address| self.parse_address(part, address, problems)).collect();
        let cluster_ips = match (&file.cluster_ip, file.headless) {
            (Some(address), true) => {
                problems.add(
                    Diagnostic::error(format!("the service `{name}` is headless and has a cluster address"))
                        .at(part.place(address)),
                );
                Vec::new()
            }
            (None, true) => Vec::new(),
            // Taken before, with everything else that is written.
            (Some(address), false) => address.value.parse().into_iter().collect(),
            (None, false) => self.addresses.service().into_iter().collect(),
        };
        let ports = file
            .ports
            .iter()
            .map(|port| service_port(port.name.clone(), port.port, port.target_port.as_ref(), port.protocol));
        let (labels, selector) = (file.labels.clone(), file.selector.clone());
        Some(Service { labels, selector, endpoints, ready: None, cluster_ips, ports: ports.collect() })
    }

    fn fixed_addresses(&mut self, part: &Given<PodFile>, problems: &mut Problems) -> Vec<IpAddr> {
        let written = part.file.ip.iter().chain(&part.file.ips);
        let addresses: Vec<_> = written.collect();
        if part.file.host_network
            && let Some(first) = addresses.first()
        {
            problems.add(Diagnostic::error("a hostNetwork pod has its node's address").at(part.place(first)));
        }
        addresses.into_iter().filter_map(|address| self.fixed_address(part, address, problems)).collect()
    }

    fn fixed_address<T>(
        &mut self,
        part: &Given<T>,
        address: &Located<String>,
        problems: &mut Problems,
    ) -> Option<IpAddr> {
        let parsed = self.parse_address(part, address, problems)?;
        let is_free = self.addresses.take(parsed);
        problems.expect(is_free.then_some(parsed), || {
            Diagnostic::error(format!("the address `{parsed}` is used twice")).at(part.place(address))
        })
    }

    fn parse_address<T>(
        &self,
        part: &Given<T>,
        address: &Located<String>,
        problems: &mut Problems,
    ) -> Option<IpAddr> {
        let parsed = parse_address(part, address, problems)?;
        check_family(parsed, self.ipv6, part.place(address), problems).then_some(parsed)
    }

    fn check_namespace(&self, namespace: &str, at: &Location, problems: &mut Problems) {
        check_namespace(&self.world, namespace, at, problems);
    }
}

/// One port of a service; a target that reads as a number is one, and the port itself where none is given.
pub(crate) fn service_port(
    name: Option<String>,
    port: u16,
    target: Option<&PortText>,
    protocol: ProtocolWord,
) -> ServicePort {
    let target = match target {
        None => TargetPort::Number(port),
        Some(PortText::Number(number)) => TargetPort::Number(*number),
        Some(PortText::Text(text)) => {
            text.parse().map_or_else(|_| TargetPort::Name(text.clone()), TargetPort::Number)
        }
    };
    ServicePort { name, port, protocol: serve::protocol(protocol), target }
}

/// A namespace must exist before anything can be in it.
pub(super) fn check_namespace(
    world: &World,
    namespace: &str,
    at: &Location,
    problems: &mut Problems,
) -> bool {
    let exists = world.namespaces.contains_key(namespace);
    if !exists {
        let names: Vec<_> = world.namespaces.keys().collect();
        problems.add(
            Diagnostic::error(format!("there is no namespace `{namespace}`"))
                .at(at.clone())
                .nearest(namespace, &names),
        );
    }
    exists
}

/// The labels of a namespace that says nothing of them.
pub(crate) fn namespace_labels(name: &str) -> Labels {
    Labels::from([(NAMESPACE_NAME.to_owned(), name.to_owned())])
}

fn already(name: &impl std::fmt::Display, at: &Location) -> Diagnostic {
    Diagnostic::error(format!("`{name}` is already there")).at(at.clone())
}
