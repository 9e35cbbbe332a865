//! The labels of which a selector needs one, so that it is looked for under few labels and not everywhere.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;

use super::{Entity, GroupMatch, LabelSelector, Operator, Requirement, Selector};
use crate::identity::label::{LabelSet, group_key, prefix_key};

/// Where to look for what a selector selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor<'a> {
    /// Whatever it selects has a label of this key, with one of the values.
    OneOf(&'a str, &'a BTreeSet<String>),
    /// Whatever it selects has a label of this key without a value.
    Bare(Cow<'a, str>),
    /// It may select anything.
    Anywhere,
    /// It selects nothing.
    Nowhere,
}

impl Anchor<'_> {
    /// Key and value of the labels; none for [`Self::Anywhere`].
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let (bare, several) = match self {
            Self::OneOf(key, values) => (None, Some((*key, *values))),
            Self::Bare(key) => (Some((&**key, "")), None),
            Self::Anywhere | Self::Nowhere => (None, None),
        };
        let several = several.into_iter();
        bare.into_iter()
            .chain(several.flat_map(|(key, values)| values.iter().map(move |value| (key, &**value))))
    }
}

impl Selector {
    /// The labels of which it needs one.
    pub(crate) fn anchor(&self) -> Anchor<'_> {
        match self {
            Self::Labels(selector) => selector.anchor(),
            Self::Prefix { prefix, .. } => Anchor::Bare(Cow::Owned(prefix_key(prefix))),
            Self::Group { which: GroupMatch::Name(name), .. } => Anchor::Bare(Cow::Owned(group_key(name))),
            Self::Group { which: GroupMatch::Labels(selector), .. } => selector.anchor(),
            Self::Name(pattern) => Anchor::Bare(Cow::Borrowed(pattern.text())),
            Self::Entity(Entity::All | Entity::Cluster) => Anchor::Anywhere,
            Self::Entity(Entity::None) => Anchor::Nowhere,
            Self::Entity(
                entity @ (Entity::Health
                | Entity::Host
                | Entity::Ingress
                | Entity::Init
                | Entity::KubeApiserver
                | Entity::RemoteNode
                | Entity::Unmanaged
                | Entity::World),
            ) => Anchor::Bare(Cow::Borrowed(entity.word())),
        }
    }
}

impl LabelSelector {
    /// The labels of which it needs one: its namespace where it names one, since few have that; otherwise those of
    /// the requirement with the fewest values.
    pub(crate) fn anchor(&self) -> Anchor<'_> {
        let lists = self.requirements.iter().filter_map(|Requirement { key, operator, .. }| match operator {
            Operator::In(values) => Some((key.as_str(), values)),
            Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => None,
        });
        let narrowest = lists.min_by_key(|(key, values)| (values.len(), *key != LabelSet::NAMESPACE));
        narrowest.map_or(Anchor::Anywhere, |(key, values)| Anchor::OneOf(key, values))
    }
}
