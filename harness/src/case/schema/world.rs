//! The `world` of a case file: nodes, namespaces, pods, services, the Internet.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::yaml::{Entries, Located, Short};

/// What exists.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorldFile {
    /// Shared worlds: `worlds/NAME.yaml` beside the cases, or built in.
    #[serde(rename = "use")]
    pub uses: Vec<Located<String>>,
    /// Nodes by name; left out: one node, `node-1`.
    pub nodes: Entries<NodeFile>,
    /// Namespaces by name; `default` and `kube-system` exist.
    pub namespaces: Entries<NamespaceFile>,
    /// Pods by `namespace/name`, or by name in the namespace `default`.
    pub pods: Entries<PodFile>,
    /// Services by `namespace/name`.
    pub services: Entries<ServiceFile>,
    /// DNS names and hosts outside the cluster, by name or address.
    pub internet: Entries<InternetFile>,
    /// Files with ordinary Namespace, Node, Pod, Deployment and Service objects.
    pub manifests: Vec<Located<String>>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeFile {
    /// Labels.
    pub labels: LabelsFile,
    /// Address; assigned when left out.
    pub ip: Option<Located<String>>,
}

/// One namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NamespaceFile {
    /// Labels; `kubernetes.io/metadata.name` is added.
    pub labels: LabelsFile,
}

/// Labels.
pub type LabelsFile = std::collections::BTreeMap<String, String>;

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct PodFile {
    /// Labels.
    pub labels: LabelsFile,
    /// What it serves; left out: 80/TCP over HTTP.
    pub serves: Option<ServesFile>,
    /// Node; left out: the first.
    pub node: Option<Located<String>>,
    /// Address; assigned when left out.
    pub ip: Option<Located<String>>,
    /// Addresses of both families; assigned when left out.
    pub ips: Vec<Located<String>>,
    /// Service account; left out: `default`.
    pub service_account: Option<String>,
    /// The pod shares its node's network.
    pub host_network: bool,
    /// That many pods, whose names end in `-0`, `-1`, and so on.
    pub replicas: Option<Located<u16>>,
}

/// What a pod or a host serves: a list of ports, or a mapping of applications to ports.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum ServesFile {
    /// `[80, 81/UDP, { name: http, port: 8080 }]`.
    Ports(Vec<Located<Short<PortText, PortFile>>>),
    /// `{ http: 80, dns: 53 }`.
    Applications(ApplicationsFile),
}

/// A port as a number, or as text: `81/UDP`.
#[derive(Clone, Debug, PartialEq)]
pub enum PortText {
    /// A TCP port.
    Number(u16),
    /// With its protocol.
    Text(String),
}

/// A named port of a container.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortFile {
    /// Name that policies and services may use.
    #[serde(default)]
    pub name: Option<String>,
    /// Number.
    pub port: u16,
    /// Left out: TCP.
    #[serde(default)]
    pub protocol: ProtocolWord,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProtocolWord {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Applications and the ports on which they answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApplicationsFile {
    /// HTTP, which answers with the server's name.
    pub http: Option<PortsFile>,
    /// HTTP over TLS with a certificate for the host's names.
    pub https: Option<PortsFile>,
    /// The cluster's DNS server, on UDP and TCP.
    pub dns: Option<PortsFile>,
}

/// One port or several.
pub type PortsFile = Located<Short<u16, Vec<u16>>>;

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ServiceFile {
    /// The service's own labels, by which policies may refer to it.
    pub labels: LabelsFile,
    /// Labels of the backends.
    pub selector: Option<LabelsFile>,
    /// Addresses of backends, instead of a selector.
    pub endpoints: Vec<Located<String>>,
    /// Ports; at least one.
    pub ports: Vec<ServicePortFile>,
    /// Cluster address; assigned when left out.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<Located<String>>,
    /// Without a cluster address: its name leads to the backends.
    pub headless: bool,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServicePortFile {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Port on the cluster address.
    pub port: u16,
    /// Port of the backends by number or name; left out: the same number.
    #[serde(default)]
    pub target_port: Option<PortText>,
    /// Left out: TCP.
    #[serde(default)]
    pub protocol: ProtocolWord,
}

/// A DNS name with its records, or a host by its address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct InternetFile {
    /// IPv4 addresses.
    pub a: Vec<Located<String>>,
    /// IPv6 addresses.
    pub aaaa: Vec<Located<String>>,
    /// Canonical name.
    pub cname: Option<Located<String>>,
    /// Time to live in seconds; left out: 60.
    pub ttl: Option<u32>,
    /// Order of the addresses in the answers.
    pub answers: Option<Located<AnswersWord>>,
    /// Answer with this code instead.
    pub rcode: Option<Located<String>>,
    /// Answer that much later.
    pub delay: Option<Located<String>>,
    /// Answer over UDP with nothing but the truncation bit.
    pub truncate: Option<Located<bool>>,
    /// What the host serves; left out: 80/TCP over HTTP.
    pub serves: Option<ServesFile>,
}

/// Order of the addresses in DNS answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnswersWord {
    /// All, in the order of the file.
    Fixed,
    /// All, beginning with the next each time.
    Rotate,
    /// All, shuffled.
    RandomOrder,
    /// The next one alone.
    OneAtATime,
}

// === impl ServesFile ===

impl<'de> Deserialize<'de> for ServesFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ServesVisitor;

        impl<'de> Visitor<'de> for ServesVisitor {
            type Value = ServesFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of ports, or a mapping of applications to ports")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<ServesFile, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(access)).map(ServesFile::Ports)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<ServesFile, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(access)).map(ServesFile::Applications)
            }
        }

        deserializer.deserialize_any(ServesVisitor)
    }
}

// === impl PortText ===

impl<'de> Deserialize<'de> for PortText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl Visitor<'_> for PortVisitor {
            type Value = PortText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, as a number or as text")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<PortText, E> {
                u16::try_from(value).map(PortText::Number).map_err(|_| {
                    de::Error::invalid_value(de::Unexpected::Unsigned(value), &"a port from 1 to 65535")
                })
            }

            fn visit_str<E>(self, value: &str) -> Result<PortText, E> {
                Ok(PortText::Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}

impl JsonSchema for PortText {
    fn schema_name() -> Cow<'static, str> {
        "PortText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port as a number, or as text: `81/UDP`.",
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string" }],
        })
    }
}
