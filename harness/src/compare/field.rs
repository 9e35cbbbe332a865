//! One field of an expectation: its text in each of the three columns, and whether two values of it agree.

use std::net::IpAddr;

use egret_core::Author;
use egret_core::probe::{JudgedAs, Judgement, Observation};

use super::Sight;
use crate::case::{ByWord, ClientWord, Expect};

/// What is compared, in the order of the report's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// What the client saw.
    Client,
    /// Verdict at the client's endpoint.
    Egress,
    /// Verdict at the server's endpoint.
    Ingress,
    /// Drop reason.
    Reason,
    /// Deciding author.
    By,
    /// Addresses of a DNS answer.
    Addresses,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 6] =
        [Self::Client, Self::Egress, Self::Ingress, Self::Reason, Self::By, Self::Addresses];

    /// The key in case files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Reason => "reason",
            Self::By => "by",
            Self::Addresses => "addresses",
        }
    }

    /// The expected value as text; `None` when the case does not write it.
    pub(super) fn expected(self, expect: &Expect) -> Option<String> {
        match self {
            Self::Client => expect.client.as_ref().map(|word| match word {
                ClientWord::Is(outcome) => outcome.to_string(),
                ClientWord::Blocked => "blocked".into(),
            }),
            Self::Egress => expect.egress.map(|verdict| verdict.word().into()),
            Self::Ingress => expect.ingress.map(|verdict| verdict.word().into()),
            Self::Reason => expect.reason.map(|reason| reason.text().to_lowercase()),
            Self::By => expect.by.as_ref().map(by_word),
            Self::Addresses => expect.addresses.as_ref().map(|addresses| list(addresses)),
        }
    }

    /// A predicted or observed value as text; `None` when there is nothing to say. `detailed` names the
    /// policies behind a default deny.
    pub(super) fn seen(self, observation: &Observation, detailed: bool) -> Option<String> {
        match self {
            Self::Client => Some(observation.client.to_string()),
            Self::Egress => observation.egress.as_ref().map(|judged| judged.verdict.word().into()),
            Self::Ingress => observation.ingress.as_ref().map(|judged| judged.verdict.word().into()),
            Self::Reason => {
                each_direction(observation, |judged| judged.reason.map(|reason| reason.text().to_lowercase()))
            }
            Self::By => {
                each_direction(observation, |judged| judged.by.as_ref().map(|by| author(by, detailed)))
            }
            Self::Addresses => (!observation.addresses.is_empty()).then(|| list(&observation.addresses)),
        }
    }

    /// Whether what was predicted or observed is what the case expects; unwritten fields always are.
    pub(super) fn meets(self, expect: &Expect, seen: &Observation, sight: Sight) -> bool {
        match self {
            Self::Client => expect.client.as_ref().is_none_or(|word| match word {
                ClientWord::Is(outcome) => *outcome == seen.client,
                // A silence without a drop is not a block: it would be inferred, not measured.
                ClientWord::Blocked => {
                    seen.client.is_blocked() && (sight != Sight::Flows || stopping(seen).is_some())
                }
            }),
            Self::Egress => expect.egress.is_none_or(|word| verdict(&seen.egress) == Some(word)),
            Self::Ingress => expect.ingress.is_none_or(|word| verdict(&seen.ingress) == Some(word)),
            Self::Reason => expect
                .reason
                .is_none_or(|reason| stopping(seen).is_some_and(|judged| judged.reason == Some(reason))),
            Self::By => expect.by.as_ref().is_none_or(|word| {
                candidates(expect, seen)
                    .into_iter()
                    .filter_map(|judged| judged.by.as_ref())
                    .any(|by| named(word, by))
            }),
            Self::Addresses => {
                expect.addresses.as_ref().is_none_or(|addresses| sorted(addresses) == sorted(&seen.addresses))
            }
        }
    }

    /// Whether two of predicted and observed agree, whatever the case writes.
    pub(super) fn same(self, one: &Observation, other: &Observation) -> bool {
        let both = |read: fn(&Judgement) -> (Option<egret_shared::DropReason>, Option<&Author>)| {
            one.egress.as_ref().map(read) == other.egress.as_ref().map(read)
                && one.ingress.as_ref().map(read) == other.ingress.as_ref().map(read)
        };
        match self {
            Self::Client => one.client == other.client,
            Self::Egress => verdict(&one.egress) == verdict(&other.egress),
            Self::Ingress => verdict(&one.ingress) == verdict(&other.ingress),
            Self::Reason => both(|judged| (judged.reason, None)),
            Self::By => both(|judged| (None, judged.by.as_ref())),
            Self::Addresses => sorted(&one.addresses) == sorted(&other.addresses),
        }
    }
}

/// The judgement that ended the flow, egress first as the packet meets it first.
pub(super) fn stopping(seen: &Observation) -> Option<&Judgement> {
    [&seen.egress, &seen.ingress].into_iter().flatten().find(|judged| match judged.verdict {
        JudgedAs::Dropped | JudgedAs::Audited => true,
        JudgedAs::Forwarded | JudgedAs::Redirected | JudgedAs::None => false,
    })
}

/// The judgements that an expected author may stand in: the one that ended the flow; else those of the
/// directions that the case writes; else both.
pub(super) fn candidates<'a>(expect: &Expect, seen: &'a Observation) -> Vec<&'a Judgement> {
    if let Some(judged) = stopping(seen) {
        return vec![judged];
    }
    let neither = expect.egress.is_none() && expect.ingress.is_none();
    let egress = seen.egress.as_ref().filter(|_| neither || expect.egress.is_some());
    let ingress = seen.ingress.as_ref().filter(|_| neither || expect.ingress.is_some());
    egress.into_iter().chain(ingress).collect()
}

fn verdict(judged: &Option<Judgement>) -> Option<JudgedAs> {
    judged.as_ref().map(|judged| judged.verdict)
}

/// Whether the expected author names this one; a path names every path below it.
pub(super) fn named(word: &ByWord, by: &Author) -> bool {
    match (word, by) {
        (ByWord::DefaultDeny, Author::DefaultDeny { .. }) | (ByWord::Kubelet, Author::Kubelet) => true,
        (ByWord::Policy(wanted, start), Author::Rule { policy, path }) => {
            wanted == policy
                && start.as_ref().is_none_or(|start| {
                    path.strip_prefix(start.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                })
        }
        (ByWord::DefaultDeny, Author::Kubelet | Author::Rule { .. })
        | (ByWord::Kubelet, Author::DefaultDeny { .. } | Author::Rule { .. })
        | (ByWord::Policy(..), Author::DefaultDeny { .. } | Author::Kubelet) => false,
    }
}

fn by_word(word: &ByWord) -> String {
    match word {
        ByWord::DefaultDeny => "default deny".into(),
        ByWord::Kubelet => "kubelet".into(),
        ByWord::Policy(policy, None) => policy.to_string(),
        ByWord::Policy(policy, Some(path)) => format!("{policy} {path}"),
    }
}

fn author(by: &Author, detailed: bool) -> String {
    match by {
        Author::DefaultDeny { because } if detailed => {
            let policies: Vec<String> = because.iter().map(ToString::to_string).collect();
            format!("default deny ({})", policies.join(", "))
        }
        Author::DefaultDeny { .. } | Author::Kubelet | Author::Rule { .. } => by.to_string(),
    }
}

/// One text for both directions; the direction is named only when both have something to say.
fn each_direction(seen: &Observation, text: impl Fn(&Judgement) -> Option<String>) -> Option<String> {
    let egress = seen.egress.as_ref().and_then(&text);
    let ingress = seen.ingress.as_ref().and_then(&text);
    match (egress, ingress) {
        (Some(egress), Some(ingress)) => Some(format!("{egress} (egress), {ingress} (ingress)")),
        (one, other) => one.or(other),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = sorted(addresses).iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn sorted(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    addresses
}
