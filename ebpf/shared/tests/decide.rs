//! Both decisions, over tables: policy lookups and what packets do to connections.

#[path = "decide/table.rs"]
mod table;

use egret_shared::decide::conntrack::{
    OTHER, TCP_CLOSING, TCP_ESTABLISHED, TCP_OPENING, count, is_live, open, tcp,
};
use egret_shared::decide::policy::{Decision, decide};
use egret_shared::{
    CtEntry, DropReason, Identity, MatchType, PolicyEntry, PolicyKey, Proxy, Verdict, protocol,
};
use rstest::rstest;
use table::{CASES, Case, PEER, POLICY};

/// The bits of a key in the order in which the map compares them.
fn bits(key: &PolicyKey) -> u128 {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&key.policy.to_ne_bytes());
    bytes[4..8].copy_from_slice(&key.identity.to_ne_bytes());
    bytes[8] = key.protocol;
    bytes[9..11].copy_from_slice(&key.port);
    u128::from_be_bytes(bytes)
}

/// Longest-prefix lookup as the kernel's trie answers it, over the keys' bytes.
fn lookup(rows: &[(PolicyKey, u32, PolicyEntry)], key: &PolicyKey) -> Option<PolicyEntry> {
    rows.iter()
        .filter(|(row, prefix, _)| (bits(row) ^ bits(key)) >> (128 - prefix) == 0)
        .max_by_key(|(_, prefix, _)| *prefix)
        .map(|(_, _, entry)| *entry)
}

#[test]
fn every_case_of_the_table() {
    for case in CASES {
        let Case { name, policy, rows, peer, protocol, port, verdict, rule, match_type } = *case;
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let (key, prefix) = row.key();
                (key, prefix, row.entry())
            })
            .collect();
        let decision = decide(policy, peer, protocol, port, |key| lookup(&rows, key));
        assert_eq!(decision, Decision { verdict, rule, match_type }, "{name}");
    }
}

#[test]
fn a_redirect_without_a_known_proxy_is_dropped() {
    let entry =
        PolicyEntry { action: egret_shared::Action::Redirect as u8, proxy: 9, ..PolicyEntry::default() };
    let decision =
        decide(POLICY, PEER, protocol::TCP, 80, |key| (Identity(key.identity) == PEER).then_some(entry));
    assert_eq!(decision.verdict, Verdict::Dropped(DropReason::NoProxyForProtocol));
}

#[rstest]
#[case::opening(protocol::TCP, &[(tcp::SYN, false)], TCP_OPENING, 0)]
#[case::answered(protocol::TCP, &[(tcp::SYN, false), (tcp::SYN | tcp::ACK, true)], TCP_ESTABLISHED, CtEntry::SEEN_REPLY)]
#[case::client_ends(protocol::TCP, &[(tcp::SYN, false), (tcp::SYN | tcp::ACK, true), (tcp::FIN | tcp::ACK, false)], TCP_CLOSING, CtEntry::SEEN_REPLY | CtEntry::CLOSING)]
#[case::stays_closing(protocol::TCP, &[(tcp::SYN, false), (tcp::RST, true), (tcp::ACK, false)], TCP_CLOSING, CtEntry::SEEN_REPLY | CtEntry::CLOSING)]
#[case::udp(protocol::UDP, &[(0, false)], OTHER, 0)]
#[case::udp_answered(protocol::UDP, &[(0, false), (0, true)], OTHER, CtEntry::SEEN_REPLY)]
#[case::flags_are_tcp_only(protocol::UDP, &[(tcp::FIN | tcp::RST, false)], OTHER, 0)]
#[case::icmp(protocol::ICMP, &[(0, false), (0, true)], OTHER, CtEntry::SEEN_REPLY)]
fn lifetimes(
    #[case] protocol: u8,
    #[case] packets: &[(u8, bool)],
    #[case] lifetime: u64,
    #[case] flags: u16,
) {
    let now = 1_000;
    let mut entry = open(42);
    for (tcp_flags, reply) in packets {
        count(&mut entry, protocol, *tcp_flags, *reply, now);
    }
    assert_eq!((entry.deadline, entry.flags, entry.rule), (now + lifetime, flags, 42));
}

#[rstest]
#[case::before_the_deadline(0, 99, tcp::ACK, true)]
#[case::at_the_deadline(0, 100, tcp::ACK, false)]
#[case::closing_lives_on(CtEntry::CLOSING, 99, tcp::ACK, true)]
#[case::closing_ends_when_opened_again(CtEntry::CLOSING, 99, tcp::SYN, false)]
#[case::closing_answer(CtEntry::CLOSING, 99, tcp::SYN | tcp::ACK, true)]
#[case::open_again_while_open(0, 99, tcp::SYN, true)]
fn liveness(#[case] flags: u16, #[case] now: u64, #[case] tcp_flags: u8, #[case] live: bool) {
    let entry = CtEntry { deadline: 100, flags, ..CtEntry::default() };
    assert_eq!(is_live(&entry, protocol::TCP, tcp_flags, now), live);
}

#[test]
fn closing_matters_to_tcp_only() {
    let entry = CtEntry { deadline: 100, flags: CtEntry::CLOSING, ..CtEntry::default() };
    assert!(is_live(&entry, protocol::UDP, tcp::SYN, 99));
}

#[test]
fn the_deadline_does_not_wrap() {
    let mut entry = open(1);
    count(&mut entry, protocol::UDP, 0, false, u64::MAX - 1);
    assert_eq!(entry.deadline, u64::MAX);
}

#[test]
fn verdicts_and_their_numbers() {
    let mut verdicts = vec![Verdict::Forwarded];
    verdicts.extend([Proxy::Dns, Proxy::Http, Proxy::Tls].map(Verdict::Redirected));
    verdicts.extend(DropReason::ALL.iter().copied().map(Verdict::Dropped));
    for verdict in verdicts {
        assert_eq!(Verdict::from_number(verdict.to_number()), Some(verdict));
    }
    assert_eq!(Verdict::from_number(9), None);
    assert_eq!(Verdict::from_number(-1), None);
    assert_eq!(Verdict::from_number(i32::MIN), None);
}

#[test]
fn precedence_orders_levels_before_actions() {
    let of = PolicyEntry::precedence_of;
    assert!(of(1, PolicyEntry::DENY) > of(1, PolicyEntry::REDIRECT_TOP));
    assert!(of(1, PolicyEntry::REDIRECT_TOP) > of(1, PolicyEntry::ALLOW));
    assert!(of(0, PolicyEntry::ALLOW) > of(1, PolicyEntry::DENY));
}

proptest::proptest! {
    #[test]
    fn every_match_type_and_address_survives(number: u8, octets: [u8; 16]) {
        if let Some(kind) = MatchType::from_number(number) {
            assert_eq!(kind as u8, number);
        }
        let address = egret_shared::Address(octets);
        assert_eq!(egret_shared::Address::from(address.to_ip()), address);
    }
}
