//! The matrix against asking about each pair: the same verdicts by the same rules.

use egret_core::judge::{Cluster, Party, Question, SideAnswer};
use egret_core::matrix::{Matrix, Side, Who, traffic_of};
use proptest::prelude::*;

use crate::generate::{TRAFFIC, situation};
use crate::world::{cnp, desired};
use egret_core::Protocol;
use egret_core::fqdn::Names;
use egret_core::rule::Dialect;

/// Whom a party stands for, as questions name them. A prefix stands for its addresses outside longer ones.
fn asked(cluster: &Cluster, who: &Who) -> Vec<Party> {
    match who {
        Who::Pods(pods) => pods.iter().cloned().map(Party::Pod).collect(),
        Who::Host => vec![Party::Host],
        Who::RemoteNode => vec![Party::RemoteNode],
        Who::World => vec![Party::World],
        Who::Prefix(prefix) => {
            let state = cluster.states().next().unwrap();
            let own = |address: &_| state.identity_of(*address) == state.ipcache[prefix];
            prefix.hosts().take(300).find(own).into_iter().map(Party::Address).collect()
        }
    }
}

fn is_same(matrix: &Matrix, side: Side, answer: &SideAnswer) -> bool {
    // A cell names one rule that decides, an answer all of them.
    let is_named = matrix.author(side).map_or(answer.by.is_empty(), |author| answer.by.contains(author));
    side.verdict == answer.verdict && is_named
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn cells_are_the_answers_to_questions(situation in situation()) {
        let cluster = Cluster::new(&situation.desired(), &situation.names());
        let matrix = Matrix::new(&cluster, &TRAFFIC);
        let parties: Vec<&Who> = matrix.parties().collect();
        let mut pods = 0;
        for (from, source) in parties.iter().enumerate() {
            pods += source.pods().len();
            for (to, target) in parties.iter().enumerate() {
                for (place, (protocol, port)) in TRAFFIC.into_iter().enumerate() {
                    let cell = matrix.cell(from, to, place);
                    for from in asked(&cluster, source) {
                        for to in asked(&cluster, target).into_iter().filter(|to| *to != from) {
                            let question = Question { from: from.clone(), to, protocol, port, layer7: None };
                            let answer = cluster.ask(&question).unwrap();
                            match cell {
                                Some(cell) => prop_assert!(
                                    is_same(&matrix, cell.egress, &answer.egress)
                                        && is_same(&matrix, cell.ingress, &answer.ingress),
                                    "{:?}: {:?} and {:?}", question, cell, answer
                                ),
                                None => prop_assert!(source.pods().is_empty() && target.pods().is_empty()),
                            }
                        }
                    }
                }
            }
        }
        prop_assert_eq!(pods, 5, "every pod with a network of its own is in one party");
    }
}

#[test]
fn pods_that_nobody_can_tell_apart_are_one_party() {
    let policy = cnp(
        "ingress: [{ fromEndpoints: [{ matchLabels: { app: x } }], toPorts: [{ ports: [{ port: \"81\", protocol: TCP }] }] }]",
    );
    let cluster = Cluster::new(&desired(&policy, Dialect::Cilium), &Names::default());
    let matrix = Matrix::new(&cluster, &[(Protocol::Tcp, 81), (Protocol::Tcp, 82)]);
    let pods: Vec<Vec<String>> =
        matrix.parties().map(|who| who.pods().iter().map(ToString::to_string).collect()).collect();
    let (x, s, others) = (vec!["a/p1"], vec!["a/s"], vec!["a/p3", "b/p2", "kube-system/kube-dns-0"]);
    assert_eq!(pods[..3], [x, others, s]);
    let passes = |from, to, traffic| matrix.cell(from, to, traffic).map(|cell| cell.passes());
    assert_eq!(passes(0, 2, 0), Some(true));
    assert_eq!(passes(0, 2, 1), Some(false));
    assert_eq!(passes(1, 2, 0), Some(false));
    assert_eq!(passes(1, 1, 0), Some(true), "between different pods of one party");
    assert_eq!(passes(2, 2, 0), None, "a pod to itself");
    assert_eq!(passes(2, 9, 0), None, "no such party");
    assert_eq!(passes(2, 0, 2), None, "no such traffic");
}

#[test]
fn traffic_is_what_is_served_and_what_is_named() {
    let policy =
        cnp("egress: [{ toPorts: [{ ports: [{ port: \"5000\", endPort: 6000, protocol: UDP }] }] }]");
    let traffic = traffic_of(&desired(&policy, Dialect::Cilium));
    assert!(traffic.contains(&(Protocol::Udp, 5000)));
    assert!(traffic.contains(&(Protocol::Sctp, 80)));
    assert_eq!(traffic_of(&Default::default()), [(Protocol::Tcp, 80)]);
}
