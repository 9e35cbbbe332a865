//! The located tree: values with their places, mappings in their order with the places of their keys.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::error::ReadError;
use super::path::{Path, Segment};
use super::reader::Reader;
use crate::source::Place;

/// Most errors that are looked for in one object: each further one means to read it once more.
const MOST_ERRORS: usize = 50;
/// Keys of a mapping that are compared each with each.
const FEW: usize = 16;

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Place of a scalar's text; of a collection, its first key or item, or its opening bracket when empty.
    pub at: Place,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A negative integer.
    Negative(i64),
    /// An integer.
    Integer(u64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Text.
    Text(String),
    /// Items in their order.
    Sequence(Vec<Node>),
    /// Keys, their places, and values in their order.
    Mapping(Vec<(String, Place, Node)>),
    /// Was wrong and is passed over, so that the rest can be read; no document holds it.
    LeftOut,
}

// === impl Node ===

impl Node {
    /// Reads the tree as a type.
    ///
    /// # Errors
    /// The first part that does not fit, with its path and place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        T::deserialize(Reader::of(self))
    }

    /// The value below this key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|(name, ..)| name == key).map(|(.., node)| node)
    }

    /// The item at this index of a sequence.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<&Self> {
        if let Value::Sequence(items) = &self.value { items.get(index) } else { None }
    }

    /// The text of a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// One behind the last byte of the value: the end of its last scalar.
    #[must_use]
    pub fn end(&self) -> usize {
        let inner = match &self.value {
            Value::Sequence(items) => items.iter().map(Self::end).max(),
            Value::Mapping(entries) => entries.iter().map(|(_, key, node)| node.end().max(key.end)).max(),
            Value::Null
            | Value::Bool(_)
            | Value::Negative(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::LeftOut => None,
        };
        inner.unwrap_or(0).max(self.at.end)
    }

    /// Changes every place in the tree.
    pub(super) fn each_place(&mut self, change: &dyn Fn(&mut Place)) {
        change(&mut self.at);
        if let Value::Sequence(items) = &mut self.value {
            items.iter_mut().for_each(|item| item.each_place(change));
        } else if let Value::Mapping(entries) = &mut self.value {
            for (_, key, node) in entries {
                change(key);
                node.each_place(change);
            }
        }
    }

    /// A key that stands twice in one mapping, with its second place.
    pub(super) fn key_twice(&self) -> Option<(&str, Place)> {
        match &self.value {
            Value::Sequence(items) => items.iter().find_map(Self::key_twice),
            Value::Mapping(entries) => {
                twice(entries).or_else(|| entries.iter().find_map(|(.., node)| node.key_twice()))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Negative(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::LeftOut => None,
        }
    }

    /// What is wrong beside `first`: reads again without the part that was wrong until the rest can be read.
    pub(super) fn every_error(
        &self,
        first: ReadError,
        read: &dyn Fn(&Self) -> Option<ReadError>,
    ) -> Vec<ReadError> {
        let mut rest = self.clone();
        let mut removed: Vec<Path> = Vec::new();
        let mut errors = Vec::new();
        let mut next = Some(first);
        while let Some(error) = next.take_if(|_| errors.len() < MOST_ERRORS) {
            // A field that is missing because its value was wrong or its key misspelt is not another error.
            // Nor is one that nothing is left of: then what holds it is left out.
            let mut culprit = error.culprit();
            let is_missing =
                error.missing().is_some_and(|missing| removed.iter().any(|other| missing.is_like(other)));
            if !is_missing && !removed.contains(&culprit) {
                errors.push(error);
            }
            while !culprit.is_root() && removed.contains(&culprit) {
                culprit.0.pop();
            }
            if culprit.is_root() || !rest.leave_out(&culprit) {
                break;
            }
            removed.push(culprit);
            next = read(&rest);
        }
        errors
    }

    /// Passes over the value at a path from now on; false when there is none.
    fn leave_out(&mut self, path: &Path) -> bool {
        let mut node = self;
        for step in &path.0 {
            let next = match (&mut node.value, step) {
                (Value::Mapping(entries), Segment::Key(key)) => {
                    entries.iter_mut().find(|(name, ..)| name == key).map(|(.., node)| node)
                }
                (Value::Sequence(items), Segment::Index(index)) => items.get_mut(*index),
                _ => None,
            };
            let Some(next) = next else { return false };
            node = next;
        }
        std::mem::replace(&mut node.value, Value::LeftOut) != Value::LeftOut
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let mut at = place_of(spanned.referenced);
        // The parser gives a block collection no width: its first key or item stands for it.
        let inner = if let Value::Mapping(entries) = &spanned.value {
            entries.first().map(|(_, place, _)| *place)
        } else if let Value::Sequence(items) = &spanned.value {
            items.first().map(|node| node.at)
        } else {
            None
        };
        if let Some(inner) = inner {
            at = inner;
        }
        Ok(Self { value: spanned.value, at })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Integer))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Node>()? {
            entries.push((key.value, place_of(key.referenced), value));
        }
        Ok(Value::Mapping(entries))
    }
}

/// The first key that was there before it, with its place.
pub(super) fn twice(entries: &[(String, Place, Node)]) -> Option<(&str, Place)> {
    let is_known = |index: usize, key: &str| entries.iter().take(index).any(|(other, ..)| other == key);
    let mut keys = entries.iter().map(|(key, place, _)| (key.as_str(), *place));
    if entries.len() <= FEW {
        return keys.enumerate().find(|(index, (key, _))| is_known(*index, key)).map(|(_, key)| key);
    }
    let mut known = BTreeSet::new();
    keys.find(|(key, _)| !known.insert(*key))
}

/// The parser's place as ours.
pub(super) fn place_of(location: serde_saphyr::Location) -> Place {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let start = number(location.span().byte_offset().unwrap_or_default());
    let length = number(location.span().byte_len().unwrap_or_default());
    Place {
        line: number(location.line()),
        column: number(location.column()),
        start,
        end: start.saturating_add(length),
    }
}
