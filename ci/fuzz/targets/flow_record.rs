//! A record that is understood says exactly what its bytes say.
#![no_main]

use std::net::IpAddr;

use egret_agent::datapath::decode::decode;
use egret_core::Protocol;
use egret_shared::{Address, Direction, FlowRecord};
use libfuzzer_sys::fuzz_target;

/// Bytes of the input before the packet: verdict, direction, status, kind of match, flags, length, port, address.
const HEAD: usize = 28;

/// IPv6 extension headers: hop-by-hop options, routing, authentication, destination options.
const EXTENSIONS: [u8; 4] = [0, 43, 51, 60];

fn record(input: &[u8]) -> Option<FlowRecord> {
    let (head, bytes) = input.split_first_chunk::<HEAD>()?;
    let [v0, v1, v2, v3, direction, status, match_type, flags, c0, c1, p0, p1, service @ ..] = *head;
    let mut packet = [0; egret_shared::PACKET_BYTES];
    let length = bytes.len().min(packet.len());
    packet[..length].copy_from_slice(&bytes[..length]);
    Some(FlowRecord {
        time: 0,
        ifindex: 7,
        endpoint: 1,
        verdict: i32::from_le_bytes([v0, v1, v2, v3]),
        rule: 0,
        source_identity: 1,
        destination_identity: 2,
        hash: 0,
        length: 1500,
        direction,
        status,
        match_type,
        flags,
        captured: u16::from_le_bytes([c0, c1]),
        service_port: [p0, p1],
        service: Address(service),
        packet,
    })
}

/// What stands in an IP header, by its offsets.
struct Header {
    source: IpAddr,
    destination: IpAddr,
    /// Protocol and where its header begins; none behind extension headers.
    transport: Option<(Protocol, usize)>,
}

impl Header {
    fn read(packet: &[u8]) -> Self {
        let four = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).expect("four"));
        let sixteen = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).expect("sixteen"));
        match packet[12..14] {
            [8, 0] => {
                // A header length that is less than the header counts as the header's.
                let transport = 14 + usize::from(packet[14] & 0xf).max(5) * 4;
                let protocol = Protocol::from_number(packet[23]);
                Self { source: four(26), destination: four(30), transport: Some((protocol, transport)) }
            }
            [0x86, 0xdd] => {
                let transport =
                    (!EXTENSIONS.contains(&packet[20])).then(|| (Protocol::from_number(packet[20]), 54));
                Self { source: sixteen(22), destination: sixteen(38), transport }
            }
            _ => panic!("neither IPv4 nor IPv6"),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(record) = record(input) else { return };
    let Some(decoded) = decode(&record) else { return };
    let captured = usize::from(record.captured);
    let packet = record.packet.get(..captured).expect("no more than a record carries");
    assert_eq!(decoded.packet.bytes, packet);
    let header = Header::read(packet);
    assert_eq!((decoded.source.0, decoded.destination.0), (header.source, header.destination));
    assert_eq!(decoded.verdict.to_number(), record.verdict);
    assert_eq!(decoded.direction == Direction::Egress, record.direction == Direction::Egress as u8);
    assert_eq!(decoded.service.is_some(), record.service != Address::default());
    let Some((protocol, transport)) = header.transport else { return };
    assert_eq!(decoded.protocol, protocol);
    // Ports are those of the transport header, or none when it was not captured whole.
    let number = |at: usize| packet.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    let ports = (decoded.source.1, decoded.destination.1);
    match decoded.protocol {
        Protocol::Tcp | Protocol::Udp => {
            assert!(ports == (0, 0) || ports == (number(transport), number(transport + 2)), "{ports:?}");
        }
        Protocol::Icmp | Protocol::Icmpv6 => {
            assert!(ports == (0, 0) || ports == (number(transport + 4), 0), "{ports:?}");
        }
        Protocol::Sctp | Protocol::Other(_) => assert_eq!(ports, (0, 0)),
    }
});
