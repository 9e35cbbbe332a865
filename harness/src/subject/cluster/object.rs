//! Objects that a run makes: what they are called, and the labels by which they are found again.

use std::fmt;

pub(super) use egret_agent::kubernetes::kind::Kind;
use egret_core::spec::PolicyKind;
use serde_json::{Value, json};

/// Label with the run's identifier, on everything that it makes.
pub(super) const RUN: &str = "egret.dev/run";
/// Label with the machine that runs it.
pub(super) const HOST: &str = "egret.dev/host";
/// Label with the number of its process there.
pub(super) const PROCESS: &str = "egret.dev/process";
/// Who writes, in the API server's book of fields.
pub(super) const MANAGER: &str = "egret";

/// The kinds that a run makes, in the order in which they are taken away: what lives in a namespace after the namespace.
pub(super) const MADE: [Kind; 9] = [
    Kind::Namespace,
    Kind::Pod,
    Kind::Service,
    Kind::ServiceAccount,
    Kind::Policy(PolicyKind::NetworkPolicy),
    Kind::Policy(PolicyKind::CiliumNetworkPolicy),
    Kind::Policy(PolicyKind::CiliumClusterwideNetworkPolicy),
    Kind::Policy(PolicyKind::CiliumCidrGroup),
    Kind::Policy(PolicyKind::ClusterNetworkPolicy),
];

/// An object's name in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// A run, by what its objects are labelled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) process: u32,
}

impl Key {
    pub(super) fn new(kind: Kind, namespace: Option<&str>, name: &str) -> Self {
        Self { kind, namespace: namespace.map(ToOwned::to_owned), name: name.to_owned() }
    }

    /// An object of this name, with `metadata` and what `body` holds beside it.
    pub(super) fn object(&self, run: &Run, labels: &Value, body: Value) -> Value {
        let mut object = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.word(),
            "metadata": { "name": self.name, "labels": labels },
        });
        if let Some(namespace) = &self.namespace {
            object["metadata"]["namespace"] = namespace.clone().into();
        }
        for (key, value) in body.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        run.mark(&mut object);
        object
    }
}

impl Run {
    /// A run of this process that nobody else's objects can be taken for.
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        // `RandomState` is seeded by the operating system.
        let id = format!("{:08x}", RandomState::new().build_hasher().finish() as u32);
        Self { id, host: host(), process: std::process::id() }
    }

    /// Puts the run's labels on an object.
    pub(super) fn mark(&self, object: &mut Value) {
        let labels = &mut object["metadata"]["labels"];
        if labels.is_null() {
            *labels = json!({});
        }
        labels[RUN] = self.id.clone().into();
        labels[HOST] = self.host.clone().into();
        labels[PROCESS] = self.process.to_string().into();
    }

    /// A merge patch's labels that take those of any run off an object.
    pub(super) fn unmark(&self, patch: &mut Value) {
        patch["metadata"]["labels"] = json!({ RUN: null, HOST: null, PROCESS: null });
    }

    /// Selects what this run has made.
    pub(super) fn selector(&self) -> String {
        format!("{RUN}={}", self.id)
    }
}

/// This machine's name as a label's value.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let word: String = name
        .trim()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
        .take(63)
        .collect();
    let word = word.trim_matches(['-', '.']);
    if word.is_empty() { "unnamed".to_owned() } else { word.to_owned() }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} `{namespace}/{}`", self.kind.word(), self.name),
            None => write!(f, "{} `{}`", self.kind.word(), self.name),
        }
    }
}
