//! What is expected and predicted, as far as Hubble can say it: policies without their rules, and no policy in force
//! looks like a policy that lets everything pass.

use egret_core::Author;
use egret_core::probe::{JudgedAs, Judgement, Observation};

use super::Field;
use super::field::{candidates, named, stopping};
use crate::case::{ByWord, Expect};

/// Whether Hubble has said something of this field.
pub(super) fn sees(field: Field, observed: &Observation) -> bool {
    match field {
        Field::Client | Field::Addresses => true,
        Field::Egress => observed.egress.is_some(),
        Field::Ingress => observed.ingress.is_some(),
        Field::Reason => stopping(observed).is_some_and(|judged| judged.reason.is_some()),
        Field::By => {
            [&observed.egress, &observed.ingress].into_iter().flatten().any(|judged| judged.by.is_some())
        }
    }
}

/// The expectation without what was not said.
pub(super) fn expected(expect: &Expect, observed: &Observation) -> Expect {
    let by = expect.by.as_ref().and_then(|by| match by {
        ByWord::DefaultDeny => Some(ByWord::DefaultDeny),
        ByWord::Policy(policy, _) => Some(ByWord::Policy(policy.clone(), None)),
        // A rule that no policy has.
        ByWord::Kubelet => None,
    });
    let candidates = candidates(expect, observed);
    let by = by.filter(|by| {
        // Where several policies let a flow pass, none of them is the one.
        let all_said = candidates.iter().all(|judged| judged.by.is_some());
        all_said || candidates.iter().filter_map(|judged| judged.by.as_ref()).any(|author| named(by, author))
    });
    Expect { egress: expect.egress.map(passing), ingress: expect.ingress.map(passing), by, ..expect.clone() }
}

/// The prediction without what was not said.
pub(super) fn predicted(predicted: &Observation, observed: &Observation) -> Observation {
    Observation {
        egress: judged(predicted.egress.as_ref(), observed.egress.as_ref()),
        ingress: judged(predicted.ingress.as_ref(), observed.ingress.as_ref()),
        ..predicted.clone()
    }
}

fn judged(predicted: Option<&Judgement>, observed: Option<&Judgement>) -> Option<Judgement> {
    let (predicted, observed) = (predicted?, observed?);
    let by = observed.by.as_ref().and(predicted.by.as_ref()).map(|by| match by {
        Author::DefaultDeny { because: _ } => Author::DefaultDeny { because: Vec::new() },
        Author::Kubelet => Author::Kubelet,
        Author::Rule { policy, path: _ } => Author::Rule { policy: policy.clone(), path: String::new() },
    });
    Some(Judgement { verdict: passing(predicted.verdict), reason: observed.reason.and(predicted.reason), by })
}

const fn passing(verdict: JudgedAs) -> JudgedAs {
    match verdict {
        JudgedAs::None | JudgedAs::Forwarded => JudgedAs::Forwarded,
        JudgedAs::Redirected => JudgedAs::Redirected,
        JudgedAs::Dropped => JudgedAs::Dropped,
        JudgedAs::Audited => JudgedAs::Audited,
    }
}
