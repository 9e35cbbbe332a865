//! The cluster's pods: which identity each has, and whose an address is.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::net::IpAddr;
use core::ops::Deref;

use egret_shared::Identity;
use hashbrown::HashMap;
use hashbrown::hash_map::{Entry, EntryRef};

use super::Allocator;
use crate::identity::outside::Outside;
use crate::identity::relevant::{InCluster, InNamespace, OwnLabels};
use crate::identity::{Member, Members, NamedPorts};
use crate::rule::Dialect;
use crate::world::Pod;
use crate::{Labels, ObjectName, World};

/// Pods that have a network of their own, and their addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    known: HashMap<Arc<ObjectName>, Known>,
    claims: HashMap<IpAddr, Claim>,
}

/// What is known of one pod.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// That of its first address.
    pub(super) identity: Identity,
    /// It runs on the node.
    pub(super) is_local: bool,
    /// Its addresses in order, each with its identity.
    pub(super) addresses: Addresses,
}

/// Addresses in order, each with its identity. Nearly every pod has one, which stands in place.
#[derive(Clone, Debug)]
pub(super) enum Addresses {
    One([(IpAddr, Identity); 1]),
    Other(Box<[(IpAddr, Identity)]>),
}

/// A pod's place in the cluster before and after.
pub(super) struct Replaced<'a> {
    pub(super) name: Arc<ObjectName>,
    pub(super) old: Option<Known>,
    pub(super) new: Option<&'a Known>,
}

/// Who has an address. Of several pods the last by name has it, as while one ends and another begins.
#[derive(Clone, Debug)]
enum Claim {
    One(Arc<ObjectName>, Identity),
    Several(BTreeMap<Arc<ObjectName>, Identity>),
}

/// Gives pods their identities, one namespace after the other: what its pods share is made once.
///
/// Where labels do not depend on addresses, pods of one namespace with the same labels, account and ports have the
/// same identity.
pub(super) struct Naming<'a> {
    world: &'a World,
    common: InCluster,
    outside: &'a Outside,
    node: &'a str,
    namespace: Option<(&'a str, InNamespace)>,
    alike: BTreeMap<Alike<'a>, Identity>,
    own: OwnLabels<'a>,
}

/// What of a pod makes its identity, inside one namespace.
type Alike<'a> = (&'a Labels, &'a str, NamedPorts);

impl<'a> Naming<'a> {
    pub(super) fn new(world: &'a World, dialect: Dialect, outside: &'a Outside, node: &'a str) -> Self {
        Self {
            world,
            common: InCluster::new(dialect),
            outside,
            node,
            namespace: None,
            alike: BTreeMap::new(),
            own: OwnLabels::new(),
        }
    }

    /// What is to be known of a pod; its identities come into use.
    fn name(
        &mut self,
        name: &'a ObjectName,
        pod: &'a Pod,
        numbers: &mut Allocator,
        members: &mut Members,
    ) -> Known {
        let common = match &mut self.namespace {
            Some((namespace, common)) if *namespace == name.namespace => common,
            namespace => {
                self.alike.clear();
                let new = self.common.namespace(&name.namespace, self.world);
                &mut namespace.insert((&name.namespace, new)).1
            }
        };
        let named =
            pod.serves.iter().filter_map(|serve| Some((serve.name.clone()?, serve.protocol, serve.port)));
        let ports: NamedPorts = named.collect();
        let is_local = pod.node == self.node;
        let mut number = |member: Member| {
            let identity = numbers.pod_identity(&member);
            members.add(identity, || member);
            identity
        };
        if self.outside.is_by_address && !pod.addresses.is_empty() {
            // A block that covers one address of a pod says nothing of its others: each has its own labels.
            let plain = common.of_pod(pod, &mut self.own);
            let at = |address: &IpAddr| {
                let labels = self.outside.at(plain.clone(), *address);
                (*address, number(Member { labels, ports: ports.clone() }))
            };
            let addresses: Addresses = pod.addresses.iter().map(at).collect();
            let identity = addresses.first().map_or(Identity::WORLD, |(_, identity)| *identity);
            return Known { identity, is_local, addresses };
        }
        let key = (&pod.labels, pod.service_account.as_str(), ports);
        let identity = match self.alike.get(&key) {
            Some(identity) => {
                members.add(*identity, Member::default);
                *identity
            }
            None => {
                let identity =
                    number(Member { labels: common.of_pod(pod, &mut self.own), ports: key.2.clone() });
                self.alike.insert(key, identity);
                identity
            }
        };
        pod.addresses.iter().skip(1).for_each(|_| members.add(identity, Member::default));
        Known { identity, is_local, addresses: pod.addresses.iter().map(|at| (*at, identity)).collect() }
    }
}

impl Pods {
    /// Room for so many pods.
    pub(super) fn reserve(&mut self, pods: usize) {
        self.known.reserve(pods);
        self.claims.reserve(pods);
    }

    /// What is known of a pod.
    pub(super) fn get(&self, name: &ObjectName) -> Option<&Known> {
        self.known.get(name)
    }

    /// The pod that now has this name comes in the place of what was known under it, if anything.
    pub(super) fn put<'a>(
        &mut self,
        name: &'a ObjectName,
        pod: &'a Pod,
        naming: &mut Naming<'a>,
        (numbers, members): (&mut Allocator, &mut Members),
    ) -> Replaced<'_> {
        let Self { known, claims } = self;
        let new = naming.name(name, pod, numbers, members);
        let (entry, old) = match known.entry_ref(name) {
            EntryRef::Occupied(mut entry) => {
                let old = entry.insert(new);
                (entry, Some(old))
            }
            EntryRef::Vacant(entry) => (entry.insert_entry_with_key(Arc::new(name.clone()), new), None),
        };
        let name = Arc::clone(entry.key());
        if let Some(old) = &old {
            leave(claims, &name, old, members);
        }
        let new: &Known = entry.into_mut();
        for (address, identity) in new.addresses.iter() {
            match claims.entry(*address) {
                Entry::Vacant(entry) => drop(entry.insert(Claim::One(Arc::clone(&name), *identity))),
                Entry::Occupied(mut entry) => entry.get_mut().add(&name, *identity),
            }
        }
        Replaced { name, old, new: Some(new) }
    }

    /// The pod of this name goes; `None`: none was known.
    pub(super) fn remove(&mut self, name: &ObjectName, members: &mut Members) -> Option<Replaced<'_>> {
        let (name, old) = self.known.remove_entry(name)?;
        leave(&mut self.claims, &name, &old, members);
        Some(Replaced { name, old: Some(old), new: None })
    }

    /// The identity of the pod that has an address.
    pub(super) fn at(&self, address: IpAddr) -> Option<Identity> {
        match self.claims.get(&address)? {
            Claim::One(_, identity) => Some(*identity),
            Claim::Several(claims) => claims.values().next_back().copied(),
        }
    }
}

/// A pod's identities and addresses are no more in use.
fn leave(claims: &mut HashMap<IpAddr, Claim>, name: &Arc<ObjectName>, old: &Known, members: &mut Members) {
    old.uses().for_each(|identity| members.remove(identity));
    for (address, _) in old.addresses.iter() {
        let Some(claim) = claims.get_mut(address) else { continue };
        if !claim.remains_without(name) {
            claims.remove(address);
        }
    }
}

impl Known {
    /// The uses of identities: one for each address, or for the pod alone.
    fn uses(&self) -> impl Iterator<Item = Identity> {
        let own = self.addresses.is_empty().then_some(self.identity);
        self.addresses.iter().map(|(_, identity)| *identity).chain(own)
    }
}

impl Deref for Addresses {
    type Target = [(IpAddr, Identity)];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(one) => one,
            Self::Other(other) => other,
        }
    }
}

impl FromIterator<(IpAddr, Identity)> for Addresses {
    fn from_iter<T: IntoIterator<Item = (IpAddr, Identity)>>(addresses: T) -> Self {
        let mut addresses = addresses.into_iter();
        let (first, second) = (addresses.next(), addresses.next());
        match (first, second) {
            (Some(only), None) => Self::One([only]),
            (first, second) => Self::Other(first.into_iter().chain(second).chain(addresses).collect()),
        }
    }
}

impl Claim {
    fn add(&mut self, name: &Arc<ObjectName>, identity: Identity) {
        match self {
            Self::One(other, _) if other == name => *self = Self::One(Arc::clone(name), identity),
            Self::One(other, theirs) => {
                let both = [(Arc::clone(other), *theirs), (Arc::clone(name), identity)];
                *self = Self::Several(both.into());
            }
            Self::Several(claims) => drop(claims.insert(Arc::clone(name), identity)),
        }
    }

    /// Takes a pod's claim out; returns whether others remain.
    fn remains_without(&mut self, name: &Arc<ObjectName>) -> bool {
        match self {
            Self::One(other, _) => other != name,
            Self::Several(claims) => {
                claims.remove(name);
                !claims.is_empty()
            }
        }
    }
}
