//! The compiled path against the slow reading of the same documents: random clusters, policies and flows.
//!
//! `cargo test` asks 50 000 flows; `EGRET_FLOWS=1000000` asks as many as it says. What differs is shrunk, and
//! printed as the policies and the cluster to put into a case.

#[path = "reference/cilium.rs"]
mod cilium;
#[path = "reference/cluster.rs"]
mod cluster;
#[path = "reference/documents.rs"]
mod documents;
#[path = "reference/flows.rs"]
mod flows;
#[path = "reference/tiers.rs"]
mod tiers;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use egret_core::compile::{Allocator, compile};
use egret_core::judge::{self, Layer7Answer, Party, Question, SideAnswer, SideVerdict};
use egret_core::reference::{self, Flow, Judgement, Passing, Reading, Subject, Verdict};
use egret_core::rule::Dialect;
use egret_core::spec::{Document, understand};
use egret_core::state::DatapathState;
use egret_core::{Author, Desired, World};
use egret_shared::decide::policy::decide;
use egret_shared::{Direction, DropReason, PolicyKey, Verdict as Decided};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use cluster::Cluster;
use flows::Asked;

/// Flows for each cluster.
const FLOWS: u32 = 100;

/// One random situation. Its `Debug` form is what a person needs to see it again.
struct Situation {
    dialect: Dialect,
    cluster: Cluster,
    documents: Vec<serde_json::Value>,
    flows: Vec<Asked>,
}

impl std::fmt::Debug for Situation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "dialect {:?}\n{}", self.dialect, self.cluster)?;
        for document in &self.documents {
            writeln!(f, "---\n{}", serde_yaml::to_string(document).unwrap())?;
        }
        Ok(())
    }
}

fn situation(dialect: Dialect) -> impl Strategy<Value = Situation> {
    let documents = prop::collection::vec(documents::document(dialect), 0..7);
    let flows = prop::collection::vec(flows::asked(), FLOWS as usize);
    (cluster::cluster(), documents, flows).prop_map(move |(cluster, mut documents, flows)| {
        for (index, document) in documents.iter_mut().enumerate() {
            let only = document["kind"] == "BaselineAdminNetworkPolicy";
            let name = if only { "default".to_owned() } else { format!("policy-{index}") };
            document["metadata"]["name"] = name.into();
        }
        // There is one baseline of the older kind.
        let mut baselines = 0;
        documents.retain(|document| {
            baselines += u32::from(document["kind"] == "BaselineAdminNetworkPolicy");
            document["kind"] != "BaselineAdminNetworkPolicy" || baselines == 1
        });
        Situation { dialect, cluster, documents, flows }
    })
}

/// The compiled state of each node.
fn compiled(desired: &Desired, cluster: &Cluster) -> BTreeMap<String, DatapathState> {
    let names = cluster.names();
    let one = |node: &String| (node.clone(), compile(desired, node, &names, &mut Allocator::default()));
    desired.world.nodes.keys().map(one).collect()
}

/// The node whose maps are asked.
fn node_of<'a>(world: &'a World, subject: Subject<'a>) -> &'a str {
    match subject {
        Subject::Pod(pod) => &world.pods[pod].node,
        Subject::Node(name) => name,
    }
}

/// What the compiled path says of a flow.
fn decided(state: &DatapathState, flow: &Flow<'_>) -> (Verdict, Option<Author>) {
    let [ingress, egress] = state.host;
    let policy = match (flow.subject, flow.direction) {
        (Subject::Pod(pod), direction) => state.endpoints[pod].policy(direction),
        (Subject::Node(_), Direction::Ingress) => ingress,
        (Subject::Node(_), Direction::Egress) => egress,
    };
    let decision = decide(policy, state.identity_of(flow.peer), flow.protocol.number(), flow.port, |key| {
        (0..=PolicyKey::PREFIX_FULL).rev().find_map(|prefix| {
            state.policies.get(&policy)?.get(&(flows::masked(key, prefix), prefix)).copied()
        })
    });
    let verdict = match decision.verdict {
        Decided::Forwarded if policy == 0 => Verdict::Unenforced,
        Decided::Forwarded => Verdict::Allowed,
        Decided::Redirected(_) => Verdict::Redirected,
        Decided::Dropped(DropReason::PolicyDeny) => Verdict::Denied,
        Decided::Dropped(_) => Verdict::DefaultDenied,
    };
    (verdict, state.author(policy, decision.rule))
}

/// What the judge says of the same flow, whose peer it is told by address.
fn judged(cluster: &judge::Cluster, flow: &Flow<'_>) -> (SideAnswer, Option<Layer7Answer>) {
    let subject = match flow.subject {
        Subject::Pod(name) => Party::Pod(name.clone()),
        Subject::Node(name) => Party::Node(name.to_owned()),
    };
    let peer = Party::Address(flow.peer);
    let (from, to) = match flow.direction {
        Direction::Ingress => (peer, subject),
        Direction::Egress => (subject, peer),
    };
    let Flow { protocol, port, seen, .. } = *flow;
    let answer =
        cluster.ask(&Question { from, to, protocol, port, layer7: seen.cloned() }).expect("all known");
    match flow.direction {
        Direction::Ingress => (answer.ingress, answer.layer7),
        Direction::Egress => (answer.egress, answer.layer7),
    }
}

/// What the judge's verdict would be called here.
fn word(answer: &SideAnswer) -> Verdict {
    match (answer.verdict, answer.reason) {
        (SideVerdict::Unenforced, _) => Verdict::Unenforced,
        (SideVerdict::Allowed, _) => Verdict::Allowed,
        (SideVerdict::Redirected, _) => Verdict::Redirected,
        (SideVerdict::Denied, Some(DropReason::PolicyDeny)) => Verdict::Denied,
        (SideVerdict::Denied, _) => Verdict::DefaultDenied,
    }
}

/// How often each verdict came up, and what proxies said.
#[derive(Debug, Default)]
struct Seen {
    verdicts: BTreeMap<Verdict, u32>,
    passed: u32,
    refused: u32,
}

/// Compares both readings.
fn compare(situation: &Situation, seen: &mut Seen) -> Result<(), TestCaseError> {
    let documents: Vec<Document> = situation.documents.iter().map(documents::read).collect();
    let world = situation.cluster.world();
    let policies = documents.iter().map(|document| {
        let policy = understand(document).map_err(|wrong| TestCaseError::fail(format!("{wrong:#?}")))?;
        Ok((policy.id.clone(), policy.into()))
    });
    let desired = Desired {
        world: world.clone(),
        policies: policies.collect::<Result<_, TestCaseError>>()?,
        dialect: situation.dialect,
    };
    let states = compiled(&desired, &situation.cluster);
    let judge = judge::Cluster::new(&desired, &situation.cluster.names());
    let learned = situation.cluster.learned();
    let reading =
        Reading { world: &world, documents: &documents, dialect: situation.dialect, learned: &learned };
    for asked in &situation.flows {
        let Some(flow) = asked.flow(&world) else { continue };
        let (verdict, author) = decided(&states[node_of(&world, flow.subject)], &flow);
        let read = reference::judge(reading, flow).expect("everybody who is asked is there");
        let Judgement { verdict: expected, authors, proxy } = &read;
        prop_assert_eq!(
            verdict,
            *expected,
            "compiled, and read: {:?}, {:?}, compiled by {:?}",
            flow,
            read,
            author
        );
        let (side, layer7) = judged(&judge, &flow);
        prop_assert_eq!(word(&side), *expected, "judged, and read: {:?}", flow);
        let all = authors.iter().collect::<BTreeSet<_>>();
        let deciding = side.by.iter().collect::<BTreeSet<_>>();
        prop_assert!(deciding.is_subset(&all), "{:?} by {:?} and not {:?}", flow, side.by, authors);
        // A proxy takes the flow for the rules of one kind alone.
        let is_same = deciding == all || *expected == Verdict::Redirected;
        prop_assert!(is_same, "{:?} by {:?} alone and not {:?}", flow, side.by, authors);
        *seen.verdicts.entry(*expected).or_default() += 1;
        compare_proxy(&flow, proxy.as_ref(), layer7, seen)?;
        match author {
            Some(author) => {
                prop_assert!(authors.contains(&author), "{:?} by {} and not {:?}", flow, author, authors);
            }
            None => {
                prop_assert!(authors.is_empty(), "{:?} by nobody and not {:?}", flow, authors);
            }
        }
    }
    Ok(())
}

/// Compares what the proxy at the subject says. The judge goes on to the other side's proxy only where this one
/// lets the request pass.
fn compare_proxy(
    flow: &Flow<'_>,
    read: Option<&Passing>,
    answer: Option<Layer7Answer>,
    seen: &mut Seen,
) -> Result<(), TestCaseError> {
    let Some(read) = read else { return Ok(()) };
    let answer = answer.expect("redirected, so that a proxy is asked");
    if matches!(flow.subject, Subject::Node(_)) {
        return Ok(());
    }
    match (read, answer.direction == flow.direction) {
        (Passing::Refused, is_own) => {
            seen.refused += u32::from(is_own);
            // At ingress the other side's proxy may have refused before.
            let before = flow.direction == Direction::Ingress && !is_own;
            prop_assert!(
                before || (is_own && !answer.allowed),
                "{:?} is refused, and judged {:?}",
                flow,
                answer
            );
        }
        (Passing::Passes(by), true) => {
            seen.passed += 1;
            prop_assert!(answer.allowed, "{:?} passes by {:?}, and judged {:?}", flow, by, answer);
            for author in &answer.by {
                prop_assert!(by.contains(author), "{:?} passes by {:?}, and judged {:?}", flow, by, answer);
            }
        }
        (Passing::Passes(_), false) => {}
    }
    Ok(())
}

/// Asks this share of all flows in one dialect; every verdict that the dialect has must come up.
fn run(dialect: Dialect, share: u32, verdicts: &[Verdict]) {
    let flows = std::env::var("EGRET_FLOWS").map_or(50_000, |text| text.parse::<u32>().expect("a number"));
    let config = ProptestConfig {
        cases: flows / share / FLOWS,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seen = RefCell::new(Seen::default());
    TestRunner::new(config)
        .run(&situation(dialect), |situation| compare(&situation, &mut seen.borrow_mut()))
        .unwrap_or_else(|failed| panic!("{failed}"));
    let seen = seen.into_inner();
    println!("{}: {seen:?}", dialect.word());
    let enough = seen.verdicts.values().sum::<u32>() / 2000;
    for verdict in verdicts {
        let count = seen.verdicts.get(verdict).copied().unwrap_or_default();
        assert!(count >= enough, "{verdict:?} came up {count} times: {seen:?}");
    }
    if verdicts.contains(&Verdict::Redirected) {
        assert!(seen.passed.min(seen.refused) >= enough, "proxies were hardly asked: {seen:?}");
    }
}

const ALL: [Verdict; 5] =
    [Verdict::Unenforced, Verdict::Allowed, Verdict::Redirected, Verdict::Denied, Verdict::DefaultDenied];

#[test]
fn cilium() {
    run(Dialect::Cilium, 2, &ALL);
}

#[test]
fn cilium_1_19() {
    run(Dialect::Cilium119, 4, &ALL);
}

#[test]
fn kubernetes() {
    let verdicts = [Verdict::Unenforced, Verdict::Allowed, Verdict::Denied, Verdict::DefaultDenied];
    run(Dialect::Kubernetes, 4, &verdicts);
}
