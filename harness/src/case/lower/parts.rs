//! Parts of a world by kind and name, each with the place of its name.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::Ipv6Addr;
use std::sync::Arc;

use egret_core::ObjectName;

use super::problems::Problems;
use crate::case::schema::{InternetFile, NamespaceFile, NodeFile, PodFile, ServiceFile};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Place, Source};
use crate::yaml::Located;

/// A part as a file gives it.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    source: Arc<Source>,
    at: Place,
    /// The part.
    pub(super) file: T,
}

/// Everything that is given, by kind and name.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) nodes: BTreeMap<String, Given<NodeFile>>,
    pub(super) namespaces: BTreeMap<String, Given<NamespaceFile>>,
    pub(super) pods: BTreeMap<ObjectName, Given<PodFile>>,
    pub(super) services: BTreeMap<ObjectName, Given<ServiceFile>>,
    pub(super) internet: BTreeMap<String, Given<InternetFile>>,
}

// === impl Given ===

impl<T> Given<T> {
    pub(super) fn new(source: &Arc<Source>, at: Place, file: T) -> Self {
        Self { source: Arc::clone(source), at, file }
    }

    /// Place of the part's name.
    pub(super) fn location(&self) -> Location {
        self.at.in_source(&self.source)
    }

    /// Place of a value inside the part.
    pub(super) fn place<V>(&self, value: &Located<V>) -> Location {
        value.at.in_source(&self.source)
    }
}

// === impl Parts ===

impl Parts {
    /// Whether anything in it has an IPv6 address.
    pub(super) fn has_ipv6(&self) -> bool {
        let is_v6 = |text: &Located<String>| text.value.parse::<Ipv6Addr>().is_ok();
        self.nodes.values().any(|node| node.file.ip.iter().any(is_v6))
            || self.pods.values().any(|pod| pod.file.ip.iter().chain(&pod.file.ips).any(is_v6))
            || self
                .services
                .values()
                .any(|service| service.file.cluster_ip.iter().chain(&service.file.endpoints).any(is_v6))
            || self
                .internet
                .iter()
                .any(|(name, part)| name.parse::<Ipv6Addr>().is_ok() || !part.file.aaaa.is_empty())
    }

    /// Adds a name or a host of the Internet.
    pub(super) fn outside(&mut self, name: &str, part: Given<InternetFile>, problems: &mut Problems) {
        insert(&mut self.internet, name.trim_end_matches('.').to_lowercase(), part, problems);
    }

    pub(super) fn node(&mut self, name: String, node: Given<NodeFile>, problems: &mut Problems) {
        if problems.check_name(&name, &node.location()) {
            insert(&mut self.nodes, name, node, problems);
        }
    }

    pub(super) fn namespace(&mut self, name: String, part: Given<NamespaceFile>, problems: &mut Problems) {
        if problems.check_name(&name, &part.location()) {
            insert(&mut self.namespaces, name, part, problems);
        }
    }

    pub(super) fn service(&mut self, name: ObjectName, part: Given<ServiceFile>, problems: &mut Problems) {
        if problems.check_name(&name.name, &part.location()) {
            insert(&mut self.services, name, part, problems);
        }
    }

    /// Adds a pod, or as many as it has replicas.
    pub(super) fn pod(&mut self, name: &ObjectName, mut pod: Given<PodFile>, problems: &mut Problems) {
        if !problems.check_name(&name.name, &pod.location()) {
            return;
        }
        let Some(replicas) = pod.file.replicas.take() else {
            insert(&mut self.pods, name.clone(), pod, problems);
            return;
        };
        if pod.file.ip.is_some() || !pod.file.ips.is_empty() {
            problems.add(
                Diagnostic::error(format!("`{name}` has replicas, which cannot share one address"))
                    .at(pod.place(&replicas)),
            );
        }
        for number in 0..replicas.value {
            let replica = ObjectName::new(&name.namespace, &format!("{}-{number}", name.name));
            insert(&mut self.pods, replica, pod.clone(), problems);
        }
    }
}

/// Two files may give the same part when they give it alike.
fn insert<K: Ord + Display, T: PartialEq>(
    map: &mut BTreeMap<K, Given<T>>,
    key: K,
    part: Given<T>,
    problems: &mut Problems,
) {
    match map.get(&key) {
        Some(other) if other.file == part.file => {}
        Some(other) => problems.add(
            Diagnostic::error(format!("`{key}` is defined twice, and differently"))
                .at(part.location())
                .note(format!("the other definition is at {}", other.location())),
        ),
        None => {
            map.insert(key, part);
        }
    }
}
