//! Lines against recorded ones.

use super::*;
use crate::fake::{answer, dns, packet, reply, syn};
use egret_shared::{CtStatus, DropReason, MatchType, Proxy};

fn texts(flow: &Flow) -> Vec<String> {
    typed_lines(flow).into_iter().map(|(kind, line)| format!("{}: {line}", kind.word())).collect()
}

#[test]
fn a_policy_drop_gives_the_verdict_and_the_tutorials_line() {
    assert_eq!(
        texts(&syn()),
        [
            "policy-verdict: Policy verdict log: flow 0xe7142f72 local EP ID 7, remote ID 2, proto 6, egress, \
         action deny, auth: disabled, match none, 10.0.1.51:60738 -> 104.244.42.66:80 tcp SYN",
            "drop: xx drop (Policy denied) flow 0xe7142f72 to endpoint 0, ifindex 32, file bpf_lxc.c:1276, , \
         identity 9655->world: 10.0.1.51:60738 -> 104.244.42.66:80 tcp SYN",
        ]
    );
}

#[test]
fn an_ingress_drop_names_the_endpoint() {
    let flow = packet(|flow, _| {
        flow.direction = Direction::Ingress;
        flow.verdict = Verdict::Dropped(DropReason::PolicyDeny);
        flow.match_type = MatchType::L3Only;
    });
    assert!(texts(&flow)[1].starts_with(
        "drop: xx drop (Policy denied by denylist) flow 0xe7142f72 to endpoint 7, ifindex 32, file bpf_lxc.c:1872, , "
    ));
}

#[test]
fn other_drops_have_no_verdict() {
    let flow = packet(|flow, packet| {
        flow.verdict = Verdict::Dropped(DropReason::NoBackend);
        packet.hash = 0;
    });
    let lines = texts(&flow);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("drop: xx drop (Service backend not found) flow 0x0 to endpoint 0"));
}

#[test]
fn a_first_packet_gives_the_verdict_and_a_trace() {
    let flow = packet(|flow, _| {
        flow.verdict = Verdict::Forwarded;
        flow.match_type = MatchType::L3Only;
        flow.destination.identity = Identity(16_777_217);
    });
    assert_eq!(
        texts(&flow),
        [
            "policy-verdict: Policy verdict log: flow 0xe7142f72 local EP ID 7, remote ID 16777217, proto 6, egress, \
         action allow, auth: disabled, match L3-Only, 10.0.1.51:60738 -> 104.244.42.66:80 tcp SYN",
            "trace: -> stack flow 0xe7142f72 , identity 9655->16777217 state new ifindex 0 orig-ip 0.0.0.0: \
         10.0.1.51:60738 -> 104.244.42.66:80 tcp SYN",
        ]
    );
}

#[test]
fn without_a_policy_there_is_no_verdict() {
    let flow = packet(|flow, _| {
        flow.verdict = Verdict::Forwarded;
        flow.enforced = false;
    });
    assert_eq!(typed_lines(&flow).len(), 1);
    assert_eq!(lines(&flow, &[EventType::Drop]), Vec::<String>::new());
}

#[test]
fn a_redirect_goes_to_the_proxy() {
    let flow = packet(|flow, packet| {
        flow.verdict = Verdict::Redirected(Proxy::Dns);
        flow.match_type = MatchType::L3L4;
        flow.protocol = Protocol::Udp;
        packet.status = CtStatus::Established;
    });
    let lines = texts(&flow);
    assert!(lines[0].contains("action redirect, auth: disabled, match L3-L4"));
    assert!(lines[1].starts_with("trace: -> proxy flow 0xe7142f72 , identity 9655->world state established"));
}

#[test]
fn replies_are_traced_and_not_judged() {
    assert_eq!(
        texts(&reply()),
        ["trace: -> endpoint 7 flow 0xe7142f72 , identity world->9655 state reply ifindex 32 \
         orig-ip 104.244.42.66: 104.244.42.66:80 -> 10.0.1.51:60738 tcp SYN, ACK",]
    );
}

#[test]
fn pings_have_no_ports() {
    let flow = packet(|flow, packet| {
        flow.protocol = Protocol::Icmp;
        packet.icmp = Some((8, 0));
    });
    assert!(texts(&flow)[1].ends_with("identity 9655->world: 10.0.1.51 -> 104.244.42.66 icmp EchoRequest"));
}

#[test]
fn ipv6_addresses_stand_in_brackets() {
    let flow = packet(|flow, _| {
        flow.source.address = "2001:db8::1".parse().unwrap();
        flow.destination.address = "2001:db8::2".parse().unwrap();
    });
    assert!(texts(&flow)[1].ends_with("[2001:db8::1]:60738 -> [2001:db8::2]:80 tcp SYN"));
}

#[test]
fn dns_requests_and_responses() {
    assert_eq!(
        texts(&dns(None)),
        ["l7: -> Request dns from 7 ([k8s:run=nginx]) to 0 ([k8s:io.kubernetes.pod.namespace=kube-system \
         k8s:k8s-app=kube-dns]), identity 9655->300, verdict Forwarded DNS proxy: api.github.com. A",]
    );
    let mut named = answer(&["140.82.121.6"]);
    named.cnames = vec!["github.com.".into()];
    assert_eq!(
        texts(&dns(Some(named))),
        ["l7: -> Response dns to 7 ([k8s:run=nginx]) from 0 ([k8s:io.kubernetes.pod.namespace=kube-system \
         k8s:k8s-app=kube-dns]), identity 300->9655, verdict Forwarded DNS proxy: api.github.com. A TTL: 30 \
         Answer: '140.82.121.6' CNAMEs: github.com.",]
    );
    let mut refused = dns(None);
    refused.verdict = Verdict::Dropped(DropReason::PolicyDenied);
    assert!(texts(&refused)[0].contains("verdict Denied DNS proxy"));
}
