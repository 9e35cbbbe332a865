//! The subject against a scripted API server: what it makes and takes away, and what it says when it may not.

mod access;
mod dns;
mod hubble;
mod install;
mod machine;
mod script;
mod stop;
mod things;

use std::collections::BTreeMap;

use egret_core::world::{Application, Pod, Serve, World};
use egret_core::{ObjectName, Protocol};

use super::naming::Naming;
use super::nodes::Families;
use super::object::Run;
use super::shape::Shape;

/// Two pods in two namespaces.
fn world() -> World {
    let pod = |label: &str| Pod {
        labels: [("app".to_owned(), label.to_owned())].into(),
        node: "node-1".into(),
        addresses: vec!["10.0.1.10".parse().unwrap()],
        serves: vec![Serve {
            name: Some("web".into()),
            port: 80,
            protocol: Protocol::Tcp,
            application: Application::Identity,
        }],
        ..Pod::default()
    };
    World {
        nodes: [("node-1".to_owned(), Default::default())].into(),
        namespaces: [
            ("x".to_owned(), [("team".to_owned(), "x".to_owned())].into()),
            ("y".to_owned(), BTreeMap::new()),
        ]
        .into(),
        pods: [(ObjectName::new("x", "a").into(), pod("a")), (ObjectName::new("y", "b").into(), pod("b"))]
            .into(),
        ..World::default()
    }
}

/// What a shape borrows.
struct Parts {
    run: Run,
    naming: Naming,
    nodes: BTreeMap<String, String>,
}

impl Parts {
    fn new(run: &Run) -> Self {
        let nodes = [("node-1".to_owned(), "worker".to_owned())].into();
        Self { run: run.clone(), naming: Naming::default(), nodes }
    }

    fn shape(&self) -> Shape<'_> {
        Shape {
            run: &self.run,
            naming: &self.naming,
            image: "egret:test",
            nodes: &self.nodes,
            families: Families::default(),
        }
    }
}
