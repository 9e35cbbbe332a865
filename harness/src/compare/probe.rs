//! One probe's three values against each other, field by field.

use egret_core::probe::Observation;

use super::{Alone, Field, field};
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
    /// What the subject did.
    pub observed: Option<String>,
    /// Whether all three agree.
    pub agrees: bool,
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

/// Compares a probe's three values.
#[must_use]
pub fn compare(expect: &Expect, predicted: &Observation, observed: &Observation) -> Comparison {
    let all = |agrees: &dyn Fn(Field) -> bool| Field::ALL.into_iter().all(agrees);
    let as_expected = all(&|field| field.meets(expect, observed));
    let as_predicted = all(&|field| field.same(predicted, observed));
    let case_with_model = all(&|field| field.meets(expect, predicted));
    let alone = match (as_expected, as_predicted, case_with_model) {
        (true, true, _) => None,
        (false, true, _) => Some(Alone::Expected),
        (false, false, false) => Some(Alone::All),
        (true, false, false) => Some(Alone::Predicted),
        (false, false, true) => Some(Alone::Observed),
        (true, false, true) => Some(Alone::Unstated),
    };
    let rows = Field::ALL.into_iter().filter_map(|field| row(field, expect, predicted, observed)).collect();
    Comparison { alone, rows }
}

fn row(field: Field, expect: &Expect, predicted: &Observation, observed: &Observation) -> Option<Row> {
    let same = field.same(predicted, observed);
    // Two default denies read alike until the policies behind them are named.
    let detailed = !same && field.seen(predicted, false) == field.seen(observed, false);
    let row = Row {
        field,
        expected: field.expected(expect),
        predicted: field.seen(predicted, detailed),
        observed: field.seen(observed, detailed),
        agrees: same && field.meets(expect, observed),
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
