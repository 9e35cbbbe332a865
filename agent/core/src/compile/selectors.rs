//! The selectors of all rules, each once, with the identities that it selects.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use egret_shared::Identity;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::index::{Index, Looker};
use crate::identity::{Member, Members, Settled};
use crate::policy::resolve::is_selected;
use crate::rule::Dialect;
use crate::selector::Selector;

/// Selectors by their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    /// Places by selector, each with the selector's hash; the selector stands in its place.
    places: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
    all: Vec<Option<Selected>>,
    free: Vec<u32>,
}

/// One selector.
#[derive(Clone, Debug)]
struct Selected {
    selector: Selector,
    // INVARIANT: ordered.
    identities: Arc<[Identity]>,
    /// Places of the sections whose rules ask, once for each rule.
    users: Vec<u32>,
}

impl Selectors {
    /// The place of a selector that a rule of a section asks.
    pub(super) fn add(
        &mut self,
        selector: &Selector,
        section: u32,
        (index, members, dialect): (&mut Index, &Members, Dialect),
    ) -> u32 {
        let hash = self.hasher.hash_one(selector);
        let is = |(_, place): &(u64, u32)| {
            self.all.get(at(*place)).and_then(Option::as_ref).is_some_and(|one| one.selector == *selector)
        };
        let place = match self.places.find(hash, is) {
            Some((_, place)) => *place,
            None => {
                let anchor = selector.anchor();
                let selects = |member: &Member| is_selected(selector, &member.labels, dialect);
                let place = put(&mut self.all, &mut self.free, None);
                let identities = match index.add_looker(Looker::Selector(place), &anchor) {
                    Some(found) => {
                        found.iter().copied().filter(|id| members.get(*id).is_some_and(selects)).collect()
                    }
                    None => members.iter().filter(|(_, member)| selects(member)).map(|(id, _)| id).collect(),
                };
                if let Some(slot) = self.all.get_mut(at(place)) {
                    *slot = Some(Selected { selector: selector.clone(), identities, users: Vec::new() });
                }
                self.places.insert_unique(hash, (hash, place), |(hash, _)| *hash);
                place
            }
        };
        if let Some(Some(selected)) = self.all.get_mut(at(place)) {
            selected.users.reserve_exact(1);
            selected.users.push(section);
        }
        place
    }

    /// A rule of a section asks no more.
    pub(super) fn remove(&mut self, place: u32, section: u32, index: &mut Index) {
        let Some(slot) = self.all.get_mut(at(place)) else { return };
        let Some(selected) = slot else { return };
        if let Some(user) = selected.users.iter().position(|user| *user == section) {
            selected.users.swap_remove(user);
        }
        if selected.users.is_empty() {
            index.remove_looker(Looker::Selector(place), &selected.selector.anchor());
            let hash = self.hasher.hash_one(&selected.selector);
            if let Ok(entry) = self.places.find_entry(hash, |(_, other)| *other == place) {
                entry.remove();
            }
            *slot = None;
            self.free.push(place);
        }
    }

    /// The identities that a selector selects, ordered.
    pub(super) fn identities(&self, place: u32) -> Arc<[Identity]> {
        let selected = self.all.get(at(place)).and_then(Option::as_ref);
        selected.map(|selected| Arc::clone(&selected.identities)).unwrap_or_default()
    }

    /// Identities came and went; returns the sections whose rules select others than before.
    pub(super) fn settle(&mut self, settled: &Settled, index: &Index, dialect: Dialect) -> BTreeSet<u32> {
        let mut moves: BTreeMap<u32, Vec<(Identity, bool)>> = BTreeMap::new();
        if self.places.is_empty() {
            return BTreeSet::new();
        }
        let went = settled.removed.iter().map(|went| (went, false));
        for ((identity, member), comes) in went.chain(settled.added.iter().map(|came| (came, true))) {
            for place in index.selectors(&member.labels) {
                let selected = self.all.get(at(place)).and_then(Option::as_ref);
                if selected.is_some_and(|one| is_selected(&one.selector, &member.labels, dialect)) {
                    moves.entry(place).or_default().push((*identity, comes));
                }
            }
        }
        let mut users = BTreeSet::new();
        for (place, moves) in moves {
            let Some(Some(selected)) = self.all.get_mut(at(place)) else { continue };
            let mut identities = selected.identities.to_vec();
            for (identity, comes) in moves {
                match (identities.binary_search(&identity), comes) {
                    (Ok(place), false) => drop(identities.remove(place)),
                    (Err(place), true) => identities.insert(place, identity),
                    (Ok(_), true) | (Err(_), false) => {}
                }
            }
            selected.identities = identities.into();
            users.extend(&selected.users);
        }
        users
    }
}

/// Puts a thing where nothing is, and returns the place.
pub(super) fn put<T>(all: &mut Vec<Option<T>>, free: &mut Vec<u32>, thing: Option<T>) -> u32 {
    if let Some(place) = free.pop()
        && let Some(slot) = all.get_mut(at(place))
    {
        *slot = thing;
        return place;
    }
    all.push(thing);
    u32::try_from(all.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// A place as an index.
pub(super) fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
