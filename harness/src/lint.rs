//! Warnings about policies that are accepted and probably do not mean what their author thinks.
//!
//! | theme | module |
//! | --- | --- |
//! | whom a policy and its peers select | `selection` |
//! | prefixes, services and empty rules | `peer` |
//! | rules that overrule each other | `overlap` |
//! | ports by name and number, ICMP types | `port` |
//! | DNS: names, their servers, placeholders | `name` |
//! | what is denied by default | `default_deny` |
//! | the pods' own node, and the API server | `node` |
//!
//! Each warning has a code, which [`catalogue`] lists, a place, a reason and a remedy. Sources: policy semantics 3.5 and 15; row numbers in
//! the modules are those of section 15.

pub mod catalogue;
mod default_deny;
mod name;
mod node;
mod overlap;
mod peer;
mod port;
mod scene;
mod selection;
#[cfg(test)]
mod tests;

use crate::cluster::Cluster;
use crate::diagnostic::Diagnostic;
use scene::{Found, Scene};

/// Everything that deserves a warning, in the order of the files.
#[must_use]
pub fn lint(cluster: &Cluster) -> Vec<Diagnostic> {
    let scene = Scene::new(cluster);
    let mut found = Found::new(cluster);
    let themes = [
        selection::check,
        peer::check,
        overlap::check,
        port::check,
        name::check,
        default_deny::check,
        node::check,
    ];
    for check in themes {
        check(&scene, &mut found);
    }
    found.finish()
}
