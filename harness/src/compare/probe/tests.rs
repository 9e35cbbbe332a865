//! The table of `compare`, and what each field of an expectation accepts.

use egret_core::author::PolicyId;
use egret_core::probe::{JudgedAs, Observation, Outcome};
use egret_shared::DropReason;
use rstest::rstest;

use super::*;
use crate::case::{ByWord, ClientWord};
use crate::fake::{allow, default_deny, dropped, judged, reached};

fn ok() -> Expect {
    Expect { client: Some(ClientWord::Is(Outcome::Ok)), ..Expect::default() }
}

fn refused() -> Observation {
    Observation { client: Outcome::Refused, ..reached() }
}

#[rstest]
#[case::all_agree(ok(), reached(), reached(), None)]
#[case::the_case_is_wrong(ok(), dropped(), dropped(), Some(Alone::Expected))]
#[case::the_model_is_wrong(ok(), dropped(), reached(), Some(Alone::Predicted))]
#[case::the_datapath_is_wrong(ok(), reached(), dropped(), Some(Alone::Observed))]
#[case::nobody_agrees(ok(), refused(), dropped(), Some(Alone::All))]
#[case::the_case_does_not_say(Expect::default(), reached(), dropped(), Some(Alone::Unstated))]
fn who_stands_alone(
    #[case] expect: Expect,
    #[case] predicted: Observation,
    #[case] observed: Observation,
    #[case] alone: Option<Alone>,
) {
    assert_eq!(compare(&expect, &predicted, &observed, Sight::Flows).alone, alone);
}

fn met(expect: &Expect, seen: &Observation) -> bool {
    compare(expect, seen, seen, Sight::Flows).alone.is_none()
}

#[test]
fn blocked_needs_a_drop_that_was_seen() {
    let blocked = Expect { client: Some(ClientWord::Blocked), ..Expect::default() };
    assert!(met(&blocked, &dropped()));
    assert!(met(&blocked, &Observation { client: Outcome::DnsTimeout, ..dropped() }));
    assert!(!met(&blocked, &Observation { client: Outcome::Refused, ..dropped() }), "somebody answered");
    assert!(!met(&blocked, &Observation { client: Outcome::Timeout, ..reached() }), "silence alone");
}

#[rstest]
#[case::the_policy(None, true)]
#[case::the_rule(Some("egress[0]"), true)]
#[case::the_port(Some("egress[0].toPorts[1]"), true)]
#[case::another_port(Some("egress[0].toPorts[0]"), false)]
#[case::half_a_word(Some("egress[0].toP"), false)]
fn a_path_names_what_is_below_it(#[case] path: Option<&str>, #[case] named: bool) {
    let seen = Observation { egress: judged(JudgedAs::Forwarded, None, Some(allow())), ..reached() };
    let policy = PolicyId {
        kind: "CiliumNetworkPolicy".into(),
        namespace: Some("default".into()),
        name: "allow-egress-fqdn".into(),
    };
    let by = Some(ByWord::Policy(policy, path.map(ToOwned::to_owned)));
    assert_eq!(met(&Expect { by, ..Expect::default() }, &seen), named);
}

#[test]
fn the_author_is_that_of_the_direction_that_stopped() {
    let seen = Observation {
        client: Outcome::Timeout,
        egress: judged(JudgedAs::Forwarded, None, Some(allow())),
        ingress: judged(JudgedAs::Dropped, Some(DropReason::PolicyDenied), Some(default_deny())),
        addresses: Vec::new(),
    };
    let by = |by| Expect { by: Some(by), reason: Some(DropReason::PolicyDenied), ..Expect::default() };
    assert!(met(&by(ByWord::DefaultDeny), &seen));
    assert!(!met(&by(ByWord::Kubelet), &seen));
    let passed = Observation {
        egress: judged(JudgedAs::Forwarded, None, Some(default_deny())),
        ingress: judged(JudgedAs::Forwarded, None, Some(egret_core::Author::Kubelet)),
        ..reached()
    };
    let at_ingress =
        Expect { ingress: Some(JudgedAs::Forwarded), by: Some(ByWord::DefaultDeny), ..Expect::default() };
    assert!(!met(&at_ingress, &passed), "the other direction's author does not count");
}

#[test]
fn addresses_compare_in_any_order() {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let seen = Observation { addresses: addresses(&["10.0.0.2", "10.0.0.1"]), ..reached() };
    let expect = |texts| Expect { addresses: Some(addresses(texts)), ..Expect::default() };
    assert!(met(&expect(&["10.0.0.1", "10.0.0.2"]), &seen));
    assert!(!met(&expect(&["10.0.0.1"]), &seen));
}

#[test]
fn default_denies_that_differ_name_their_policies() {
    let other = Observation {
        egress: judged(
            JudgedAs::Dropped,
            Some(DropReason::PolicyDenied),
            Some(egret_core::Author::DefaultDeny { because: Vec::new() }),
        ),
        ..dropped()
    };
    let comparison = compare(&Expect::default(), &other, &dropped(), Sight::Flows);
    let row = comparison.mismatches().next().unwrap();
    assert_eq!(row.predicted.as_deref(), Some("default deny ()"));
    assert_eq!(row.observed.as_deref(), Some("default deny (NetworkPolicy default/default-deny-all)"));
}

/// A subject that sees only clients: what the datapath decided is neither held against it nor counted for it.
#[test]
fn what_cannot_be_seen_is_said_to_be_unobserved() {
    let silent = Observation { client: Outcome::Timeout, egress: None, ingress: None, addresses: Vec::new() };
    let expect = Expect {
        client: Some(ClientWord::Blocked),
        egress: Some(JudgedAs::Dropped),
        by: Some(ByWord::DefaultDeny),
        ..Expect::default()
    };
    let comparison = compare(&expect, &dropped(), &silent, Sight::Client);
    assert_eq!(comparison.alone, None);
    let unseen: Vec<_> = comparison.rows.iter().filter(|row| !row.is_observed).collect();
    assert_eq!(
        unseen.iter().map(|row| row.field).collect::<Vec<_>>(),
        [Field::Egress, Field::Reason, Field::By]
    );
    assert!(unseen.iter().all(|row| row.observed.as_deref() == Some("not observed")));

    assert_eq!(compare(&expect, &dropped(), &reached(), Sight::Client).alone, Some(Alone::Observed));
    assert_eq!(compare(&expect, &dropped(), &silent, Sight::Flows).alone, Some(Alone::Observed));
}

fn by_policy(path: &str) -> Option<egret_core::Author> {
    match allow() {
        egret_core::Author::Rule { policy, .. } => {
            Some(egret_core::Author::Rule { policy, path: path.into() })
        }
        other @ (egret_core::Author::DefaultDeny { .. } | egret_core::Author::Kubelet) => Some(other),
    }
}

fn at_egress(verdict: JudgedAs, by: Option<egret_core::Author>) -> Observation {
    Observation { egress: judged(verdict, None, by), ingress: None, ..reached() }
}

/// Hubble names policies without their rules, and does not tell whether a policy is in force at all.
#[rstest]
#[case::the_policy(by_policy("egress[0]"), JudgedAs::Forwarded, by_policy(""), None)]
#[case::nobody_named(by_policy("egress[0]"), JudgedAs::Forwarded, None, None)]
#[case::nothing_in_force(None, JudgedAs::None, None, None)]
#[case::somebody_else(
    by_policy("egress[0]"),
    JudgedAs::Forwarded,
    Some(default_deny()),
    Some(Alone::Observed)
)]
fn what_hubble_says_is_held_against_what_it_can_say(
    #[case] by: Option<egret_core::Author>,
    #[case] verdict: JudgedAs,
    #[case] said: Option<egret_core::Author>,
    #[case] alone: Option<Alone>,
) {
    let word = by.as_ref().map(|_| {
        let policy = PolicyId {
            kind: "CiliumNetworkPolicy".into(),
            namespace: Some("default".into()),
            name: "allow-egress-fqdn".into(),
        };
        ByWord::Policy(policy, Some("egress[0]".into()))
    });
    let expect = Expect { by: word, egress: Some(verdict), ..ok() };
    let predicted = at_egress(verdict, by);
    let observed = at_egress(JudgedAs::Forwarded, said);
    assert_eq!(compare(&expect, &predicted, &observed, Sight::Hubble).alone, alone);
}

#[test]
fn what_hubble_has_not_told_is_not_observed() {
    let silent = Observation { client: Outcome::Timeout, egress: None, ingress: None, addresses: Vec::new() };
    let expect =
        Expect { egress: Some(JudgedAs::Dropped), by: Some(ByWord::DefaultDeny), ..Expect::default() };
    let comparison = compare(&expect, &dropped(), &silent, Sight::Hubble);
    assert_eq!(comparison.alone, None);
    let unseen = comparison.rows.iter().filter(|row| !row.is_observed).map(|row| row.field);
    assert_eq!(unseen.collect::<Vec<_>>(), [Field::Egress, Field::Reason, Field::By]);
    let passed = at_egress(JudgedAs::Forwarded, None);
    assert!(
        compare(&expect, &dropped(), &passed, Sight::Hubble).alone.is_some(),
        "it was told to have passed"
    );
}
