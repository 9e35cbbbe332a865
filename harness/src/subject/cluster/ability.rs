//! What a cluster can do, and what a case asks that it cannot: found by looking, not by asking for versions.

use std::collections::BTreeSet;

use egret_core::probe::{Peer, Request, Source};
use egret_core::spec::PolicyKind;
use egret_core::world::World;
use kube::Client;
use serde_json::Value;

use super::error::ClusterError;
use super::nodes::Place;
use crate::case::{Capability, Case, Step};
use crate::kubernetes;

/// What the cluster's plugin does of Cilium's language when the cluster knows Cilium's kinds.
const CILIUM: [Capability; 4] = [Capability::Cilium, Capability::Fqdn, Capability::L7Dns, Capability::L7Http];

/// The same for Egret's own agent.
const EGRET: [Capability; 3] = [Capability::Cilium, Capability::Fqdn, Capability::L7Dns];

/// What the cluster can do.
pub(super) async fn of(
    client: &Client,
    places: &[Place],
    is_egret: bool,
) -> Result<BTreeSet<Capability>, ClusterError> {
    let groups =
        client.list_api_groups().await.map_err(|error| ClusterError::of("ask for the kinds", error))?;
    let serves = |kind: PolicyKind| {
        let mut versions = groups.groups.iter().flat_map(|group| &group.versions);
        versions.any(|version| kind.api_versions().contains(&version.group_version.as_str()))
    };
    let mut able = BTreeSet::from([Capability::Icmp, Capability::Services]);
    if serves(PolicyKind::CiliumNetworkPolicy) {
        able.extend(if is_egret { &EGRET[..] } else { &CILIUM });
    }
    if serves(PolicyKind::ClusterNetworkPolicy) {
        able.insert(Capability::Tiers);
    }
    if places.len() > 1 {
        able.insert(Capability::Nodes);
    }
    Ok(able)
}

/// What a case asks beside the words that it requires: hosts outside, addresses, nodes, policies for everybody.
pub(super) fn needs(case: &Case, places: usize, prefixed: bool) -> BTreeSet<Capability> {
    let mut needs = BTreeSet::new();
    for step in &case.steps {
        of_world(&step.desired.world, places, &mut needs);
        of_probes(step, &mut needs);
        of_policies(step, prefixed, &mut needs);
    }
    of_world(&case.world, places, &mut needs);
    needs
}

fn of_world(world: &World, places: usize, needs: &mut BTreeSet<Capability>) {
    if !world.internet.hosts.is_empty() || !world.internet.names.is_empty() {
        needs.insert(Capability::Internet);
    }
    // The cluster's nodes have labels of their own, which are not the case's to change.
    let labelled =
        world.nodes.values().any(|node| node.labels.keys().any(|key| key != "kubernetes.io/hostname"));
    if world.nodes.len() > places || labelled {
        needs.insert(Capability::Nodes);
    }
    if world.services.values().any(|service| service.selector.is_none()) {
        needs.insert(Capability::Addresses);
    }
}

fn of_probes(step: &Step, needs: &mut BTreeSet<Capability>) {
    for expectation in &step.expectations {
        if matches!(expectation.probe.from, Source::Address(_)) {
            needs.insert(Capability::Internet);
        }
        let to = match &expectation.probe.request {
            Request::Connect { to, .. } | Request::Ping { to } | Request::Forge { to, .. } => to,
            // A cluster keeps no connection, so the case is skipped for that.
            Request::Dns { .. } | Request::Keep { .. } => continue,
        };
        if matches!(to, Peer::Address(_)) {
            needs.insert(Capability::Addresses);
        }
    }
}

fn of_policies(step: &Step, prefixed: bool, needs: &mut BTreeSet<Capability>) {
    for (id, manifest) in step.policies.objects() {
        if id.namespace.is_none() && prefixed {
            needs.insert(Capability::ClusterWide);
        }
        let document: Value = kubernetes::read(manifest).unwrap_or_default();
        if names_addresses(&document["spec"]) || names_addresses(&document["specs"]) {
            needs.insert(Capability::Addresses);
        }
    }
}

/// Whether a policy names prefixes other than those of everything.
fn names_addresses(value: &Value) -> bool {
    match value {
        Value::String(text) => text.parse::<ipnet::IpNet>().is_ok_and(|prefix| prefix.prefix_len() > 0),
        Value::Array(items) => items.iter().any(names_addresses),
        Value::Object(object) => object.values().any(names_addresses),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
