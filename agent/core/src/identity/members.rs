//! The identities that policies may meet, each as long as something has it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Identity;

use crate::Protocol;
use crate::change::pack;
use crate::identity::LabelSet;
use crate::selector::Entity;
use crate::state::PeerSet;

/// Container ports by name, protocol and number.
pub type NamedPorts = BTreeSet<(String, Protocol, u16)>;

/// What an identity's number stands for.
///
/// Named ports belong to it: pods that give one name to different ports have different identities, because a
/// policy may open the name for each of them (policy semantics 15 row 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its labels.
    pub labels: LabelSet,
    /// Its named ports; none outside pods.
    pub ports: NamedPorts,
}

/// Identities by number, with how many prefixes, names and pods have each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    known: BTreeMap<Identity, Known>,
    /// Identities that something got or lost since the last [`Members::settle`].
    touched: Vec<Identity>,
}

#[derive(Clone, Debug)]
struct Known {
    member: Member,
    uses: u32,
    /// It was there at the last [`Members::settle`].
    settled: bool,
}

/// What came and went.
pub(crate) struct Settled {
    pub(crate) added: Vec<(Identity, Member)>,
    pub(crate) removed: Vec<(Identity, Member)>,
}

/// The reserved identities and the entities that select them.
const RESERVED: [(Identity, &[Entity]); 8] = [
    (Identity::HOST, &[Entity::Host]),
    (Identity::WORLD, &[Entity::World]),
    (Identity::UNMANAGED, &[Entity::Unmanaged]),
    (Identity::HEALTH, &[Entity::Health]),
    (Identity::INIT, &[Entity::Init]),
    (Identity::REMOTE_NODE, &[Entity::RemoteNode]),
    (Identity::KUBE_APISERVER, &[Entity::KubeApiserver, Entity::RemoteNode]),
    (Identity::INGRESS, &[Entity::Ingress]),
];

impl Members {
    /// The reserved identities; `host` is what the node's own identity stands for.
    pub(crate) fn reserved(host: LabelSet) -> Self {
        let mut members = Self::default();
        for (identity, entities) in RESERVED {
            let mut labels = LabelSet::default();
            for entity in entities {
                labels.insert(crate::identity::Source::Reserved, entity.word(), "");
            }
            members.add(identity, || Member { labels, ports: NamedPorts::new() });
        }
        if let Some(known) = members.known.get_mut(&Identity::HOST) {
            known.member.labels = host;
        }
        members
    }

    pub(crate) fn get(&self, identity: Identity) -> Option<&Member> {
        self.known.get(&identity).map(|known| &known.member)
    }

    /// All of them, ordered.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Identity, &Member)> {
        self.known.iter().map(|(identity, known)| (*identity, &known.member))
    }

    /// Those that peers stand for, ordered.
    pub(crate) fn of<'a>(&'a self, peers: &'a PeerSet) -> impl Iterator<Item = (Identity, &'a Member)> {
        let (all, listed) = match peers {
            PeerSet::Any => (Some(self.iter()), None),
            PeerSet::Listed(listed) => (None, Some(listed)),
        };
        let listed = listed.into_iter().flat_map(|listed| listed.iter());
        let listed = listed.filter_map(|identity| Some((*identity, self.get(*identity)?)));
        all.into_iter().flatten().chain(listed)
    }

    /// Something has this identity.
    pub(crate) fn add(&mut self, identity: Identity, member: impl FnOnce() -> Member) {
        let new = || Known { member: member(), uses: 0, settled: false };
        let known = self.known.entry(identity).or_insert_with(new);
        if known.uses == 0 {
            self.touched.push(identity);
        }
        known.uses = known.uses.saturating_add(1);
    }

    /// Something has it no more.
    pub(crate) fn remove(&mut self, identity: Identity) {
        let Some(known) = self.known.get_mut(&identity) else { return };
        known.uses = known.uses.saturating_sub(1);
        if known.uses == 0 {
            self.touched.push(identity);
        }
    }

    /// After a start: takes no more memory than it needs.
    pub(crate) fn pack(&mut self) {
        pack(&mut self.known);
    }

    /// What came and went since the last time, ordered.
    pub(crate) fn settle(&mut self) -> Settled {
        let mut settled = Settled { added: Vec::new(), removed: Vec::new() };
        self.touched.sort_unstable();
        self.touched.dedup();
        for identity in core::mem::take(&mut self.touched) {
            let Some(known) = self.known.get_mut(&identity) else { continue };
            match (known.settled, known.uses) {
                (false, 0) => drop(self.known.remove(&identity)),
                (true, 0) => {
                    let known = self.known.remove(&identity);
                    settled.removed.extend(known.map(|known| (identity, known.member)));
                }
                (false, _) => {
                    known.settled = true;
                    settled.added.push((identity, known.member.clone()));
                }
                (true, _) => {}
            }
        }
        settled
    }
}
