//! Labels with their sources, as identities carry them and selectors ask for them.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Labels;

/// Where a label comes from: the part before the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A prefix that policies refer to.
    Cidr,
    /// A named group of prefixes.
    CidrGroup,
    /// The network plugin.
    Cni,
    /// A name that policies refer to.
    Fqdn,
    /// Made by the agent.
    Gen,
    /// Kubernetes objects.
    K8s,
    /// A node's labels.
    Node,
    /// The fixed identities.
    Reserved,
    /// No known origin.
    Unspec,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 9] = [
        Self::Cidr,
        Self::CidrGroup,
        Self::Cni,
        Self::Fqdn,
        Self::Gen,
        Self::K8s,
        Self::Node,
        Self::Reserved,
        Self::Unspec,
    ];

    /// The word before the colon.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cidr => "cidr",
            Self::CidrGroup => "cidrgroup",
            Self::Cni => "cni",
            Self::Fqdn => "fqdn",
            Self::Gen => "gen",
            Self::K8s => "k8s",
            Self::Node => "node",
            Self::Reserved => "reserved",
            Self::Unspec => "unspec",
        }
    }

    /// Reads the word before the colon.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.word() == text)
    }
}

/// The labels of one identity, by key and then by source. A copy shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet {
    // INVARIANT: ordered by key and source, each pair once.
    labels: Arc<[Arc<Label>]>,
}

/// One label; the sets that hold it share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label {
    pub(crate) key: Cow<'static, str>,
    source: Source,
    pub(crate) value: Cow<'static, str>,
    /// Of key and value. Every identity is looked up by all of its labels, which are hashed once this way.
    pub(crate) hash: u64,
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.hash, self.source).hash(state);
    }
}

impl Label {
    pub(crate) fn new(source: Source, key: String, value: &str) -> Arc<Self> {
        Self::made(source, key.into(), value.to_string().into())
    }

    /// A Kubernetes label whose key is one of the fixed ones.
    pub(crate) fn fixed(key: &'static str, value: impl Into<Cow<'static, str>>) -> Arc<Self> {
        Self::made(Source::K8s, key.into(), value.into())
    }

    fn made(source: Source, key: Cow<'static, str>, value: Cow<'static, str>) -> Arc<Self> {
        let hash = Self::hash_of(&key, &value);
        Arc::new(Self { key, source, value, hash })
    }

    /// The same in every process: it goes through the hasher of each table, which has a secret of its own.
    pub(crate) fn hash_of(key: &str, value: &str) -> u64 {
        FixedState::default().hash_one((key, value))
    }

    /// Whether key and value are the same, whatever the source.
    pub(crate) fn is_like(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || self.hash == other.hash && self.key == other.key && self.value == other.value
    }

    fn place(&self) -> (&str, Source) {
        (&self.key, self.source)
    }
}

/// Of several values under one source and key the last counts.
impl FromIterator<Arc<Label>> for LabelSet {
    fn from_iter<T: IntoIterator<Item = Arc<Label>>>(labels: T) -> Self {
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort_by(|a, b| a.place().cmp(&b.place()));
        labels.dedup_by(|later, earlier| {
            let same = later.place() == earlier.place();
            if same {
                core::mem::swap(later, earlier);
            }
            same
        });
        Self { labels: labels.into() }
    }
}

impl LabelSet {
    /// Key of the label that names a pod's namespace.
    pub const NAMESPACE: &'static str = "io.kubernetes.pod.namespace";
    /// What stands before the keys of a namespace's own labels.
    pub const NAMESPACE_LABELS: &'static str = "io.cilium.k8s.namespace.labels.";
    /// Key of the label that names a pod's cluster.
    pub const CLUSTER: &'static str = "io.cilium.k8s.policy.cluster";
    /// Name of the one cluster.
    pub const DEFAULT_CLUSTER: &'static str = "default";
    /// Key of the label that names a pod's service account.
    pub const SERVICE_ACCOUNT: &'static str = "io.cilium.k8s.policy.serviceaccount";

    /// The set of one reserved label.
    #[must_use]
    pub fn reserved(name: &str) -> Self {
        let mut set = Self::default();
        set.insert(Source::Reserved, name, "");
        set
    }

    /// Adds a label; an earlier value under the same source and key is replaced.
    pub fn insert(&mut self, source: Source, key: &str, value: &str) {
        let added = Label::new(source, key.to_string(), value);
        *self = self.labels.iter().cloned().chain([added]).collect();
    }

    /// The labels, by key and source.
    pub(crate) fn labels(&self) -> &[Arc<Label>] {
        &self.labels
    }

    /// Adds the label of a prefix.
    pub fn insert_prefix(&mut self, prefix: &IpNet) {
        self.insert(Source::Cidr, &prefix_key(prefix), "");
    }

    /// Adds the labels of a group of prefixes: its name, and the object's own.
    pub fn insert_group(&mut self, name: &str, labels: &Labels) {
        self.insert(Source::CidrGroup, &group_key(name), "");
        for (key, value) in labels {
            self.insert(Source::CidrGroup, key, value);
        }
    }

    /// Whether the label of a group's name is there.
    #[must_use]
    pub fn has_group(&self, name: &str) -> bool {
        self.has(Source::CidrGroup, &group_key(name))
    }

    /// The values under a key, of one source or of all.
    pub fn values<'a>(&'a self, source: Option<Source>, key: &'a str) -> impl Iterator<Item = &'a str> {
        let start = self.labels.partition_point(|label| &*label.key < key);
        self.labels
            .iter()
            .skip(start)
            .take_while(move |label| label.key == key)
            .filter(move |label| source.is_none_or(|source| source == label.source))
            .map(|label| &*label.value)
    }

    /// Whether the key is there under this source.
    #[must_use]
    pub fn has(&self, source: Source, key: &str) -> bool {
        self.values(Some(source), key).next().is_some()
    }

    /// Whether the label of a prefix is there.
    #[must_use]
    pub fn has_prefix(&self, prefix: &IpNet) -> bool {
        self.has(Source::Cidr, &prefix_key(prefix))
    }

    /// Every label as `source:key` or `source:key=value`, ordered.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = vec![];
        for label in &*self.labels {
            let Label { key, source, value, hash: _ } = &**label;
            let word = source.word();
            texts.push(if value.is_empty() {
                format!("{word}:{key}")
            } else {
                format!("{word}:{key}={value}")
            });
        }
        texts.sort();
        texts
    }
}

/// A prefix as a label key: `:` becomes `-`, and a leading or trailing `::` gets a zero, so that the key stays
/// a valid one (Cilium `pkg/labels/cidr.go`).
pub(crate) fn prefix_key(prefix: &IpNet) -> String {
    match prefix {
        IpNet::V4(v4) => v4.to_string(),
        IpNet::V6(v6) => {
            let mut key = v6.network().to_string().replace(':', "-");
            if key.starts_with('-') {
                key.insert(0, '0');
            }
            if key.ends_with('-') {
                key.push('0');
            }
            format!("{key}/{}", v6.prefix_len())
        }
    }
}

/// The key of a CiliumCIDRGroup's name (Cilium `pkg/policy/api/cidr.go`).
pub(crate) fn group_key(name: &str) -> String {
    format!("io.cilium.policy.cidrgroupname/{name}")
}
