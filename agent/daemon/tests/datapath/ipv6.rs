//! IPv6 in the kernel: what is new in it, and that everything else is as for IPv4.

use std::net::{IpAddr, Ipv6Addr};

use egret_shared::decide::conntrack::tcp::{ACK, SYN};
use egret_shared::protocol::{self, extension};
use egret_shared::{
    Action, Address, CtStatus, Direction, DropReason, Identity, LOOPBACK_V6, MARK_LOOPBACK, ServiceEntry,
    ServiceKey,
};
use ipnet::IpNet;
use libtest_mimic::Failed;

use super::bench::{Bench, EGRESS, INGRESS, PEER, PEER_IDENTITY, PEER6, POD, POD6, Row, same};
use super::frames6::{Extension, echo, ends, icmp, ipv6, neighbour, port_unreachable, tcp, tcp_behind, udp};
use super::policies::as_in_the_table;
use super::{Body, frames};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("without its programs IPv6 is a family that is not known", unknown_family),
    ("with them IPv4 is judged as before, and its peers are no part of a short IPv6 prefix", both_families),
    ("an IPv6 source that is not the pod's own is refused", spoofed),
    ("IPv6 headers lead to a transport header, or are refused", headers),
    ("neighbours on the link find each other, and nobody beyond", neighbours),
    ("arbitrary bytes behind an IPv6 header are judged, never mishandled", arbitrary),
    ("an IPv6 address belongs to its longest prefix, or is the world", prefixes),
    ("ICMPv6 is matched by its type, and replies belong to their requests", icmpv6),
    ("an ICMPv6 error about a connection passes, one about nothing does not", errors),
    ("answers pass over IPv6 whatever the other direction's policy says", answers_pass),
    ("an IPv6 service's address becomes a backend's, and back", translated),
    ("a pod that is its own backend over IPv6 talks to itself", own_backend),
    ("the kernel decides every case of the shared table over IPv6 as the model does", shared_table),
];

const OUTSIDE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
const ALLOW_ALL: Row = Row { peer: Identity::ANY, protocol: 0, port: 0, action: Action::Allow, rule: 20 };

fn unknown_family(bench: &mut Bench) -> Result<(), Failed> {
    bench
        .run(Direction::Egress, &tcp((POD6, 40000), (PEER6, 80), SYN))?
        .dropped(DropReason::UnsupportedL3)?;
    bench.run(Direction::Ingress, &tcp((PEER6, 80), (POD6, 80), SYN))?.dropped(DropReason::UnsupportedL3)?;
    Ok(())
}

fn both_families(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.datapath.maps.put_ipcache("::/0".parse()?, Identity(300))?;
    let outside = "203.0.113.7".parse()?;
    let ran = bench.run(Direction::Egress, &frames::tcp((POD, 40000), (outside, 80), SYN))?;
    same("an address of IPv4", ran.forwarded()?.destination_identity, Identity::WORLD.0)?;
    bench.datapath.maps.put_ipcache("0.0.0.0/0".parse()?, Identity(301))?;
    let ran = bench.run(Direction::Egress, &frames::tcp((POD, 40001), (outside, 80), SYN))?;
    same("under a prefix", ran.forwarded()?.destination_identity, 301)?;
    bench.datapath.maps.delete_ipcache("0.0.0.0/0".parse()?)?;
    let ran = bench.run(Direction::Egress, &frames::tcp((POD, 40002), (outside, 80), SYN))?;
    same("when it is gone", ran.forwarded()?.destination_identity, Identity::WORLD.0)?;
    let ran = bench.run(Direction::Egress, &tcp((POD6, 40000), (OUTSIDE, 80), SYN))?;
    same("an address of IPv6", ran.forwarded()?.destination_identity, 300)?;
    bench.run(Direction::Egress, &frames::echo(POD, PEER, 8, 1))?.forwarded()?;
    Ok(())
}

fn spoofed(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    for source in [OUTSIDE, Ipv6Addr::UNSPECIFIED, "fe80::1".parse()?] {
        let frame = tcp((source, 40000), (PEER6, 80), SYN);
        bench.run(Direction::Egress, &frame)?.dropped(DropReason::InvalidSourceIp)?;
    }
    // Nobody passes for an IPv4 address, which the maps would take it for.
    let (pod, peer) = (POD.to_ipv6_mapped(), PEER.to_ipv6_mapped());
    for (from, to) in [(pod, PEER6), (POD6, peer)] {
        bench
            .run(Direction::Egress, &tcp((from, 40000), (to, 80), SYN))?
            .dropped(DropReason::InvalidPacket)?;
    }
    // Into the pod any source may come.
    bench.run(Direction::Ingress, &tcp((OUTSIDE, 40000), (POD6, 80), SYN))?.forwarded()?;
    Ok(())
}

fn headers(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.enforce(0, EGRESS)?;
    bench.entry(
        EGRESS,
        Row { peer: PEER_IDENTITY, protocol: protocol::TCP, port: 80, action: Action::Allow, rule: 16 },
    )?;
    let short: &[u8] = &[0; 7];
    // A length of one: eight bytes more.
    let long: &[u8] = &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // Three words more than eight bytes.
    let signature: &[u8] = &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let hop = (extension::HOP_BY_HOP, short);
    let known: &[&[Extension<'_>]] = &[
        &[],
        &[hop],
        &[hop, (extension::DESTINATION, long), (extension::ROUTING, short)],
        &[(extension::AUTHENTICATION, signature), (extension::DESTINATION, short)],
    ];
    for extensions in known {
        let frame = tcp_behind(extensions, (POD6, 40000), (PEER6, 80), SYN);
        bench.run(Direction::Egress, &frame)?.forwarded()?;
        let frame = tcp_behind(extensions, (POD6, 40000), (PEER6, 81), SYN);
        bench.run(Direction::Egress, &frame)?.dropped(DropReason::PolicyDenied)?;
    }
    let endless: &[u8] = &[255, 0, 0, 0, 0, 0, 0];
    let refused = [
        (tcp_behind(&[hop; 4], (POD6, 1), (PEER6, 80), SYN), DropReason::InvalidExtensionHeader),
        (
            tcp_behind(&[(extension::DESTINATION, endless)], (POD6, 1), (PEER6, 80), SYN),
            DropReason::InvalidExtensionHeader,
        ),
        (tcp_behind(&[(extension::FRAGMENT, short)], (POD6, 1), (PEER6, 80), SYN), DropReason::Fragment),
        (ipv6(POD6, PEER6, &[hop], extension::NONE, &[]), DropReason::InvalidExtensionHeader),
        (ipv6(POD6, PEER6, &[], extension::ROUTING, &[6]), DropReason::InvalidPacket),
        (ipv6(POD6, PEER6, &[], protocol::TCP, &[0; 6]), DropReason::CtTruncated),
        (ipv6(POD6, PEER6, &[], 47, &[0; 8]), DropReason::CtUnknownProtocol),
        (ipv6(POD6, PEER6, &[], protocol::ICMP, &[8, 0, 0, 0, 0, 0, 0, 0]), DropReason::CtUnknownProtocol),
        (
            frames::ipv4(POD, PEER, protocol::ICMPV6, &[128, 0, 0, 0, 0, 0, 0, 0]),
            DropReason::CtUnknownProtocol,
        ),
    ];
    for (index, (frame, reason)) in refused.iter().enumerate() {
        let ran = bench.run(Direction::Egress, frame)?;
        ran.dropped(*reason).map_err(|error| format!("frame {index}: {error:?}"))?;
    }
    Ok(())
}

fn neighbours(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.enforce(INGRESS, EGRESS)?;
    for (kind, direction) in [(135, Direction::Egress), (136, Direction::Egress), (135, Direction::Ingress)] {
        let ran = bench.run(direction, &neighbour(POD6, PEER6, kind, 255))?;
        same("passed", ran.passed, true)?;
        same("record", ran.record, None)?;
    }
    // A router has passed it on, so it is a message like any other.
    bench.run(Direction::Ingress, &neighbour(PEER6, POD6, 135, 254))?.dropped(DropReason::PolicyDenied)?;
    // No pod is a router, and none says which groups it hears.
    for kind in [133, 134, 137, 143] {
        let frame = icmp("fe80::1".parse()?, "ff02::2".parse()?, (kind, 0), &[0; 16]);
        bench.run(Direction::Egress, &frame)?.dropped(DropReason::InvalidSourceIp)?;
    }
    Ok(())
}

fn arbitrary(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    // A linear congruential generator: the same bytes in every run.
    let mut state = 0x5eed_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let extensions = [
        extension::HOP_BY_HOP,
        extension::ROUTING,
        extension::AUTHENTICATION,
        extension::DESTINATION,
        extension::FRAGMENT,
        protocol::ICMPV6,
    ];
    for length in (54..700).step_by(3) {
        let mut frame: Vec<u8> = (0..length).map(|_| next()).collect();
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[20] = extensions[usize::from(next()) % extensions.len()];
        if length > 60 {
            frame[54] = extensions[usize::from(next()) % extensions.len()];
            frame[55] %= 4;
        }
        frame[22..38].copy_from_slice(&POD6.octets());
        for direction in [Direction::Egress, Direction::Ingress] {
            let ran = bench.run(direction, &frame).map_err(|error| format!("{length} bytes: {error:?}"))?;
            same("a passed packet is unchanged", ran.out == frame, true)?;
        }
    }
    Ok(())
}

fn prefixes(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    let maps = &mut bench.datapath.maps;
    maps.put_ipcache("2001:db8::/32".parse()?, Identity(300))?;
    maps.put_ipcache("2001:db8::/64".parse()?, Identity(301))?;
    maps.put_ipcache(IpNet::from(IpAddr::V6(OUTSIDE)), Identity(302))?;
    let cases = [
        ("2001:db8::7", 302),
        ("2001:db8::8", 301),
        ("2001:db8:0:1::7", 300),
        ("2001:db9::7", Identity::WORLD.0),
    ];
    for (port, (address, identity)) in (40000..).zip(cases) {
        let ran = bench.run(Direction::Egress, &udp((POD6, port), (address.parse()?, 53)))?;
        same(address, ran.forwarded()?.destination_identity, identity)?;
    }
    Ok(())
}

fn icmpv6(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(
        EGRESS,
        Row { peer: Identity::ANY, protocol: protocol::ICMPV6, port: 128, action: Action::Allow, rule: 18 },
    )?;
    let ran = bench.run(Direction::Egress, &echo(POD6, PEER6, 128, 77))?;
    same("author", ran.forwarded()?.rule, 18)?;
    let ran = bench.run(Direction::Ingress, &echo(PEER6, POD6, 129, 77))?;
    same("status", ran.forwarded()?.status, CtStatus::Reply as u8)?;
    bench.run(Direction::Ingress, &echo(PEER6, POD6, 129, 78))?.dropped(DropReason::PolicyDenied)?;
    bench.run(Direction::Ingress, &echo(PEER6, POD6, 128, 77))?.dropped(DropReason::PolicyDenied)?;
    bench
        .run(Direction::Egress, &icmp(POD6, PEER6, (139, 0), &[0; 16]))?
        .dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn errors(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(EGRESS, ALLOW_ALL)?;
    let sent = udp((POD6, 40000), (PEER6, 9));
    bench.run(Direction::Egress, &sent)?.forwarded()?;
    let ran = bench.run(Direction::Ingress, &port_unreachable(PEER6, POD6, &sent))?;
    same("status", ran.forwarded()?.status, CtStatus::Related as u8)?;
    let never_sent = udp((POD6, 40001), (PEER6, 9));
    bench
        .run(Direction::Ingress, &port_unreachable(PEER6, POD6, &never_sent))?
        .dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn answers_pass(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(EGRESS, ALLOW_ALL)?;
    bench.run(Direction::Egress, &tcp((POD6, 40000), (PEER6, 80), SYN))?.forwarded()?;
    let ran = bench.run(Direction::Ingress, &tcp((PEER6, 80), (POD6, 40000), SYN | ACK))?;
    same("status", ran.forwarded()?.status, CtStatus::Reply as u8)?;
    // The same ports over IPv4 are another connection.
    bench
        .run(Direction::Ingress, &frames::tcp((PEER, 80), (POD, 40000), SYN | ACK))?
        .dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn translated(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    let service: Ipv6Addr = "3fff:10:96::a".parse()?;
    for transport in [protocol::TCP, protocol::UDP] {
        let key = |slot| ServiceKey::new(Address::from(IpAddr::V6(service)), transport, 53, slot);
        let backend = Address::from(IpAddr::V6(PEER6));
        let entry = ServiceEntry { address: backend, port: 5353_u16.to_be_bytes(), count: 0 };
        bench.datapath.maps.put_service(key(1), entry)?;
        bench.datapath.maps.put_service(key(0), ServiceEntry { count: 1, ..ServiceEntry::default() })?;
    }
    let frames = [
        (tcp((POD6, 40000), (service, 53), SYN), tcp((PEER6, 5353), (POD6, 40000), SYN | ACK)),
        (udp((POD6, 40000), (service, 53)), udp((PEER6, 5353), (POD6, 40000))),
    ];
    for (question, answer) in frames {
        let ran = bench.run(Direction::Egress, &question)?;
        same("service in the record", ran.forwarded()?.service.to_ip(), service.into())?;
        same("ends", ends(&ran.out)?, ((POD6, 40000), (PEER6, 5353)))?;
        let ran = bench.run(Direction::Ingress, &answer)?;
        same("ends of the answer", ends(&ran.out)?, ((service, 53), (POD6, 40000)))?;
    }
    Ok(())
}

fn own_backend(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    bench.enforce(INGRESS, EGRESS)?;
    let service: Ipv6Addr = "3fff:10:96::a".parse()?;
    let address = Address::from(IpAddr::V6(service));
    let key = |slot| ServiceKey::new(address, protocol::TCP, 53, slot);
    let pod = Address::from(IpAddr::V6(POD6));
    let entry = ServiceEntry { address: pod, port: 5353_u16.to_be_bytes(), count: 0 };
    bench.datapath.maps.put_service(key(1), entry)?;
    bench.datapath.maps.put_service(key(0), ServiceEntry { count: 1, ..ServiceEntry::default() })?;
    let IpAddr::V6(loopback) = LOOPBACK_V6.to_ip() else { return Err("no IPv6 address".into()) };
    let ran = bench.run(Direction::Egress, &tcp((POD6, 40000), (service, 53), SYN))?;
    same("turned round", (ran.turned, ran.mark), (true, MARK_LOOPBACK))?;
    same("ends for the server", ends(&ran.out)?, ((loopback, 40000), (POD6, 5353)))?;
    let arrived = bench.run_marked(Direction::Ingress, &ran.out, MARK_LOOPBACK)?;
    same("status", arrived.forwarded()?.status, CtStatus::Established as u8)?;
    let answer = bench.run(Direction::Egress, &tcp((POD6, 5353), (loopback, 40000), SYN | ACK))?;
    same("turned round", (answer.turned, answer.mark), (true, MARK_LOOPBACK))?;
    same("ends for the client", ends(&answer.out)?, ((service, 53), (POD6, 40000)))
}

/// As over IPv4: the decision knows identities, not families.
fn shared_table(bench: &mut Bench) -> Result<(), Failed> {
    bench.add_ipv6()?;
    as_in_the_table(bench, PEER6.into(), |case| match case.protocol {
        protocol::TCP => Some(tcp((POD6, 40000), (PEER6, case.port), SYN)),
        protocol::UDP => Some(udp((POD6, 40000), (PEER6, case.port))),
        protocol::ICMPV6 => Some(echo(POD6, PEER6, u8::try_from(case.port).ok()?, 77)),
        _ => None,
    })
}
