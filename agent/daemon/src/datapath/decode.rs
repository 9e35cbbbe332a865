//! Flow records to addresses, ports and words; names are not resolved here.

use std::net::IpAddr;

use egret_core::Protocol;
use egret_core::flow::Packet;
use egret_shared::protocol::extension;
use egret_shared::{Address, CtStatus, Direction, FlowRecord, Identity, MatchType, Verdict};
use pnet::Packet as _;
use pnet::ethernet::{EtherTypes, EthernetPacket};
use pnet::ipv4::Ipv4Packet;
use pnet::ipv6::Ipv6Packet;
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

/// Reads a record; `None` when its packet is not IP or a number has no meaning.
#[must_use]
pub fn decode(record: &FlowRecord) -> Option<Decoded> {
    let bytes = record.packet.get(..usize::from(record.captured))?;
    let ethernet = EthernetPacket::new(bytes)?;
    let ip = Ip::read(&ethernet)?;
    let transport = Transport::read(&ip).unwrap_or_default();
    let direction =
        if record.direction == Direction::Egress as u8 { Direction::Egress } else { Direction::Ingress };
    Some(Decoded {
        direction,
        source: (ip.source, transport.source_port),
        destination: (ip.destination, transport.destination_port),
        identities: (Identity(record.source_identity), Identity(record.destination_identity)),
        service: (record.service != Address::default())
            .then(|| (record.service.to_ip(), u16::from_be_bytes(record.service_port))),
        protocol: ip.protocol,
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

/// What an IP header says, and what stands behind it.
struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    payload: &'a [u8],
}

impl<'a> Ip<'a> {
    fn read(ethernet: &'a EthernetPacket<'_>) -> Option<Self> {
        let bytes = ethernet.payload();
        match ethernet.get_ethertype() {
            EtherTypes::Ipv4 => {
                let ip = Ipv4Packet::new(bytes)?;
                // A length that is less than the header counts as the header's.
                let behind = usize::from(ip.get_header_length())
                    .saturating_mul(4)
                    .max(Ipv4Packet::minimum_packet_size());
                Some(Self {
                    source: ip.get_source().into(),
                    destination: ip.get_destination().into(),
                    protocol: Protocol::from_number(ip.get_next_level_protocol().0),
                    payload: bytes.get(behind..).unwrap_or_default(),
                })
            }
            EtherTypes::Ipv6 => {
                let ip = Ipv6Packet::new(bytes)?;
                let behind = bytes.get(Ipv6Packet::minimum_packet_size()..).unwrap_or_default();
                let (protocol, payload) = behind_extensions(ip.get_next_header().0, behind);
                Some(Self {
                    source: ip.get_source().into(),
                    destination: ip.get_destination().into(),
                    protocol: Protocol::from_number(protocol),
                    payload,
                })
            }
            _ => None,
        }
    }
}

/// The protocol behind IPv6 extension headers, and its bytes. A part of a packet is its own protocol, as is a header
/// that is cut off.
fn behind_extensions(mut next: u8, mut bytes: &[u8]) -> (u8, &[u8]) {
    loop {
        let unit = match next {
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => 8,
            extension::AUTHENTICATION => 4,
            _ => return (next, bytes),
        };
        let [following, length, ..] = bytes else { return (next, bytes) };
        let Some(rest) = bytes.get(8_usize.saturating_add(usize::from(*length).saturating_mul(unit))..)
        else {
            return (next, bytes);
        };
        (next, bytes) = (*following, rest);
    }
}

#[derive(Default)]
struct Transport {
    source_port: u16,
    destination_port: u16,
    tcp_flags: u8,
    icmp: Option<(u8, u8)>,
}

impl Transport {
    fn read(ip: &Ip<'_>) -> Option<Self> {
        Some(match ip.protocol {
            Protocol::Tcp => {
                let tcp = TcpPacket::new(ip.payload)?;
                Self {
                    source_port: tcp.get_source(),
                    destination_port: tcp.get_destination(),
                    tcp_flags: tcp.get_flags(),
                    icmp: None,
                }
            }
            Protocol::Udp => {
                let udp = UdpPacket::new(ip.payload)?;
                Self {
                    source_port: udp.get_source(),
                    destination_port: udp.get_destination(),
                    ..Self::default()
                }
            }
            // Type, code, checksum, and for echo messages the identifier: in this alike.
            Protocol::Icmp | Protocol::Icmpv6 => {
                let [kind, code, _, _, high, low, ..] = ip.payload else { return None };
                Self {
                    source_port: u16::from_be_bytes([*high, *low]),
                    icmp: Some((*kind, *code)),
                    ..Self::default()
                }
            }
            Protocol::Sctp | Protocol::Other(_) => Self::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An echo request from 10.0.0.1 to 10.0.0.2 whose header says that it has this many words.
    fn echo(words: u8) -> Vec<u8> {
        let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let ip = [0x40 | words, 0, 0, 28, 0, 1, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let icmp = [8, 0, 0, 0, 0x12, 0x34, 0, 1];
        [&ethernet[..], &ip, &icmp].concat()
    }

    #[rstest::rstest]
    #[case::as_long_as_it_is(5, Some((8, 0)), 0x1234)]
    #[case::shorter_than_any_header(1, Some((8, 0)), 0x1234)]
    #[case::longer_than_the_packet(15, None, 0)]
    fn a_header_has_at_least_its_least_length(
        #[case] words: u8,
        #[case] icmp: Option<(u8, u8)>,
        #[case] identifier: u16,
    ) {
        let bytes = echo(words);
        let ethernet = EthernetPacket::new(&bytes).unwrap();
        let transport = Transport::read(&Ip::read(&ethernet).unwrap()).unwrap_or_default();
        assert_eq!((transport.icmp, transport.source_port), (icmp, identifier));
    }
}
