//! What a change reaches by name, as it is now: all of it at a start.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::Changed;
use crate::author::PolicyId;
use crate::rule::Policy;
use crate::world::{Pod, in_namespace};
use crate::{Desired, ObjectName};

/// What one change reaches.
pub(super) struct Reached<'a> {
    /// Pods that are new, different, or of a different namespace.
    pub(super) pods: Vec<(&'a Arc<ObjectName>, &'a Pod)>,
    /// Pods that are no more.
    pub(super) gone: Vec<&'a ObjectName>,
    /// Policies; `None`: no more.
    pub(super) policies: Vec<(&'a PolicyId, Option<&'a Arc<Policy>>)>,
    /// Addresses under which a name was learned or forgotten.
    pub(super) addresses: Vec<IpAddr>,
}

impl<'a> Reached<'a> {
    /// A start, before which there was nothing.
    pub(super) fn everything(desired: &'a Desired) -> Self {
        Self {
            pods: desired.world.pods.iter().collect(),
            gone: Vec::new(),
            policies: desired.policies.iter().map(|(id, policy)| (&**id, Some(policy))).collect(),
            addresses: Vec::new(),
        }
    }

    /// What a change names.
    pub(super) fn by(changed: &'a Changed, desired: &'a Desired) -> Self {
        let pods = &desired.world.pods;
        let by_name = changed.pods.iter().filter_map(|name| pods.get_key_value(name));
        let of_namespaces = changed.namespaces.iter().flat_map(|name| in_namespace(pods, name));
        Self {
            pods: by_name.chain(of_namespaces).collect(),
            gone: changed.pods.iter().filter(|name| !pods.contains_key(*name)).collect(),
            policies: changed.policies.iter().map(|id| (id, desired.policies.get(id))).collect(),
            addresses: changed.addresses.iter().copied().collect(),
        }
    }
}
