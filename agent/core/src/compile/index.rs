//! What stands under each label: who has it, and who looks for it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use egret_shared::Identity;
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

/// Key and value of a label; the source is of no account.
#[derive(Clone, Debug)]
struct Key(Arc<Label>);

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
            let under = self.under.entry(Key(Arc::clone(label))).or_default();
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
            let key = Wanted(&label.key, &label.value);
            let Some(under) = self.under.get_mut(&key) else { continue };
            if let Ok(place) = under.identities.binary_search(&identity) {
                under.identities.remove(place);
            }
            if under.is_empty() {
                self.under.remove(&key);
            }
        }
    }

    /// Somebody looks for what has one of these labels.
    pub(super) fn add_looker(&mut self, looker: Looker, anchor: &Anchor<'_>) {
        let pairs = match anchor {
            Anchor::Anywhere => return self.anywhere.add(looker),
            Anchor::OneOf(pairs) => pairs,
        };
        for (key, value) in pairs {
            match self.under.get_mut(&Wanted(key, value)) {
                Some(under) => under.lookers.get_or_insert_default().add(looker),
                None => {
                    let mut under = Under::default();
                    under.lookers.get_or_insert_default().add(looker);
                    let label = Label::new(Source::K8s, key.to_string(), value);
                    self.under.insert(Key(label), under);
                }
            }
        }
    }

    /// Somebody looks no more.
    pub(super) fn remove_looker(&mut self, looker: Looker, anchor: &Anchor<'_>) {
        let pairs = match anchor {
            Anchor::Anywhere => return self.anywhere.remove(looker),
            Anchor::OneOf(pairs) => pairs,
        };
        for (key, value) in pairs {
            let wanted = Wanted(key, value);
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
        let Anchor::OneOf(pairs) = anchor else { return None };
        if let [(key, value)] = pairs.as_slice() {
            let under = self.under.get(&Wanted(key, value));
            return Some(Cow::Borrowed(under.map_or(&[], |under| &under.identities)));
        }
        let under = pairs.iter().filter_map(|(key, value)| self.under.get(&Wanted(key, value)));
        let mut found: Vec<Identity> = under.flat_map(|under| &under.identities).copied().collect();
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
            let under = self.under.get(&Wanted(&label.key, &label.value));
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

impl Key {
    fn pair(&self) -> (&str, &str) {
        (&self.0.key, &self.0.value)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pair().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.pair() == other.pair()
    }
}

impl Eq for Key {}

/// A key that is looked up.
struct Wanted<'a>(&'a str, &'a str);

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1).hash(state);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        key.pair() == (self.0, self.1)
    }
}
