//! Service translation in the kernel: addresses, ports and checksums.

use std::net::Ipv4Addr;

use egret_shared::decide::conntrack::tcp::{ACK, SYN};
use egret_shared::{
    Action, Address, Direction, DropReason, MARK_LOOPBACK, ServiceEntry, ServiceKey, protocol,
};
use libtest_mimic::Failed;

use super::Body;
use super::bench::{Bench, EGRESS, INGRESS, PEER, PEER_IDENTITY, POD, Row, same};
use super::frames::{ends, tcp, udp};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a service address becomes a backend's before policy is asked", translated),
    ("the answer comes from the service's address", translated_back),
    ("a connection keeps its backend", sticky),
    ("a service without backends is a drop of its own", no_backend),
    ("a pod that is its own backend talks to itself, and policy is not asked", own_backend),
    ("nobody else comes in from the loopback address", not_own),
];

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 12);

fn service(bench: &mut Bench, protocol: u8, backends: &[Ipv4Addr]) -> Result<(), Failed> {
    let key = |slot| ServiceKey::new(Address::from(SERVICE), protocol, 53, slot);
    let maps = &mut bench.datapath.maps;
    for (slot, backend) in (1..).zip(backends) {
        let entry = ServiceEntry { address: Address::from(*backend), port: 5353_u16.to_be_bytes(), count: 0 };
        maps.put_service(key(slot), entry)?;
    }
    let count = u16::try_from(backends.len())?;
    Ok(maps.put_service(key(0), ServiceEntry { count, ..ServiceEntry::default() })?)
}

fn translated(bench: &mut Bench) -> Result<(), Failed> {
    service(bench, protocol::UDP, &[PEER])?;
    bench.enforce(0, EGRESS)?;
    let backend_only =
        Row { peer: PEER_IDENTITY, protocol: protocol::UDP, port: 5353, action: Action::Allow, rule: 21 };
    bench.entry(EGRESS, backend_only)?;
    let ran = bench.run(Direction::Egress, &udp((POD, 40000), (SERVICE, 53)))?;
    let record = ran.forwarded()?;
    same("service in the record", record.service.to_ip(), SERVICE.into())?;
    same("ends", ends(&ran.out)?, ((POD, 40000), (PEER, 5353)))
}

fn translated_back(bench: &mut Bench) -> Result<(), Failed> {
    service(bench, protocol::TCP, &[PEER])?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (SERVICE, 53), SYN))?;
    same("ends", ends(&ran.out)?, ((POD, 40000), (PEER, 5353)))?;
    let ran = bench.run(Direction::Ingress, &tcp((PEER, 5353), (POD, 40000), SYN | ACK))?;
    same("ends of the answer", ends(&ran.out)?, ((SERVICE, 53), (POD, 40000)))?;
    // Not on a service: as it is.
    let ran = bench.run(Direction::Egress, &tcp((POD, 40001), (PEER, 5353), SYN))?;
    same("ends", ends(&ran.out)?, ((POD, 40001), (PEER, 5353)))
}

fn sticky(bench: &mut Bench) -> Result<(), Failed> {
    service(bench, protocol::TCP, &[PEER])?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (SERVICE, 53), SYN))?.forwarded()?;
    service(bench, protocol::TCP, &[OTHER])?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (SERVICE, 53), ACK))?;
    same("old connection", ends(&ran.out)?.1, (PEER, 5353))?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40001), (SERVICE, 53), SYN))?;
    same("new connection", ends(&ran.out)?.1, (OTHER, 5353))
}

fn no_backend(bench: &mut Bench) -> Result<(), Failed> {
    service(bench, protocol::TCP, &[])?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (SERVICE, 53), SYN))?.dropped(DropReason::NoBackend)?;
    Ok(())
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::new(169, 254, 42, 1);

fn own_backend(bench: &mut Bench) -> Result<(), Failed> {
    // Nothing may come in or go out.
    bench.enforce(INGRESS, EGRESS)?;
    service(bench, protocol::TCP, &[POD])?;
    for flags in [SYN, ACK] {
        let frame = tcp((POD, 40000), (SERVICE, 53), flags);
        let ran = bench.run(Direction::Egress, &frame)?;
        same("turned round", (ran.turned, ran.mark), (true, MARK_LOOPBACK))?;
        same("ends for the server", ends(&ran.out)?, ((LOOPBACK, 40000), (POD, 5353)))?;
        same("hardware addresses", (&ran.out[..6], &ran.out[6..12]), (&frame[6..12], &frame[..6]))?;
        if flags == SYN {
            let record = ran.forwarded()?;
            same("service in the record", record.service.to_ip(), SERVICE.into())?;
            let recorded = &record.packet[..usize::from(record.captured)];
            same("ends in the record", ends(recorded)?, ((POD, 40000), (POD, 5353)))?;
        }
        let arrived = bench.run_marked(Direction::Ingress, &ran.out, MARK_LOOPBACK)?;
        same("arrived", (arrived.passed, arrived.turned), (true, false))?;
        let answer = bench.run(Direction::Egress, &tcp((POD, 5353), (LOOPBACK, 40000), flags | ACK))?;
        same("turned round", (answer.turned, answer.mark), (true, MARK_LOOPBACK))?;
        same("ends for the client", ends(&answer.out)?, ((SERVICE, 53), (POD, 40000)))?;
        let arrived = bench.run_marked(Direction::Ingress, &answer.out, MARK_LOOPBACK)?;
        same("arrived", (arrived.passed, arrived.turned), (true, false))?;
    }
    Ok(())
}

fn not_own(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    service(bench, protocol::TCP, &[POD])?;
    let unasked = tcp((LOOPBACK, 40000), (POD, 5353), SYN);
    bench.run(Direction::Ingress, &unasked)?.dropped(DropReason::PolicyDenied)?;
    let unknown = tcp((POD, 5353), (LOOPBACK, 40000), SYN | ACK);
    bench.run(Direction::Egress, &unknown)?.dropped(DropReason::PolicyDenied)?;
    bench.run(Direction::Egress, &unasked)?.dropped(DropReason::InvalidSourceIp)?;
    Ok(())
}
