//! The compiled path against the slow reading of the same documents: random clusters, policies and flows.
//!
//! `cargo test` asks 50 000 flows; `EGRET_FLOWS=1000000` asks as many as it says. What differs is shrunk, and
//! printed as the policies and the cluster to put into a case.

#[path = "reference/cluster.rs"]
mod cluster;
#[path = "reference/documents.rs"]
mod documents;
#[path = "reference/flows.rs"]
mod flows;

use std::cell::RefCell;
use std::collections::BTreeMap;

use egret_core::compile::{Allocator, compile};
use egret_core::reference::{Flow, Judgement, Reading, Verdict, judge};
use egret_core::rule::Dialect;
use egret_core::spec::{Document, understand};
use egret_core::state::DatapathState;
use egret_core::{Author, Desired};
use egret_shared::decide::policy::decide;
use egret_shared::{DropReason, PolicyKey, Verdict as Decided};
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
    let documents = prop::collection::vec(documents::document(dialect), 0..5);
    let flows = prop::collection::vec(flows::asked(), FLOWS as usize);
    (cluster::cluster(), documents, flows).prop_map(move |(cluster, mut documents, flows)| {
        for (index, document) in documents.iter_mut().enumerate() {
            document["metadata"]["name"] = format!("policy-{index}").into();
        }
        Situation { dialect, cluster, documents, flows }
    })
}

/// The compiled state of each node.
fn compiled(desired: &Desired, cluster: &Cluster) -> BTreeMap<String, DatapathState> {
    let names = cluster.names();
    let one = |node: &String| (node.clone(), compile(desired, node, &names, &mut Allocator::default()));
    desired.world.nodes.keys().map(one).collect()
}

/// What the compiled path says of a flow.
fn decided(state: &DatapathState, flow: &Flow<'_>) -> (Verdict, Option<Author>) {
    let policy = state.endpoints[flow.subject].policy(flow.direction);
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

/// Compares both readings, and says how often each verdict came up.
fn compare(situation: &Situation, seen: &mut BTreeMap<Verdict, u32>) -> Result<(), TestCaseError> {
    let documents: Vec<Document> = situation.documents.iter().map(documents::read).collect();
    let world = situation.cluster.world();
    let policies = documents.iter().map(|document| {
        let policy = understand(document).map_err(|wrong| TestCaseError::fail(format!("{wrong:#?}")))?;
        Ok((policy.id.clone(), policy))
    });
    let desired = Desired {
        world: world.clone(),
        policies: policies.collect::<Result<_, TestCaseError>>()?,
        dialect: situation.dialect,
    };
    let states = compiled(&desired, &situation.cluster);
    let learned = situation.cluster.learned();
    let reading =
        Reading { world: &world, documents: &documents, dialect: situation.dialect, learned: &learned };
    for asked in &situation.flows {
        let Some((subject, flow)) = asked.flow(&world) else { continue };
        let (verdict, author) = decided(&states[&subject.node], &flow);
        let Judgement { verdict: read, authors } = judge(reading, flow).expect("only pods are asked");
        prop_assert_eq!(
            verdict,
            read,
            "compiled, and read: {:?}, read by {:?}, compiled by {:?}",
            flow,
            authors,
            author
        );
        // The own node is one identity under all its addresses, so that a block over another of them may be named
        // for what is let through in any case.
        let is_own_node = world.nodes[&subject.node].addresses.contains(&flow.peer);
        if situation.dialect == Dialect::Kubernetes && is_own_node {
            continue;
        }
        match author {
            Some(author) => {
                prop_assert!(authors.contains(&author), "{:?} by {} and not {:?}", flow, author, authors);
            }
            None => {
                prop_assert!(authors.is_empty(), "{:?} by nobody and not {:?}", flow, authors);
            }
        }
        *seen.entry(read).or_default() += 1;
    }
    Ok(())
}

/// Asks this share of all flows in one dialect; every verdict that the dialect has must come up.
fn run(dialect: Dialect, verdicts: &[Verdict]) {
    let flows = std::env::var("EGRET_FLOWS").map_or(50_000, |text| text.parse::<u32>().expect("a number"));
    let config = ProptestConfig {
        cases: flows / 2 / FLOWS,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seen = RefCell::new(BTreeMap::new());
    TestRunner::new(config)
        .run(&situation(dialect), |situation| compare(&situation, &mut seen.borrow_mut()))
        .unwrap_or_else(|failed| panic!("{failed}"));
    let seen = seen.into_inner();
    let enough = seen.values().sum::<u32>() / 2000;
    for verdict in verdicts {
        let count = seen.get(verdict).copied().unwrap_or_default();
        assert!(count >= enough, "{verdict:?} came up {count} times: {seen:?}");
    }
}

#[test]
fn cilium() {
    use Verdict::{Allowed, DefaultDenied, Denied, Redirected, Unenforced};
    run(Dialect::Cilium, &[Unenforced, Allowed, Redirected, Denied, DefaultDenied]);
}

#[test]
fn kubernetes() {
    run(Dialect::Kubernetes, &[Verdict::Unenforced, Verdict::Allowed, Verdict::DefaultDenied]);
}
