//! What stands under each label: who has it, and who looks for it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use egret_shared::Identity;
use hashbrown::hash_map::EntryRef;
use hashbrown::{Equivalent, HashMap};

use crate::identity::label::Label;
use crate::identity::{LabelSet, Source};
use crate::selector::anchor::Anchor;

/// Identities by label, and the selectors and sections that need a label. Nothing here is ordered when it leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    under: HashMap<Key, Under>,
    /// Selectors and sections that may select anything.
    anywhere: Lookers,
}

/// Key and value of a label; the source is of no account. The hash stands here too, so that a table that grows has
/// not to look at all labels again.
#[derive(Clone, Debug)]
struct Key {
    hash: u64,
    label: Arc<Label>,
}

/// What stands under one label.
#[derive(Clone, Debug, Default)]
struct Under {
    // INVARIANT: ordered.
    identities: Vec<Identity>,
    /// `None`: nobody.
    lookers: Option<Box<Lookers>>,
}

/// Places of selectors and sections.
#[derive(Clone, Debug, Default)]
struct Lookers {
    selectors: Vec<u32>,
    sections: Vec<u32>,
}

/// Who looks for a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looker {
    /// The selector at this place.
    Selector(u32),
    /// The subject of the section at this place.
    Section(u32),
}

impl Index {
    /// An identity came.
    pub(super) fn add_identity(&mut self, identity: Identity, labels: &LabelSet) {
        for label in labels.labels() {
            let under = self.under.entry(Key::from(Arc::clone(label))).or_default();
            if under.identities.is_empty() {
                under.identities.reserve_exact(1);
            }
            match under.identities.last() {
                None => under.identities.push(identity),
                Some(last) if *last < identity => under.identities.push(identity),
                Some(_) => {
                    if let Err(place) = under.identities.binary_search(&identity) {
                        under.identities.insert(place, identity);
                    }
                }
            }
        }
    }

    /// An identity went.
    pub(super) fn remove_identity(&mut self, identity: Identity, labels: &LabelSet) {
        for label in labels.labels() {
            let Some(under) = self.under.get_mut(&Known(label)) else { continue };
            if let Ok(place) = under.identities.binary_search(&identity) {
                under.identities.remove(place);
            }
            if under.is_empty() {
                self.under.remove(&Known(label));
            }
        }
    }

    /// Somebody looks for what has one of these labels; returns what is there, as [`Self::identities`] does.
    pub(super) fn add_looker(&mut self, looker: Looker, anchor: &Anchor<'_>) -> Option<Cow<'_, [Identity]>> {
        if *anchor == Anchor::Anywhere {
            self.anywhere.add(looker);
            return None;
        }
        let mut pairs = anchor.pairs();
        if let (Some(only), None) = (pairs.next(), pairs.next()) {
            let under = self.under(only);
            under.lookers.get_or_insert_default().add(looker);
            return Some(Cow::Borrowed(&under.identities));
        }
        anchor.pairs().for_each(|pair| self.under(pair).lookers.get_or_insert_default().add(looker));
        self.identities(anchor)
    }

    /// What stands under a key and value, from now on.
    fn under(&mut self, (key, value): (&str, &str)) -> &mut Under {
        match self.under.entry_ref(&Wanted::new(key, value)) {
            EntryRef::Occupied(entry) => entry.into_mut(),
            EntryRef::Vacant(entry) => {
                let label = Label::new(Source::K8s, key.to_string(), value);
                entry.insert_with_key(Key::from(label), Under::default())
            }
        }
    }

    /// Somebody looks no more.
    pub(super) fn remove_looker(&mut self, looker: Looker, anchor: &Anchor<'_>) {
        if *anchor == Anchor::Anywhere {
            self.anywhere.remove(looker);
        }
        for (key, value) in anchor.pairs() {
            let wanted = Wanted::new(key, value);
            let Some(under) = self.under.get_mut(&wanted) else { continue };
            if let Some(lookers) = &mut under.lookers {
                lookers.remove(looker);
            }
            if under.is_empty() {
                self.under.remove(&wanted);
            }
        }
    }

    /// The identities with one of these labels, ordered; `None`: any identity may be meant.
    pub(super) fn identities(&self, anchor: &Anchor<'_>) -> Option<Cow<'_, [Identity]>> {
        if *anchor == Anchor::Anywhere {
            return None;
        }
        let mut under = anchor.pairs().filter_map(|(key, value)| self.under.get(&Wanted::new(key, value)));
        let first = under.next().map_or([].as_slice(), |under| &under.identities);
        let Some(second) = under.next() else { return Some(Cow::Borrowed(first)) };
        let others = under.chain([second]).flat_map(|under| &under.identities);
        let mut found: Vec<Identity> = first.iter().chain(others).copied().collect();
        found.sort_unstable();
        found.dedup();
        Some(Cow::Owned(found))
    }

    /// Selectors that may select whoever has these labels.
    pub(super) fn selectors(&self, labels: &LabelSet) -> Vec<u32> {
        self.lookers(labels, |lookers| &lookers.selectors)
    }

    /// Sections that may be about whoever has these labels.
    pub(super) fn sections(&self, labels: &LabelSet) -> Vec<u32> {
        self.lookers(labels, |lookers| &lookers.sections)
    }

    fn lookers(&self, labels: &LabelSet, of: impl Fn(&Lookers) -> &Vec<u32> + Copy) -> Vec<u32> {
        let mut found = of(&self.anywhere).clone();
        for label in labels.labels() {
            let under = self.under.get(&Known(label));
            let lookers = under.and_then(|under| under.lookers.as_deref());
            found.extend(lookers.into_iter().flat_map(of));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Under {
    fn is_empty(&self) -> bool {
        let is_nobody = |lookers: &Lookers| lookers.selectors.is_empty() && lookers.sections.is_empty();
        self.identities.is_empty() && self.lookers.as_deref().is_none_or(is_nobody)
    }
}

impl Lookers {
    fn add(&mut self, looker: Looker) {
        match looker {
            Looker::Selector(place) => self.selectors.push(place),
            Looker::Section(place) => self.sections.push(place),
        }
    }

    fn remove(&mut self, looker: Looker) {
        match looker {
            Looker::Selector(place) => take_out(&mut self.selectors, place),
            Looker::Section(place) => take_out(&mut self.sections, place),
        }
    }
}

fn take_out(places: &mut Vec<u32>, place: u32) {
    if let Some(at) = places.iter().position(|other| *other == place) {
        places.swap_remove(at);
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl From<Arc<Label>> for Key {
    fn from(label: Arc<Label>) -> Self {
        Self { hash: label.hash, label }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.label.is_like(&other.label)
    }
}

impl Eq for Key {}

/// A label that is looked up.
struct Known<'a>(&'a Arc<Label>);

impl Hash for Known<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Equivalent<Key> for Known<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0.is_like(&key.label)
    }
}

/// A key and value that are looked up.
struct Wanted<'a> {
    key: &'a str,
    value: &'a str,
    hash: u64,
}

impl<'a> Wanted<'a> {
    fn new(key: &'a str, value: &'a str) -> Self {
        Self { key, value, hash: Label::hash_of(key, value) }
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.hash == key.hash && *self.key == *key.label.key && *self.value == *key.label.value
    }
}
