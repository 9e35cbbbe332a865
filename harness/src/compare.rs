//! Expected, predicted, observed: what a probe's three values say together, and what a case's probes add up to.
//!
//! | expected = observed | predicted = observed | expected = predicted | result |
//! | --- | --- | --- | --- |
//! | yes | yes | yes | pass |
//! | no | yes | no | fail: the case stands alone |
//! | yes | no | no | disagree: the model stands alone |
//! | no | no | yes | disagree: the datapath stands alone |
//! | no | no | no | fail: no two agree |
//! | yes | no | yes | disagree: model and datapath differ where the case says nothing |
//!
//! Expectations are partial: a field that the case does not write agrees with everything. So does a field that the
//! subject cannot see ([`Sight`]); reports say of it that it was not observed.

mod field;
mod hubble;
mod probe;

pub use field::Field;
pub(crate) use probe::deciders;
pub use probe::{Comparison, Row, compare};

use std::collections::BTreeSet;

use egret_core::probe::Observation;

use crate::case::Capability;

/// Which of the three values differs from the other two, for a probe whose values do not all agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alone {
    /// The case's: it fails.
    Expected,
    /// Each differs from each: it fails.
    All,
    /// The model's: a disagreement.
    Predicted,
    /// The subject's: a disagreement.
    Observed,
    /// The model and the subject differ, and the case does not say who is right: a disagreement.
    Unstated,
}

impl Alone {
    /// The sentence that reports print.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Expected => "the case stands alone: model and subject agree",
            Self::All => "no two of case, model and subject agree",
            Self::Predicted => "the model stands alone: case and subject agree",
            Self::Observed => "the subject stands alone: case and model agree",
            Self::Unstated => "model and subject differ where the case says nothing",
        }
    }

    /// The word in machine-readable reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::All => "all",
            Self::Predicted => "predicted",
            Self::Observed => "observed",
            Self::Unstated => "unstated",
        }
    }

    /// Whether the subject did not do what the case expects, and the model does not side with the case.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Expected | Self::All => true,
            Self::Predicted | Self::Observed | Self::Unstated => false,
        }
    }
}

/// How much of what happens to a packet a subject sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// What the client saw, and what the datapath decided in each direction, why, and by which rule.
    #[default]
    Flows,
    /// What the client saw. A silence counts as blocked: the subject has proved before that its network lets
    /// through and drops as it is told.
    Client,
    /// That, and what Hubble tells of the flows: verdicts, reasons, and policies where it names them. What it has not
    /// told of a probe is not observed.
    Hubble,
}

impl Sight {
    /// Whether it sees this field of what was observed.
    #[must_use]
    pub fn sees(self, field: Field, observed: &Observation) -> bool {
        match (self, field) {
            (Self::Flows, _) | (Self::Client, Field::Client | Field::Addresses) => true,
            (Self::Client, Field::Egress | Field::Ingress | Field::Reason | Field::By) => false,
            (Self::Hubble, _) => hubble::sees(field, observed),
        }
    }
}

/// The result of one case on one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseResult {
    /// All three agree.
    Pass,
    /// The subject did not do what the case expects.
    Fail,
    /// Model and subject differ; the reasons over all probes, in order.
    Disagree(BTreeSet<Alone>),
    /// It failed, and `cases/known/<subject>.yaml` says why.
    KnownFailure(KnownReason),
    /// It passed although it is listed as failing.
    UnexpectedPass(KnownReason),
    /// The subject lacks capabilities that the case needs.
    Skipped {
        /// What is missing.
        missing: Vec<Capability>,
        /// Those of them that `--require` lists: the skip then counts as failed.
        required: Vec<Capability>,
        /// Why it is missing here, where somebody could change that.
        why: Vec<String>,
    },
    /// The case could not run.
    Error {
        /// Where it stopped: a step's name, or nothing when the world did not come up.
        step: Option<String>,
        /// What went wrong.
        problem: String,
    },
}

/// Why a case is known to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownReason {
    /// One sentence.
    pub reason: String,
    /// Where it is discussed.
    pub link: String,
}

impl CaseResult {
    /// Whether the run fails because of it. An error is not a failure of the case, and never a pass.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        match self {
            Self::Pass | Self::KnownFailure(_) | Self::Error { .. } => false,
            Self::Fail | Self::Disagree(_) | Self::UnexpectedPass(_) => true,
            Self::Skipped { required, .. } => !required.is_empty(),
        }
    }

    /// Whether the case could not run.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self, Self::Error { .. })
    }

    /// The word in every report.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Disagree(_) => "disagree",
            Self::KnownFailure(_) => "known failure",
            Self::UnexpectedPass(_) => "unexpected pass",
            Self::Skipped { .. } => "skipped",
            Self::Error { .. } => "error",
        }
    }

    /// What probes add up to, each given by who stands alone, if anybody: a failure outweighs a disagreement.
    pub fn of_probes(probes: impl IntoIterator<Item = Option<Alone>>) -> Self {
        let alone: BTreeSet<Alone> = probes.into_iter().flatten().collect();
        if alone.is_empty() {
            Self::Pass
        } else if alone.iter().any(|alone| alone.is_failure()) {
            Self::Fail
        } else {
            Self::Disagree(alone)
        }
    }

    /// The result when `cases/known/<subject>.yaml` lists the case.
    #[must_use]
    pub fn with_known(self, known: KnownReason) -> Self {
        match self {
            Self::Pass => Self::UnexpectedPass(known),
            Self::Fail | Self::Disagree(_) => Self::KnownFailure(known),
            other @ (Self::KnownFailure(_)
            | Self::UnexpectedPass(_)
            | Self::Skipped { .. }
            | Self::Error { .. }) => other,
        }
    }
}
