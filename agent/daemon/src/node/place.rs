//! The links of a node laid over the world that the API tells: who is where for real.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egret_core::{ObjectName, World};

use super::alias::PodKey;
use super::link::Attachment;

/// What the API tells of a pod of this node beside what policies know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalPod {
    /// What no two pods ever share.
    pub uid: String,
    /// It has been told to end.
    pub is_leaving: bool,
}

/// Pods and links of a node, brought together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Index of the node's end of each pod's link.
    pub interfaces: BTreeMap<ObjectName, u32>,
    /// Pods that run here without a link of this agent, in order: started before it, or by another plugin.
    pub unmanaged: Vec<ObjectName>,
}

/// Lays the links over the world.
///
/// 1. A pod with a link has the link's addresses, whatever the API still says.
/// 2. Nobody else has those addresses.
/// 3. A pod of this node without link is in the world, but not among those that the datapath holds; without an
///    address, it is not there yet.
pub fn place(
    world: &mut World,
    node: &str,
    local: &BTreeMap<ObjectName, LocalPod>,
    attachments: &[Attachment],
) -> Placed {
    let by_uid: BTreeMap<&str, &ObjectName> =
        local.iter().map(|(name, pod)| (pod.uid.as_str(), name)).collect();
    let mut placed = Placed::default();
    let mut taken: BTreeMap<IpAddr, ObjectName> = BTreeMap::new();
    for Attachment { link, owner } in attachments {
        let name = match &owner.pod {
            PodKey::Uid(uid) => by_uid.get(uid.as_str()).copied(),
            PodKey::Name(name) => local.contains_key(name).then_some(name),
        };
        let Some((name, pod)) = name.and_then(|name| Some((name, world.pods.get_mut(name)?))) else {
            continue;
        };
        pod.addresses.clone_from(&owner.addresses);
        taken.extend(owner.addresses.iter().map(|address| (*address, name.clone())));
        placed.interfaces.insert(name.clone(), link.index);
    }
    let held: BTreeSet<IpAddr> =
        attachments.iter().flat_map(|attachment| &attachment.owner.addresses).copied().collect();
    world.pods.retain(|name, pod| {
        if pod.host_network || placed.interfaces.contains_key(name) {
            return true;
        }
        pod.addresses.retain(|address| !held.contains(address) || taken.get(address) == Some(name));
        !pod.addresses.is_empty()
    });
    for (name, pod) in &mut world.pods {
        if pod.node == node && !pod.host_network && !placed.interfaces.contains_key(name) {
            // Whatever its network is, this node's datapath does not see it.
            pod.node.clear();
            if local.get(name).is_some_and(|local| !local.is_leaving) {
                placed.unmanaged.push((**name).clone());
            }
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use egret_core::world::Pod;

    use super::super::alias::Owner;
    use super::*;
    use crate::netlink::view::Link;

    fn attachment(index: u32, address: &str, pod: PodKey) -> Attachment {
        let link =
            Link { index, name: String::new(), alias: String::new(), mac: None, mtu: 1500, is_up: true };
        let addresses = vec![address.parse().unwrap()];
        Attachment { link, owner: Owner { container: "c".into(), interface: "eth0".into(), addresses, pod } }
    }

    fn pod(node: &str, address: &str) -> Pod {
        Pod { node: node.into(), addresses: address.parse().into_iter().collect(), ..Pod::default() }
    }

    #[test]
    fn links_say_who_is_where() {
        let name = |text: &str| ObjectName::parse(text);
        let pods = [
            ("linked", pod("here", "")),
            ("named", pod("here", "10.0.0.99")),
            ("unmanaged", pod("here", "10.0.0.7")),
            ("leaving", pod("here", "10.0.0.8")),
            ("starting", pod("here", "")),
            ("ended", pod("here", "10.0.0.1")),
            ("other", pod("there", "10.0.1.1")),
            ("stale", pod("there", "10.0.0.2")),
        ];
        let mut world = World {
            pods: pods.into_iter().map(|(text, pod)| (name(text).into(), pod)).collect(),
            ..World::default()
        };
        let local = ["linked", "named", "unmanaged", "leaving", "starting", "ended"].map(|text| {
            let local = LocalPod { uid: format!("uid-{text}"), is_leaving: text == "leaving" };
            (name(text), local)
        });
        let attachments = [
            attachment(5, "10.0.0.1", PodKey::Uid("uid-linked".into())),
            attachment(6, "10.0.0.2", PodKey::Name(name("named"))),
            attachment(7, "10.0.0.3", PodKey::Uid("uid-of-nobody".into())),
        ];
        let placed = place(&mut world, "here", &local.into(), &attachments);
        assert_eq!(placed.interfaces, [(name("linked"), 5), (name("named"), 6)].into());
        assert_eq!(placed.unmanaged, [name("unmanaged")]);
        let left: Vec<String> = world
            .pods
            .iter()
            .map(|(name, pod)| format!("{} {} {:?}", name.name, pod.node, pod.addresses))
            .collect();
        assert_eq!(
            left,
            [
                "leaving  [10.0.0.8]",
                "linked here [10.0.0.1]",
                "named here [10.0.0.2]",
                "other there [10.0.1.1]",
                "unmanaged  [10.0.0.7]",
            ]
        );
    }
}
