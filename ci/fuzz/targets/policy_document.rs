//! A policy document is refused with places inside its text, or both readers see one policy, and it compiles.
#![no_main]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use egret::source::Source;
use egret::yaml::{Manifest, Path, Shape, documents, manifests};
use egret_core::compile::{Allocator, compile};
use egret_core::fqdn::Names;
use egret_core::spec::{Document, PolicyKind, understand};
use egret_core::state::DatapathState;
use egret_core::world::{Node, Pod};
use egret_core::{Desired, Labels, ObjectName, World, rule};
use libfuzzer_sys::fuzz_target;
use serde::Deserializer;

#[derive(Clone, Copy)]
struct Policy(PolicyKind);

impl Shape for Policy {
    type Output = Document;

    fn deserialize<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        Document::deserialize_kind(self.0, deserializer)
    }
}

fuzz_target!(|text: &str| {
    let source = Source::new("any.yaml", text);
    let objects = match manifests(&source) {
        Ok(objects) => objects,
        Err(problems) => return egret_fuzz::assert_says_where(&problems),
    };
    let trees = documents(&source);
    for (index, object) in objects.iter().enumerate() {
        let (Some(version), Some(kind)) = (object.text(&["apiVersion"]), object.text(&["kind"])) else {
            continue;
        };
        let Some(kind) = PolicyKind::of(version, kind) else { continue };
        match object.read(Policy(kind)) {
            Ok(document) => {
                let trees = trees.as_ref().expect("what one reader reads, the other does");
                let tree = Manifest::inline(&source, String::new(), &trees[index].root);
                assert_eq!(tree.read(Policy(kind)).as_ref(), Ok(&document), "the readers differ");
                judge(object, &document);
            }
            Err(problems) => egret_fuzz::assert_says_where(&problems),
        }
    }
});

/// The state of a node with one pod under one policy.
fn compiled(policy: rule::Policy) -> DatapathState {
    let node = Node { addresses: vec![IpAddr::from([172, 18, 0, 2])], ..Node::default() };
    let labels = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
    let addresses = vec![IpAddr::from([10, 0, 0, 1])];
    let pod = Pod { labels, node: "node".to_owned(), addresses, ..Pod::default() };
    let world = World {
        nodes: BTreeMap::from([("node".to_owned(), node)]),
        namespaces: BTreeMap::from([("default".to_owned(), Labels::new())]),
        pods: BTreeMap::from([(ObjectName::new("default", "a").into(), pod)]),
        ..World::default()
    };
    let policies = BTreeMap::from([(policy.id.clone(), Arc::new(policy))]);
    let desired = Desired { world, policies, ..Desired::default() };
    compile(&desired, "node", &Names::default(), &mut Allocator::default())
}

/// What has the right shape is understood and compiled, or refused by paths that stand in the text.
fn judge(object: &Manifest, document: &Document) {
    match understand(document) {
        Ok(policy) => {
            assert_eq!(*policy.id, document.id());
            let state = compiled(policy.clone());
            assert_eq!(state.endpoints.len(), 1);
            assert_eq!(state, compiled(policy), "compiled twice, two results");
        }
        Err(refused) => {
            assert!(!refused.is_empty(), "refused without a reason");
            for invalid in refused {
                assert_eq!(Path::parse(&invalid.path).to_string(), invalid.path);
                egret_fuzz::assert_inside(&object.locate_field(&invalid.path));
                assert!(!invalid.problem.is_empty());
            }
        }
    }
}
