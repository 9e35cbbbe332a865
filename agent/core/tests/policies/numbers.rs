//! What stays the same from one compilation to the next, and how few writes a small change needs.

use egret_core::ObjectName;
use egret_core::compile::{Allocator, compile};
use egret_core::diff::{MapWrite, diff};
use egret_core::fqdn::Names;
use egret_core::rule::Dialect;
use egret_shared::Identity;

use crate::world::{cnp, desired, ip};

#[test]
fn learning_a_name_is_one_write() {
    let policies = cnp("egress: [{ toFQDNs: [{ matchName: a.com }, { matchPattern: '*.net' }] }]");
    let desired = desired(&policies, Dialect::Cilium);
    let (mut names, mut numbers) = (Names::default(), Allocator::default());
    let old = compile(&desired, "node-1", &names, &mut numbers);
    names.learn("a.com", &[ip("198.51.100.2")], 60, 0);
    let new = compile(&desired, "node-1", &names, &mut numbers);
    let identity = new.identity_of(ip("198.51.100.2"));
    assert_eq!(diff(&old, &new), [MapWrite::PutIpcache("198.51.100.2/32".parse().unwrap(), identity)]);
    assert_eq!(new.labels[&identity].texts(), ["fqdn:a.com", "reserved:world"]);
    // A name that no policy selects is known, but its address stays the world's.
    names.learn("api.github.com", &[ip("140.82.121.6")], 60, 0);
    let newest = compile(&desired, "node-1", &names, &mut numbers);
    assert_eq!(diff(&new, &newest), []);
    assert_eq!(newest.identity_of(ip("140.82.121.6")), Identity::WORLD);
}

#[test]
fn identities_by_labels() {
    let desired = desired("", Dialect::Cilium);
    let state = compile(&desired, "node-1", &Names::default(), &mut Allocator::default());
    assert_eq!(state.identity_of(ip("10.0.0.1")), Identity::HOST);
    assert_eq!(state.identity_of(ip("10.0.0.2")), Identity::REMOTE_NODE);
    assert_eq!(state.identity_of(ip("8.8.8.8")), Identity::WORLD);
    let subject = state.identity_of(ip("10.0.1.10"));
    assert!(subject >= Identity::FIRST_POD && subject < Identity::FIRST_LOCAL);
    // `pod-template-hash` is not among them.
    assert_eq!(
        state.labels[&subject].texts(),
        [
            "k8s:app=s",
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=a",
            "k8s:io.cilium.k8s.namespace.labels.team=red",
            "k8s:io.cilium.k8s.policy.cluster=default",
            "k8s:io.cilium.k8s.policy.serviceaccount=default",
            "k8s:io.kubernetes.pod.namespace=a",
        ]
    );
    assert_eq!(state.endpoints.len(), 4, "the node's pods, without the hostNetwork pod and the other node's");
}

#[test]
fn no_number_is_used_twice() {
    let deny = desired(&cnp("ingress: [{}]"), Dialect::Cilium);
    let mut gone = deny.clone();
    gone.policies.clear();
    let subject = ObjectName::parse("a/s");
    gone.world.pods.remove(&subject);
    let (names, mut numbers) = (Names::default(), Allocator::default());
    let first = compile(&deny, "node-1", &names, &mut numbers);
    let _without = compile(&gone, "node-1", &names, &mut numbers);
    let again = compile(&deny, "node-1", &names, &mut numbers);
    let (before, after) = (&first.endpoints[&subject], &again.endpoints[&subject]);
    assert_eq!(before.identity, after.identity, "the same labels");
    assert_eq!(first.rules, again.rules, "the same rules");
    assert_ne!(before.id, after.id, "another endpoint");
    assert_ne!(before.policy, after.policy, "another time in force");
}
