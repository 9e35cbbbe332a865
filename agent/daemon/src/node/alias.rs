//! What stands in the alias of a pod's link: everything that an agent or a plugin that comes later must know of it.
//!
//! `egret CONTAINER INTERFACE ADDRESSES POD`, with addresses joined by commas and the pod's UID, or `namespace/name`
//! where the runtime tells none. The kernel is so the only record of who has which address: no file can be left
//! behind, or be older than what is really there.

use std::net::IpAddr;

use egret_core::ObjectName;

/// First word of the aliases.
const MARK: &str = "egret";

/// Bytes that the kernel takes (`IFALIASZ` in linux/if.h, less its final zero).
const LONGEST: usize = 255;

/// Whose link it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The runtime's name for the container.
    pub container: String,
    /// Name of the interface inside.
    pub interface: String,
    /// Addresses of the pod's end.
    pub addresses: Vec<IpAddr>,
    /// The pod.
    pub pod: PodKey,
}

/// How a pod is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodKey {
    /// By what no two pods ever share.
    Uid(String),
    /// By name, for runtimes that do not tell the UID.
    Name(ObjectName),
}

/// Why an owner has no alias.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOwner {
    /// The alias would be too long.
    #[error(
        "an interface's alias holds {LONGEST} bytes, and `{0}` needs more: the runtime must tell the pod's UID"
    )]
    Long(String),
    /// A part has a character that separates parts.
    #[error("`{0}` cannot stand in an interface's alias: it has a space, or nothing at all")]
    Character(String),
}

impl Owner {
    /// As an alias.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn to_alias(&self) -> Result<String, InvalidOwner> {
        let Self { container, interface, addresses, pod } = self;
        let pod = match pod {
            PodKey::Uid(uid) => uid.clone(),
            PodKey::Name(name) => name.to_string(),
        };
        for part in [container, interface, &pod] {
            if part.is_empty() || part.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(InvalidOwner::Character(part.clone()));
            }
        }
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let alias = format!("{MARK} {container} {interface} {} {pod}", addresses.join(","));
        if alias.len() > LONGEST { Err(InvalidOwner::Long(alias)) } else { Ok(alias) }
    }

    /// Reads an alias; `None` when it is somebody else's.
    #[must_use]
    pub fn of_alias(alias: &str) -> Option<Self> {
        let mut words = alias.split(' ');
        if words.next() != Some(MARK) {
            return None;
        }
        let (container, interface) = (words.next()?.to_owned(), words.next()?.to_owned());
        let addresses = words.next()?.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        let pod = words.next()?;
        let pod = match pod.split_once('/') {
            Some((namespace, name)) => PodKey::Name(ObjectName::new(namespace, name)),
            None => PodKey::Uid(pod.to_owned()),
        };
        words.next().is_none().then_some(Self { container, interface, addresses, pod })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pod: PodKey) -> Owner {
        Owner {
            container: "a".repeat(64),
            interface: "eth0".into(),
            addresses: vec!["10.244.1.7".parse().unwrap(), "fd00::7".parse().unwrap()],
            pod,
        }
    }

    #[test]
    fn aliases_read_back() {
        for pod in [PodKey::Uid("8d4c".into()), PodKey::Name(ObjectName::new("default", "nginx"))] {
            let owner = owner(pod);
            assert_eq!(Owner::of_alias(&owner.to_alias().unwrap()), Some(owner));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = owner(PodKey::Name(ObjectName::new("n", &"p".repeat(253))));
        assert!(matches!(long.to_alias(), Err(InvalidOwner::Long(_))));
        let spaced = owner(PodKey::Uid("a b".into()));
        assert!(matches!(spaced.to_alias(), Err(InvalidOwner::Character(_))));
        assert!(matches!(owner(PodKey::Uid(String::new())).to_alias(), Err(InvalidOwner::Character(_))));
    }

    #[test]
    fn other_aliases_are_nobodys() {
        for alias in [
            "",
            "egret",
            "egret a eth0 10.0.0.1",
            "egret a eth0 x u",
            "cali a eth0 10.0.0.1 u",
            "egret a eth0 10.0.0.1 u v",
        ] {
            assert_eq!(Owner::of_alias(alias), None, "{alias}");
        }
    }
}
