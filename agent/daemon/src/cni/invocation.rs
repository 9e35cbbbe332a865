//! One call of the plugin, read from the environment and standard input.

use std::collections::BTreeMap;
use std::path::PathBuf;

use egret_core::ObjectName;
use serde::Deserialize;

use super::failure::Failure;
use crate::control;
use crate::node::alias::PodKey;

/// The versions of the specification that the plugin speaks, the newest last.
pub const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

/// Longest name of an interface (`IFNAMSIZ` in linux/if.h, less its final zero).
const LONGEST_NAME: usize = 15;

/// What a runtime asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Link a pod.
    Add {
        /// The configuration.
        config: Config,
        /// Which interface of which container.
        attachment: Attachment,
        /// The pod's network.
        netns: PathBuf,
        /// The pod.
        pod: PodKey,
    },
    /// Delete a pod's link.
    Del {
        /// The configuration.
        config: Config,
        /// Which interface of which container.
        attachment: Attachment,
    },
    /// Say whether a pod's link is as it was made.
    Check {
        /// The configuration.
        config: Config,
        /// Which interface of which container.
        attachment: Attachment,
        /// The pod's network.
        netns: PathBuf,
    },
    /// Delete the links of every container that the configuration does not list.
    Gc(Config),
    /// Say whether the plugin can link pods.
    Status(Config),
    /// Say which versions the plugin speaks.
    Version(String),
}

/// One interface of one container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Attachment {
    /// The runtime's name for the container.
    #[serde(rename = "containerID")]
    pub container: String,
    /// Name of the interface inside.
    #[serde(rename = "ifname")]
    pub interface: String,
}

/// The configuration. Keys that other plugins know are passed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Version of the specification that the runtime speaks.
    pub cni_version: String,
    /// Name of the network.
    #[serde(default)]
    pub name: String,
    /// The agent's socket.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// What plugins before this one, or the `ADD` of this one, answered.
    #[serde(default)]
    pub prev_result: Option<serde_json::Value>,
    /// The attachments that stay, for `GC`.
    #[serde(default, rename = "cni.dev/valid-attachments")]
    pub valid_attachments: Option<Vec<Attachment>>,
}

impl Config {
    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| control::SOCKET.into())
    }
}

impl Invocation {
    /// Reads a call from the variables of the environment and the text on standard input.
    ///
    /// # Errors
    /// What is missing or wrong, in the specification's terms.
    pub fn of(variables: &BTreeMap<String, String>, input: &str) -> Result<Self, Failure> {
        let variable = |name: &'static str| {
            let value = variables.get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| Failure::Variable { name, problem: "is missing".into() })
        };
        let command = variable("CNI_COMMAND")?;
        let config = || -> Result<Config, Failure> {
            let config: Config = serde_json::from_str(input).map_err(Failure::Configuration)?;
            if VERSIONS.contains(&config.cni_version.as_str()) {
                Ok(config)
            } else {
                Err(Failure::Version(config.cni_version, VERSIONS.join(", ")))
            }
        };
        let attachment = || -> Result<Attachment, Failure> {
            let attachment = Attachment {
                container: variable("CNI_CONTAINERID")?.clone(),
                interface: variable("CNI_IFNAME")?.clone(),
            };
            check_container(&attachment.container)?;
            check_interface(&attachment.interface)?;
            Ok(attachment)
        };
        Ok(match command.as_str() {
            "ADD" => {
                let config = config()?;
                if config.prev_result.is_some() {
                    return Err(Failure::InvalidConfiguration(
                        "this plugin makes the pod's interface: no other one may stand before it in the list"
                            .into(),
                    ));
                }
                Self::Add {
                    config,
                    attachment: attachment()?,
                    netns: variable("CNI_NETNS")?.into(),
                    pod: pod(variables.get("CNI_ARGS").map_or("", String::as_str))?,
                }
            }
            "DEL" => Self::Del { config: config()?, attachment: attachment()? },
            "CHECK" => Self::Check {
                config: config()?,
                attachment: attachment()?,
                netns: variable("CNI_NETNS")?.into(),
            },
            "GC" => Self::Gc(config()?),
            "STATUS" => Self::Status(config()?),
            "VERSION" => Self::Version(super::version_of(input)),
            other => {
                return Err(Failure::Variable { name: "CNI_COMMAND", problem: format!("is `{other}`") });
            }
        })
    }
}

/// "A leading alphanumeric character, then any of alphanumerics, `_`, `.` and `-`" (section 2).
fn check_container(name: &str) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Failure::Variable {
        name: "CNI_CONTAINERID",
        problem: format!("is `{name}`, which names no container"),
    })
}

/// What the kernel takes as a name (`dev_valid_name`).
fn check_interface(name: &str) -> Result<(), Failure> {
    let is_wrong = |c: char| c == '/' || c == ':' || c.is_whitespace();
    if name.len() <= LONGEST_NAME && name != "." && name != ".." && !name.contains(is_wrong) {
        return Ok(());
    }
    Err(Failure::Variable { name: "CNI_IFNAME", problem: format!("is `{name}`, which names no interface") })
}

/// The pod that the runtime tells of, as `K8S_POD_NAMESPACE=…;K8S_POD_NAME=…;K8S_POD_UID=…`.
fn pod(arguments: &str) -> Result<PodKey, Failure> {
    let given: BTreeMap<&str, &str> =
        arguments.split(';').filter_map(|argument| argument.split_once('=')).collect();
    let value = |key: &str| given.get(key).copied().filter(|value| !value.is_empty());
    if let Some(uid) = value("K8S_POD_UID") {
        return Ok(PodKey::Uid(uid.to_owned()));
    }
    match (value("K8S_POD_NAMESPACE"), value("K8S_POD_NAME")) {
        (Some(namespace), Some(name)) => Ok(PodKey::Name(ObjectName::new(namespace, name))),
        (None, _) | (_, None) => Err(Failure::Variable {
            name: "CNI_ARGS",
            problem: "names no pod: `K8S_POD_UID`, or `K8S_POD_NAMESPACE` and `K8S_POD_NAME`, were expected"
                .into(),
        }),
    }
}

#[cfg(test)]
mod tests;
