//! The `steps` of a case file: changes, expectations, tables.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

use super::world::{InternetFile, LabelsFile, PortText, WorldFile};
use crate::yaml::{Entries, Located, Short};

/// One step: deletes, applies, changes, then asks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// Name; left out: `step N`.
    #[serde(default)]
    pub name: Option<Located<String>>,
    /// Manifest files or inline objects.
    #[serde(default)]
    pub apply: Vec<Located<Short<String, ObjectFile>>>,
    /// Objects to delete: `Kind namespace/name`.
    #[serde(default)]
    pub delete: Vec<Located<String>>,
    /// Changes of the world, in order.
    #[serde(default)]
    pub change: Vec<Located<ChangeFile>>,
    /// `from -> to: outcome`.
    #[serde(default)]
    pub expect: Entries<Located<Short<String, ExpectFile>>>,
    /// Tables of outcomes.
    #[serde(default)]
    pub matrix: Vec<MatrixFile>,
}

/// An object of the Kubernetes API: its kind says how it is read, later.
#[derive(Clone, Debug)]
pub struct ObjectFile;

/// One change of the world.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeFile {
    /// Other labels.
    Label(LabelFile),
    /// More nodes, namespaces, pods, services or names.
    Add(WorldFile),
    /// A pod, a service, or a namespace with everything in it, goes away.
    Remove(ObjectRef),
    /// Other records for DNS names.
    Dns(Entries<InternetFile>),
    /// The datapath's and the agents' time moves forward: `2h`, `90s`.
    Clock(Located<String>),
    /// Every agent (`agent`), or that of one node, ends and starts again.
    Restart(Short<String, AgentFile>),
    /// A node's link goes down or up.
    Link(LinkFile),
    /// A node stops, with its pods and its agent.
    Stop(NodeRef),
    /// A stopped node starts again, with its pods and its agent.
    Start(NodeRef),
}

/// Other labels of one object.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelFile {
    /// The pod.
    #[serde(default)]
    pub pod: Option<Located<String>>,
    /// The namespace.
    #[serde(default)]
    pub namespace: Option<Located<String>>,
    /// The node.
    #[serde(default)]
    pub node: Option<Located<String>>,
    /// Labels to set.
    #[serde(default)]
    pub set: LabelsFile,
    /// Keys to take away.
    #[serde(default)]
    pub remove: Vec<Located<String>>,
}

/// One object by its kind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectRef {
    /// A pod.
    Pod(Located<String>),
    /// A service.
    Service(Located<String>),
    /// A namespace.
    Namespace(Located<String>),
}

/// An agent by its node.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// Node of the agent.
    pub agent: Located<String>,
}

/// A node.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeRef {
    /// Its name.
    pub node: Located<String>,
}

/// State of a node's link.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFile {
    /// The node.
    pub node: Located<String>,
    /// `up` or `down`.
    pub state: LinkWord,
}

/// Up or down.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkWord {
    /// Up.
    Up,
    /// Down.
    Down,
}

/// What is expected of a probe, in its long form.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectFile {
    /// What the client sees.
    pub client: Option<Located<String>>,
    /// Verdict at the client's pod.
    pub egress: Option<Located<String>>,
    /// Verdict at the server's pod.
    pub ingress: Option<Located<String>>,
    /// Drop reason in Cilium's words.
    pub reason: Option<Located<String>>,
    /// Who decided: `default deny`, `kubelet`, or `Kind namespace/name [rule path]`.
    pub by: Option<Located<String>>,
    /// Headers that the request carries.
    pub headers: Option<Located<LabelsFile>>,
    /// Body that the request carries.
    pub body: Option<Located<String>>,
    /// Source address of the packet, in place of the client's own.
    pub source: Option<Located<String>>,
    /// Addresses that a DNS answer holds.
    pub addresses: Option<Located<Vec<Located<String>>>>,
}

/// A table of outcomes: rows are sources, columns are destinations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixFile {
    /// Ports to ask, for example `80` or `81/UDP`.
    pub ports: Located<Vec<Located<PortText>>>,
    /// `.` ok, `X` blocked, `E` dropped at egress, `I` dropped at ingress, `-` not asked.
    pub table: Located<String>,
    /// Outcome of the pairs that the table leaves out.
    #[serde(default)]
    pub default: Option<DefaultWord>,
}

/// Outcome of the pairs that a table leaves out.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DefaultWord {
    /// The peer answers.
    Ok,
    /// A drop keeps the peer from being reached.
    Blocked,
}

/// A connection that stays open across steps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepFile {
    /// Name.
    pub name: Located<String>,
    /// Client: a pod, a node or an address, as before the `->` of `expect`.
    pub from: Located<String>,
    /// Server and port, as behind the `->` of `expect`.
    pub to: Located<String>,
    /// When it opens: `before step 1`, or in a step, by its name, when the step's policies are in force.
    pub open: Located<String>,
    /// By step, what becomes of it there: `open`, `stalled`, `reset` or `closed`, or a mapping with that for `client`.
    pub then: Entries<Located<Short<String, ExpectFile>>>,
}

// === impl ObjectFile ===

impl<'de> Deserialize<'de> for ObjectFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for ObjectFile {
    fn schema_name() -> Cow<'static, str> {
        "ObjectFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An object of the Kubernetes API.",
            "type": "object",
            "required": ["apiVersion", "kind", "metadata"],
        })
    }
}
