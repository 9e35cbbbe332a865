//! What the datapath does with frames that are no ordinary packet of the pod.

use egret_shared::decide::conntrack::tcp::SYN;
use egret_shared::{Direction, DropReason, protocol};
use libtest_mimic::Failed;
use pnet::ethernet::EtherTypes;
use std::net::Ipv4Addr;

use super::Body;
use super::bench::{Bench, PEER, POD, same};
use super::frames::{ethernet, ipv4, tcp};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("an interface without endpoint passes nothing", no_endpoint),
    ("a source that is not the pod's own is refused", spoofed),
    ("fragments, unknown families and cut headers are refused", refused_shapes),
    ("ARP passes unseen", arp),
    ("arbitrary bytes are judged, never mishandled", arbitrary),
];

fn no_endpoint(bench: &mut Bench) -> Result<(), Failed> {
    bench.remove_endpoint()?;
    for direction in [Direction::Egress, Direction::Ingress] {
        bench.run(direction, &tcp((POD, 40000), (PEER, 80), SYN))?.dropped(DropReason::NoConfiguration)?;
    }
    Ok(())
}

fn spoofed(bench: &mut Bench) -> Result<(), Failed> {
    let frame = tcp((Ipv4Addr::new(10, 0, 1, 99), 40000), (PEER, 80), SYN);
    bench.run(Direction::Egress, &frame)?.dropped(DropReason::InvalidSourceIp)?;
    // Into the pod any source may come.
    bench.run(Direction::Ingress, &tcp((PEER, 40000), (POD, 80), SYN))?.forwarded()?;
    Ok(())
}

fn refused_shapes(bench: &mut Bench) -> Result<(), Failed> {
    let mut fragment = tcp((POD, 40000), (PEER, 80), SYN);
    fragment[14 + 6] = 0x20;
    let mut short_header = tcp((POD, 40000), (PEER, 80), SYN);
    short_header[14] = 0x42;
    let cases = [
        (fragment, DropReason::Fragment),
        (short_header, DropReason::InvalidPacket),
        (ipv4(POD, PEER, protocol::TCP, &[0; 6]), DropReason::CtTruncated),
        (ipv4(POD, PEER, 47, &[0; 8]), DropReason::CtUnknownProtocol),
        (ethernet(EtherTypes::Ipv6, &[0; 40]), DropReason::UnsupportedL3),
        (ethernet(EtherTypes::Vlan, &[0; 40]), DropReason::UnsupportedL2),
    ];
    for (frame, reason) in cases {
        bench.run(Direction::Egress, &frame)?.dropped(reason)?;
    }
    Ok(())
}

fn arp(bench: &mut Bench) -> Result<(), Failed> {
    let ran = bench.run(Direction::Egress, &ethernet(EtherTypes::Arp, &[0; 28]))?;
    same("passed", ran.passed, true)?;
    same("record", ran.record, None)
}

fn arbitrary(bench: &mut Bench) -> Result<(), Failed> {
    // A linear congruential generator: the same bytes in every run. A test run takes no IPv4 frame that is
    // shorter than its header.
    let mut state = 0x5eed_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for length in (34..400).step_by(3) {
        let mut frame: Vec<u8> = (0..length).map(|_| next()).collect();
        if length % 2 == 0 {
            frame[12..14].copy_from_slice(&[0x08, 0x00]);
        }
        let direction = if length % 4 < 2 { Direction::Egress } else { Direction::Ingress };
        let ran = bench.run(direction, &frame).map_err(|error| format!("{length} bytes: {error:?}"))?;
        same("a passed packet is unchanged", ran.out == frame, true)?;
    }
    Ok(())
}
