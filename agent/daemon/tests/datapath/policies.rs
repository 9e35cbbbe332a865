//! The policy decision in the kernel.

use egret_shared::decide::conntrack::tcp::SYN;
use egret_shared::{
    Action, Author, Direction, DropReason, FlowRecord, Identity, MatchType, Verdict, protocol,
};
use ipnet::IpNet;
use libtest_mimic::Failed;
use std::net::IpAddr;

use super::Body;
use super::bench::{Bench, EGRESS, INGRESS, PEER, PEER_IDENTITY, POD, POD_IDENTITY, Row, same};
use super::frames::{echo, tcp, udp};
use super::table;

pub(crate) const ALL: &[(&str, Body)] = &[
    ("without a policy everything passes, and nobody is its author", unenforced),
    ("an empty policy drops by default deny", default_deny),
    ("the peer's identity decides, whoever it is", by_peer),
    ("a deny stands above a narrower allow", deny_wins),
    ("ICMP is matched by its type", icmp_type),
    ("an outside address is the world", world),
    ("the kernel decides every case of the shared table as the model does", shared_table),
];

/// An allow of one TCP port for one peer.
const ALLOW_80: Row =
    Row { peer: PEER_IDENTITY, protocol: protocol::TCP, port: 80, action: Action::Allow, rule: 16 };

fn unenforced(bench: &mut Bench) -> Result<(), Failed> {
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?;
    let record = ran.forwarded()?;
    same("author", record.rule, Author::NONE)?;
    same("enforced", record.flags & FlowRecord::ENFORCED, 0)?;
    same("source", record.source_identity, POD_IDENTITY.0)?;
    same("destination", record.destination_identity, PEER_IDENTITY.0)
}

fn default_deny(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    let ran = bench.run(Direction::Egress, &udp((POD, 40000), (PEER, 53)))?;
    let record = ran.dropped(DropReason::PolicyDenied)?;
    same("author", record.rule, Author::DEFAULT_DENY)?;
    same("match", record.match_type, MatchType::None as u8)?;
    same("enforced", record.flags & FlowRecord::ENFORCED, FlowRecord::ENFORCED)?;
    bench.run(Direction::Ingress, &udp((PEER, 40000), (POD, 53)))?.dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn by_peer(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(EGRESS, ALLOW_80)?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?;
    let record = ran.forwarded()?;
    same("author", record.rule, ALLOW_80.rule)?;
    same("match", record.match_type, MatchType::L3L4 as u8)?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 81), SYN))?.dropped(DropReason::PolicyDenied)?;
    bench
        .run(Direction::Egress, &tcp((POD, 40000), ("10.0.1.12".parse()?, 80), SYN))?
        .dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn deny_wins(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(EGRESS, ALLOW_80)?;
    bench.entry(
        EGRESS,
        Row { peer: Identity::ANY, protocol: protocol::TCP, port: 0, action: Action::Deny, rule: 17 },
    )?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?;
    same("author", ran.dropped(DropReason::PolicyDeny)?.rule, 17)
}

fn icmp_type(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(
        EGRESS,
        Row { peer: Identity::ANY, protocol: protocol::ICMP, port: 8, action: Action::Allow, rule: 18 },
    )?;
    bench.run(Direction::Egress, &echo(POD, PEER, 8, 77))?.forwarded()?;
    // A timestamp request (13) is not an echo request.
    let timestamp = super::frames::icmp(POD, PEER, (13, 0), &[0; 16]);
    bench.run(Direction::Egress, &timestamp)?.dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn world(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(
        EGRESS,
        Row { peer: Identity::WORLD, protocol: 0, port: 0, action: Action::Allow, rule: 19 },
    )?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), ("203.0.113.7".parse()?, 443), SYN))?;
    same("match", ran.forwarded()?.match_type, MatchType::L3Only as u8)?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 443), SYN))?.dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn shared_table(bench: &mut Bench) -> Result<(), Failed> {
    as_in_the_table(bench, PEER.into(), |case| match case.protocol {
        protocol::TCP => Some(tcp((POD, 40000), (PEER, case.port), SYN)),
        protocol::UDP => Some(udp((POD, 40000), (PEER, case.port))),
        protocol::ICMP => Some(echo(POD, PEER, u8::try_from(case.port).ok()?, 77)),
        _ => None,
    })
}

/// The same table that `ebpf/shared` runs over the same source on the host, for a peer at this address, with a frame for
/// each case. ICMP has another number in each family: its cases have a frame in one of them.
pub(super) fn as_in_the_table(
    bench: &mut Bench,
    peer: IpAddr,
    frame: impl Fn(&table::Case) -> Option<Vec<u8>>,
) -> Result<(), Failed> {
    for case in table::CASES {
        let Some(frame) = frame(case) else {
            let other = if peer.is_ipv4() { protocol::ICMPV6 } else { protocol::ICMP };
            same(case.name, case.protocol, other)?;
            continue;
        };
        for row in case.rows {
            let (key, prefix) = row.key();
            bench.datapath.maps.put_policy(key, prefix, row.entry())?;
        }
        bench.datapath.maps.put_ipcache(IpNet::from(peer), case.peer)?;
        bench.datapath.maps.forget_connections()?;
        bench.enforce(0, case.policy)?;
        // A test run has no proxy to redirect to, which is the next thing to go wrong.
        let expected = match case.verdict {
            Verdict::Redirected(_) => Verdict::Dropped(DropReason::SocketLookupFailed),
            verdict @ (Verdict::Forwarded | Verdict::Dropped(_)) => verdict,
        };
        let ran = bench.run(Direction::Egress, &frame)?;
        let record = ran.record.ok_or("there is no record")?;
        let got = (Verdict::from_number(record.verdict), record.rule, record.match_type);
        same(case.name, got, (Some(expected), case.rule, case.match_type as u8))?;
        for row in case.rows {
            let (key, prefix) = row.key();
            bench.datapath.maps.delete_policy(key, prefix)?;
        }
    }
    Ok(())
}
