//! Warnings about policies that are accepted and probably do not mean what their author thinks.
//!
//! | theme | module |
//! | --- | --- |
//! | whom a policy and its peers select | `selection` |
//! | prefixes, services, denies and empty rules | `peer` |
//! | ports by name and number, ICMP types | `port` |
//! | DNS: names, their servers, placeholders | `name` |
//! | what is denied by default | `default_deny` |
//!
//! Each warning has a code, a place, a reason and a remedy. Sources: policy semantics 3.5 and 15; row numbers in
//! the modules are those of section 15.

mod default_deny;
mod name;
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
    for check in [selection::check, peer::check, port::check, name::check, default_deny::check] {
        check(&scene, &mut found);
    }
    found.finish()
}
