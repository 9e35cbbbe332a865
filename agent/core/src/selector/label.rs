//! Label selectors: `matchLabels` and `matchExpressions`, all of which must hold.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::identity::{LabelSet, Source};

/// Requirements that must all hold; without any, everything is selected. A copy shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelSelector {
    /// The requirements.
    pub requirements: Arc<Vec<Requirement>>,
}

/// One requirement on one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// Source of the label; `None`: any.
    pub source: Option<Source>,
    /// Key of the label, without source.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
}

/// What a requirement asks of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// It is there with one of these values.
    In(BTreeSet<String>),
    /// It is absent, or has none of these values.
    NotIn(BTreeSet<String>),
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether all requirements hold for these labels.
    #[must_use]
    pub fn selects(&self, labels: &LabelSet) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }

    /// Adds what another selector requires.
    pub fn require_all(&mut self, other: &Self) {
        Arc::make_mut(&mut self.requirements).extend(other.requirements.iter().cloned());
    }

    /// Adds the requirement that a Kubernetes label has this value.
    pub fn require(&mut self, key: &str, value: &str) {
        Arc::make_mut(&mut self.requirements).push(Requirement {
            source: Some(Source::K8s),
            key: key.into(),
            operator: Operator::In(BTreeSet::from([value.into()])),
        });
    }

    /// Adds the requirement that a reserved label is there.
    pub fn require_reserved(&mut self, key: &str) {
        Arc::make_mut(&mut self.requirements).push(Requirement {
            source: Some(Source::Reserved),
            key: key.into(),
            operator: Operator::Exists,
        });
    }

    /// Adds the requirement that a Kubernetes label is there.
    pub fn require_key(&mut self, key: &str) {
        Arc::make_mut(&mut self.requirements).push(Requirement {
            source: Some(Source::K8s),
            key: key.into(),
            operator: Operator::Exists,
        });
    }
}

impl Requirement {
    /// Whether this requirement holds for these labels.
    #[must_use]
    pub fn holds(&self, labels: &LabelSet) -> bool {
        let mut values = labels.values(self.source, &self.key);
        match &self.operator {
            Operator::In(wanted) => values.any(|value| wanted.contains(value)),
            Operator::NotIn(unwanted) => !values.any(|value| unwanted.contains(value)),
            Operator::Exists => values.next().is_some(),
            Operator::DoesNotExist => values.next().is_none(),
        }
    }
}
