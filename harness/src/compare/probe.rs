//! One probe's three values against each other, field by field.

use std::borrow::Cow;

use egret_core::probe::Observation;

use super::{Alone, Field, Sight, field, hubble};
use crate::case::Expect;

/// One field in three columns. A column is `None` when there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which field.
    pub field: Field,
    /// What the case writes.
    pub expected: Option<String>,
    /// What the model says.
    pub predicted: Option<String>,
    /// What the subject did; of what it cannot see, that it was not observed.
    pub observed: Option<String>,
    /// Whether all three agree, as far as the subject sees.
    pub agrees: bool,
    /// Whether the subject sees this field.
    pub is_observed: bool,
}

/// A probe, compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Who stands alone; `None` when all three agree.
    pub alone: Option<Alone>,
    /// Every field that somebody has something to say about.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// The fields in which not all three agree.
    pub fn mismatches(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.agrees)
    }
}

/// Compares a probe's three values, as far as the subject sees.
#[must_use]
pub fn compare(expect: &Expect, predicted: &Observation, observed: &Observation, sight: Sight) -> Comparison {
    let all = |agrees: &dyn Fn(Field) -> bool| {
        Field::ALL.into_iter().filter(|field| sight.sees(*field, observed)).all(agrees)
    };
    let seen = Comparable::new(expect, predicted, observed, sight);
    let as_expected = all(&|field| field.meets(&seen.expect, observed, sight));
    let as_predicted = all(&|field| field.same(&seen.predicted, observed));
    let case_with_model = all(&|field| field.meets(expect, predicted, Sight::Flows));
    let alone = match (as_expected, as_predicted, case_with_model) {
        (true, true, _) => None,
        (false, true, _) => Some(Alone::Expected),
        (false, false, false) => Some(Alone::All),
        (true, false, false) => Some(Alone::Predicted),
        (false, false, true) => Some(Alone::Observed),
        (true, false, true) => Some(Alone::Unstated),
    };
    let row = |field| row(field, (expect, predicted), &seen, observed, sight);
    Comparison { alone, rows: Field::ALL.into_iter().filter_map(row).collect() }
}

/// What is expected and predicted, in the words of who observes.
struct Comparable<'a> {
    expect: Cow<'a, Expect>,
    predicted: Cow<'a, Observation>,
}

impl<'a> Comparable<'a> {
    fn new(expect: &'a Expect, predicted: &'a Observation, observed: &Observation, sight: Sight) -> Self {
        match sight {
            Sight::Flows | Sight::Client => {
                Self { expect: Cow::Borrowed(expect), predicted: Cow::Borrowed(predicted) }
            }
            Sight::Hubble => Self {
                expect: Cow::Owned(hubble::expected(expect, observed)),
                predicted: Cow::Owned(hubble::predicted(predicted, observed)),
            },
        }
    }
}

fn row(
    field: Field,
    (expect, predicted): (&Expect, &Observation),
    seen: &Comparable<'_>,
    observed: &Observation,
    sight: Sight,
) -> Option<Row> {
    if !sight.sees(field, observed) {
        let (expected, predicted) = (field.expected(expect), field.seen(predicted, false));
        let observed = (expected.is_some() || predicted.is_some()).then(|| "not observed".to_owned());
        return observed.is_some().then_some(Row {
            field,
            expected,
            predicted,
            observed,
            agrees: true,
            is_observed: false,
        });
    }
    let same = field.same(&seen.predicted, observed);
    // Two default denies read alike until the policies behind them are named.
    let detailed = !same && field.seen(predicted, false) == field.seen(observed, false);
    let row = Row {
        field,
        expected: field.expected(expect),
        predicted: field.seen(predicted, detailed),
        observed: field.seen(observed, detailed),
        agrees: same && field.meets(&seen.expect, observed, sight),
        is_observed: true,
    };
    (row.expected.is_some() || row.predicted.is_some() || row.observed.is_some()).then_some(row)
}

/// The authors who decided an observation: the one who ended the flow, else those who let it through.
pub(crate) fn deciders(observation: &Observation) -> Vec<&egret_core::Author> {
    match field::stopping(observation) {
        Some(judged) => judged.by.iter().collect(),
        None => [&observation.egress, &observation.ingress]
            .into_iter()
            .flatten()
            .filter_map(|judged| judged.by.as_ref())
            .collect(),
    }
}

#[cfg(test)]
mod tests;
