//! What crosses a stream or a file comes back as it was, and what cannot be understood is an error.

use std::sync::Arc;

use egret_core::author::PolicyId;
use egret_core::flow::Packet;
use egret_core::http::Pattern;
use egret_core::rule::NotSimulated;
use egret_core::selector::NamePattern;
use egret_core::{Desired, ObjectName};
use proptest::prelude::*;
use rstest::rstest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::generate::situation;

proptest! {
    #[test]
    fn a_desired_state_reads_back(situation in situation()) {
        let mut desired = situation.desired();
        if let Some(policy) = desired.policies.values_mut().next() {
            Arc::make_mut(policy).not_simulated.push(NotSimulated { path: "spec.a".into(), what: "left out".into() });
        }
        let text = serde_json::to_string(&desired).unwrap();
        prop_assert_eq!(serde_json::from_str::<Desired>(&text).unwrap(), desired);
    }
}

/// What a text becomes as a `T`, written again.
fn again<T: DeserializeOwned + Serialize>(text: &str) -> String {
    match serde_json::from_value::<T>(text.into()) {
        Ok(value) => serde_json::to_value(&value).unwrap().as_str().unwrap().to_owned(),
        Err(error) => error.to_string(),
    }
}

#[rstest]
#[case(again::<ObjectName>, "x/a", "x/a")]
#[case(again::<ObjectName>, "a", "`a` is no object's name: `namespace/name` was expected")]
#[case(again::<PolicyId>, "NetworkPolicy x/a", "NetworkPolicy x/a")]
#[case(again::<PolicyId>, "ClusterNetworkPolicy a", "ClusterNetworkPolicy a")]
#[case(again::<PolicyId>, "x/a", "`x/a` names no policy: `Kind namespace/name` was expected, or `Kind name`")]
#[case(again::<Pattern>, "/a.*", "/a.*")]
#[case(again::<Pattern>, "(", "is not a regular expression: unclosed group")]
#[case(again::<NamePattern>, "*.a.com", "*.a.com")]
#[case(again::<NamePattern>, "a..com", "has an empty label")]
fn texts(#[case] again: fn(&str) -> String, #[case] text: &str, #[case] expected: &str) {
    assert_eq!(again(text), expected);
}

#[rstest]
#[case("00ff10", Some("00ff10"))]
#[case("", Some(""))]
#[case("0g", None)]
#[case("é", None)]
fn bytes_of_a_packet(#[case] text: &str, #[case] expected: Option<&str>) {
    let packet = serde_json::json!({
        "status": "New", "ifindex": 1, "hash": 0, "from_proxy": false, "tcp_flags": 0, "icmp": null,
        "length": 60, "bytes": text,
    });
    let again = serde_json::from_value::<Packet>(packet).map(|packet| serde_json::to_value(packet).unwrap());
    assert_eq!(again.ok().as_ref().map(|packet| packet["bytes"].as_str().unwrap()), expected);
}
