//! The labels of which a selector needs one, so that it is looked for under few labels and not everywhere.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{Entity, GroupMatch, LabelSelector, Operator, Requirement, Selector};
use crate::identity::label::{LabelSet, group_key, prefix_key};

/// Key and value of a label, of whatever source.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Where to look for what a selector selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor<'a> {
    /// Whatever it selects has one of these.
    OneOf(Vec<Pair<'a>>),
    /// It may select anything.
    Anywhere,
}

impl Selector {
    /// The labels of which it needs one.
    pub(crate) fn anchor(&self) -> Anchor<'_> {
        match self {
            Self::Labels(selector) => selector.anchor(),
            Self::Prefix { prefix, .. } => bare(Cow::Owned(prefix_key(prefix))),
            Self::Group { which: GroupMatch::Name(name), .. } => bare(Cow::Owned(group_key(name))),
            Self::Group { which: GroupMatch::Labels(selector), .. } => selector.anchor(),
            Self::Name(pattern) => bare(Cow::Borrowed(pattern.text())),
            Self::Entity(Entity::All | Entity::Cluster) => Anchor::Anywhere,
            Self::Entity(Entity::None) => Anchor::OneOf(Vec::new()),
            Self::Entity(
                entity @ (Entity::Health
                | Entity::Host
                | Entity::Ingress
                | Entity::Init
                | Entity::KubeApiserver
                | Entity::RemoteNode
                | Entity::Unmanaged
                | Entity::World),
            ) => bare(Cow::Borrowed(entity.word())),
        }
    }
}

impl LabelSelector {
    /// The labels of which it needs one: its namespace where it names one, since few have that; otherwise those of
    /// the requirement with the fewest values.
    pub(crate) fn anchor(&self) -> Anchor<'_> {
        let values = |requirement: &Requirement| match &requirement.operator {
            Operator::In(values) => Some(values.len()),
            Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => None,
        };
        let weight = |requirement: &Requirement| {
            values(requirement).map(|count| (count, requirement.key != LabelSet::NAMESPACE))
        };
        let weighed =
            self.requirements.iter().filter_map(|requirement| Some((weight(requirement)?, requirement)));
        match weighed
            .min_by_key(|(weight, _)| *weight)
            .map(|(_, Requirement { key, operator, .. })| (key, operator))
        {
            Some((key, Operator::In(values))) => Anchor::OneOf(
                values.iter().map(|value| (key.as_str().into(), value.as_str().into())).collect(),
            ),
            Some((_, Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist)) | None => {
                Anchor::Anywhere
            }
        }
    }
}

fn bare(key: Cow<'_, str>) -> Anchor<'_> {
    Anchor::OneOf(alloc::vec![(key, Cow::Borrowed(""))])
}
