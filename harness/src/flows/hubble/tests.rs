//! Lines as snapshots, and what protojson leaves out.

use super::*;
use crate::fake::{allow, answer, dns, packet, reply, syn};
use egret_shared::{DropReason, MatchType};

#[test]
fn a_dropped_syn() {
    insta::assert_snapshot!(lines(&syn()));
}

#[test]
fn an_allowed_syn_and_its_reply() {
    let allowed = packet(|flow, _| {
        flow.verdict = Verdict::Forwarded;
        flow.match_type = MatchType::L3Only;
        flow.by = Some(allow());
    });
    insta::assert_snapshot!(lines(&allowed) + &lines(&reply()));
}

#[test]
fn dns_through_the_proxy() {
    let mut refused = dns(None);
    refused.verdict = Verdict::Dropped(DropReason::PolicyDenied);
    let flows = [dns(None), dns(Some(answer(&["140.82.121.6"]))), refused];
    insta::assert_snapshot!(flows.iter().map(lines).collect::<String>());
}

#[test]
fn defaults_are_left_out() {
    let flow = packet(|flow, packet| {
        flow.protocol = Protocol::Icmp;
        packet.icmp = Some((0, 0));
        packet.bytes.clear();
        packet.ifindex = 0;
        flow.destination.names.clear();
    });
    let text = lines(&flow);
    for absent in ["null", "\"\"", "[]", ":0", "ethernet", "interface", "false"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}
