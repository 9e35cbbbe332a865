//! The cluster's pods: which identity each has, and whose an address is.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;
use core::ops::Deref;

use egret_shared::Identity;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Allocator;
use super::outside::Outside;
use super::selectors::{at, put};
use crate::identity::relevant::{InCluster, InNamespace, OwnLabels};
use crate::identity::{Member, Members, NamedPorts};
use crate::rule::Dialect;
use crate::world::Pod;
use crate::{Labels, ObjectName, World};

/// Pods that have a network of their own, and their addresses. Tables know places, the rest stands there once.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    all: Vec<Option<Placed>>,
    free: Vec<u32>,
    /// Places by name.
    names: HashTable<u32>,
    /// By address who has it.
    claims: HashTable<Claim>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Debug)]
struct Placed {
    name: Arc<ObjectName>,
    known: Known,
}

/// One address of the pod at a place. Of several pods with one address the last by name has it, as while one ends
/// and another begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    place: u32,
    /// Which of its addresses.
    which: u32,
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
    /// With where it is now known.
    pub(super) new: Option<(u32, &'a Known)>,
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
        // Empty tables have nothing to put elsewhere.
        self.all.reserve_exact(pods);
        self.names.reserve(pods, |_| 0);
        self.claims.reserve(pods, |_| 0);
    }

    /// What is known of the pod at a place.
    pub(super) fn get(&self, place: u32) -> Option<&Known> {
        placed(&self.all, place).map(|pod| &pod.known)
    }

    /// The pod that now has this name comes in the place of what was known under it, if anything.
    pub(super) fn put<'a>(
        &mut self,
        name: &'a Arc<ObjectName>,
        pod: &'a Pod,
        naming: &mut Naming<'a>,
        (numbers, members): (&mut Allocator, &mut Members),
    ) -> Replaced<'_> {
        let known = naming.name(name, pod, numbers, members);
        let hash = self.hasher.hash_one(&**name);
        let (name, old) = match self.take(name, hash, members) {
            Some(Replaced { name, old, new: _ }) => (name, old),
            None => (Arc::clone(name), None),
        };
        let Self { all, free, names, claims, hasher } = self;
        let place = put(all, free, Some(Placed { name: Arc::clone(&name), known }));
        let by_name = |place: &u32| placed(all, *place).map_or(0, |pod| hasher.hash_one(&*pod.name));
        names.insert_unique(hash, place, by_name);
        let by_address = |claim: &Claim| claim.entry(all).map_or(0, |(_, (at, _))| hasher.hash_one(at));
        let new = placed(all, place).map(|pod| &pod.known);
        for (which, (address, _)) in (0..).zip(new.into_iter().flat_map(|new| new.addresses.iter())) {
            claims.insert_unique(hasher.hash_one(address), Claim { place, which }, by_address);
        }
        Replaced { name, old, new: new.map(|new| (place, new)) }
    }

    /// The pod of this name goes; `None`: none was known.
    pub(super) fn remove(&mut self, name: &ObjectName, members: &mut Members) -> Option<Replaced<'static>> {
        self.take(name, self.hasher.hash_one(name), members)
    }

    /// The same, of a name whose hash is known.
    fn take(&mut self, name: &ObjectName, hash: u64, members: &mut Members) -> Option<Replaced<'static>> {
        let Self { all, free, names, claims, hasher } = self;
        let is = |place: &u32| placed(all, *place).is_some_and(|pod| *pod.name == *name);
        let (place, _) = names.find_entry(hash, is).ok()?.remove();
        let Placed { name, known } = all.get_mut(at(place))?.take()?;
        free.push(place);
        for (which, (address, _)) in (0..).zip(known.addresses.iter()) {
            let own = Claim { place, which };
            if let Ok(claim) = claims.find_entry(hasher.hash_one(address), |claim| *claim == own) {
                claim.remove();
            }
        }
        known.uses().for_each(|identity| members.remove(identity));
        Some(Replaced { name, old: Some(known), new: None })
    }

    /// The identity of the pod that has an address.
    pub(super) fn at(&self, address: IpAddr) -> Option<Identity> {
        let claims = self.claims.iter_hash(self.hasher.hash_one(address));
        let claims = claims.filter_map(|claim| claim.entry(&self.all));
        let last = claims.filter(|(_, (at, _))| *at == address).max_by(|(a, _), (b, _)| a.cmp(b));
        last.map(|(_, (_, identity))| identity)
    }
}

fn placed(all: &[Option<Placed>], place: u32) -> Option<&Placed> {
    all.get(at(place))?.as_ref()
}

impl Claim {
    /// The pod's name, and the address with its identity.
    fn entry(self, all: &[Option<Placed>]) -> Option<(&ObjectName, (IpAddr, Identity))> {
        let pod = placed(all, self.place)?;
        Some((&pod.name, *pod.known.addresses.get(at(self.which))?))
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
