//! The case language as types: what a case file may hold, unknown keys denied. The JSON schema comes from here.

mod step;
mod world;

pub use step::{
    AgentFile, ChangeFile, DefaultWord, ExpectFile, KeepFile, LabelFile, LinkFile, LinkWord, MatrixFile,
    NodeRef, ObjectFile, ObjectRef, StepFile,
};
pub use world::{
    AnswersWord, ApplicationsFile, InternetFile, LabelsFile, NamespaceFile, NodeFile, PodFile, PortFile,
    PortText, PortsFile, ProtocolWord, ServesFile, ServiceFile, ServicePortFile, WorldFile,
};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::yaml::Located;

/// A case: who can talk to whom in a small world, step by step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Egret case, version 1")]
pub struct CaseFile {
    /// The rule under test, in one sentence.
    pub title: Located<String>,
    /// URL of the sentence of documentation or source that the case tests.
    #[serde(default)]
    pub spec: Option<Located<String>>,
    /// What the case needs of a subject.
    #[serde(default)]
    pub requires: Vec<CapabilityWord>,
    /// Whose reading of the policies holds; left out: `cilium` if any object of cilium.io is applied.
    #[serde(default)]
    pub dialect: Option<DialectWord>,
    /// What exists before the first step.
    #[serde(default)]
    pub world: WorldFile,
    /// What happens, and who can then talk to whom.
    pub steps: Located<Vec<Located<StepFile>>>,
    /// Connections that stay open across steps.
    #[serde(default)]
    pub keep: Vec<KeepFile>,
}

/// What a subject may or may not be able to do.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CapabilityWord {
    /// Cilium's policy kinds.
    Cilium,
    /// Names in policies.
    Fqdn,
    /// HTTP rules.
    L7Http,
    /// DNS rules.
    L7Dns,
    /// Server names of TLS.
    Sni,
    /// IPv6.
    Ipv6,
    /// SCTP.
    Sctp,
    /// ICMP rules and pings.
    Icmp,
    /// Several nodes.
    Nodes,
    /// Services.
    Services,
    /// Admin and baseline tiers.
    Tiers,
    /// Moving time.
    Clock,
    /// Restarts and broken links.
    Faults,
}

/// Whose reading of the policies holds where engines differ.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DialectWord {
    /// Cilium's, release 1.20.
    Cilium,
    /// That of Cilium 1.19.
    #[serde(rename = "cilium@1.19")]
    Cilium119,
    /// The text of the Kubernetes API.
    Kubernetes,
}

/// The JSON schema of a case file, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(CaseFile).to_value()
}
