//! Flow records to addresses, ports and words; names are not resolved here.

use std::net::IpAddr;

use egret_core::Protocol;
use egret_core::flow::Packet;
use egret_shared::{Address, CtStatus, Direction, FlowRecord, Identity, MatchType, Verdict};
use pnet::Packet as _;
use pnet::ethernet::{EtherTypes, EthernetPacket};
use pnet::icmp::IcmpPacket;
use pnet::ipv4::Ipv4Packet;
use pnet::tcp::TcpPacket;
use pnet::udp::UdpPacket;

/// What a record says, by number.
pub struct Decoded {
    /// Hook.
    pub direction: Direction,
    /// Address and port that the packet comes from; the port is the echo identifier for ICMP echo.
    pub source: (IpAddr, u16),
    /// Address and port that it is for.
    pub destination: (IpAddr, u16),
    /// Identities of source and destination.
    pub identities: (Identity, Identity),
    /// Address and port of the service that the client used.
    pub service: Option<(IpAddr, u16)>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The decision.
    pub verdict: Verdict,
    /// How specific the deciding entry is.
    pub match_type: MatchType,
    /// The packet.
    pub packet: Packet,
}

/// Reads a record; `None` when its packet is not IPv4 or a number has no meaning.
#[must_use]
pub fn decode(record: &FlowRecord) -> Option<Decoded> {
    let bytes = record.packet.get(..usize::from(record.captured))?;
    let ethernet = EthernetPacket::new(bytes)?;
    if ethernet.get_ethertype() != EtherTypes::Ipv4 {
        return None;
    }
    let ip = Ipv4Packet::new(ethernet.payload())?;
    let transport = Transport::read(&ip);
    let direction =
        if record.direction == Direction::Egress as u8 { Direction::Egress } else { Direction::Ingress };
    Some(Decoded {
        direction,
        source: (ip.get_source().into(), transport.source_port),
        destination: (ip.get_destination().into(), transport.destination_port),
        identities: (Identity(record.source_identity), Identity(record.destination_identity)),
        service: (record.service != Address::default())
            .then(|| (record.service.to_ip(), u16::from_be_bytes(record.service_port))),
        protocol: Protocol::from_number(ip.get_next_level_protocol().0),
        verdict: Verdict::from_number(record.verdict)?,
        match_type: MatchType::from_number(record.match_type)?,
        packet: Packet {
            status: CtStatus::from_number(record.status)?,
            ifindex: record.ifindex,
            hash: record.hash,
            from_proxy: record.flags & FlowRecord::FROM_PROXY != 0,
            tcp_flags: transport.tcp_flags,
            icmp: transport.icmp,
            length: record.length,
            bytes: bytes.to_vec(),
        },
    })
}

#[derive(Default)]
struct Transport {
    source_port: u16,
    destination_port: u16,
    tcp_flags: u8,
    icmp: Option<(u8, u8)>,
}

impl Transport {
    fn read(ip: &Ipv4Packet<'_>) -> Self {
        Self::read_inner(ip).unwrap_or_default()
    }

    fn read_inner(ip: &Ipv4Packet<'_>) -> Option<Self> {
        let payload = ip.payload();
        Some(match Protocol::from_number(ip.get_next_level_protocol().0) {
            Protocol::Tcp => {
                let tcp = TcpPacket::new(payload)?;
                Self {
                    source_port: tcp.get_source(),
                    destination_port: tcp.get_destination(),
                    tcp_flags: tcp.get_flags(),
                    icmp: None,
                }
            }
            Protocol::Udp => {
                let udp = UdpPacket::new(payload)?;
                Self {
                    source_port: udp.get_source(),
                    destination_port: udp.get_destination(),
                    ..Self::default()
                }
            }
            Protocol::Icmp => {
                let icmp = IcmpPacket::new(payload)?;
                let identifier = match icmp.payload() {
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    _ => 0,
                };
                Self {
                    source_port: identifier,
                    icmp: Some((icmp.get_icmp_type().0, icmp.get_icmp_code().0)),
                    ..Self::default()
                }
            }
            Protocol::Sctp | Protocol::Icmpv6 | Protocol::Other(_) => Self::default(),
        })
    }
}
