//! IPv6 frames for the datapath, with right lengths and checksums.

use std::net::Ipv6Addr;

use egret_shared::protocol;
use pnet::Packet as _;
use pnet::ethernet::EtherTypes;
use pnet::icmpv6::{Icmpv6Code, Icmpv6Type, MutableIcmpv6Packet};
use pnet::ip::IpNextHeaderProtocol;
use pnet::ipv6::{Ipv6Packet, MutableIpv6Packet};
use pnet::tcp::{MutableTcpPacket, TcpPacket};
use pnet::udp::{MutableUdpPacket, UdpPacket};

use super::frames::ethernet;

const ETHERNET: usize = 14;
const IP: usize = 40;

/// An address and a port.
pub(crate) type At = (Ipv6Addr, u16);

/// A TCP segment, behind extension headers.
pub(crate) fn tcp_behind(extensions: &[Extension<'_>], from: At, to: At, flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    let mut packet = MutableTcpPacket::new(&mut segment).expect("room for a TCP header");
    packet.set_source(from.1);
    packet.set_destination(to.1);
    packet.set_data_offset(5);
    packet.set_flags(flags);
    packet.set_window(1024);
    let checksum = pnet::tcp::ipv6_checksum(&packet.to_immutable(), &from.0, &to.0);
    packet.set_checksum(checksum);
    ipv6(from.0, to.0, extensions, protocol::TCP, &segment)
}

/// A TCP segment.
pub(crate) fn tcp(from: At, to: At, flags: u8) -> Vec<u8> {
    tcp_behind(&[], from, to, flags)
}

/// A UDP datagram with four bytes.
pub(crate) fn udp(from: At, to: At) -> Vec<u8> {
    let mut datagram = vec![0; 12];
    let mut packet = MutableUdpPacket::new(&mut datagram).expect("room for a UDP header");
    packet.set_source(from.1);
    packet.set_destination(to.1);
    packet.set_length(12);
    packet.set_payload(b"ping");
    let checksum = pnet::udp::ipv6_checksum(&packet.to_immutable(), &from.0, &to.0);
    packet.set_checksum(checksum);
    ipv6(from.0, to.0, &[], protocol::UDP, &datagram)
}

/// An ICMPv6 message: type, code, and what stands behind the checksum.
pub(crate) fn icmp(from: Ipv6Addr, to: Ipv6Addr, (kind, code): (u8, u8), rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 4 + rest.len()];
    let mut packet = MutableIcmpv6Packet::new(&mut message).expect("room for an ICMPv6 header");
    packet.set_icmpv6_type(Icmpv6Type(kind));
    packet.set_icmpv6_code(Icmpv6Code(code));
    packet.set_payload(rest);
    let checksum = pnet::icmpv6::checksum(&packet.to_immutable(), &from, &to);
    packet.set_checksum(checksum);
    ipv6(from, to, &[], protocol::ICMPV6, &message)
}

/// An echo request (128) or reply (129) with an identifier.
pub(crate) fn echo(from: Ipv6Addr, to: Ipv6Addr, kind: u8, identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    icmp(from, to, (kind, 0), &[high, low, 0, 1])
}

/// "Port unreachable" about a frame that was sent before.
pub(crate) fn port_unreachable(from: Ipv6Addr, to: Ipv6Addr, about: &[u8]) -> Vec<u8> {
    icmp(from, to, (1, 4), &[&[0; 4], &about[ETHERNET..ETHERNET + IP + 8]].concat())
}

/// A neighbour solicitation or advertisement, with its hop limit.
pub(crate) fn neighbour(from: Ipv6Addr, to: Ipv6Addr, kind: u8, hops: u8) -> Vec<u8> {
    let mut frame = icmp(from, to, (kind, 0), &[&[0; 4][..], &to.octets()].concat());
    frame[ETHERNET + 7] = hops;
    frame
}

/// An extension header: its number, and its bytes behind the number of the next one.
pub(crate) type Extension<'a> = (u8, &'a [u8]);

/// An IPv6 packet around extension headers and a payload.
pub(crate) fn ipv6(
    from: Ipv6Addr,
    to: Ipv6Addr,
    extensions: &[Extension<'_>],
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let numbers: Vec<u8> = extensions.iter().map(|(number, _)| *number).chain([protocol]).collect();
    let headers =
        extensions.iter().zip(&numbers[1..]).flat_map(|((_, rest), next)| [&[*next], *rest].concat());
    let behind: Vec<u8> = headers.chain(payload.iter().copied()).collect();
    let mut bytes = vec![0; IP + behind.len()];
    let mut packet = MutableIpv6Packet::new(&mut bytes).expect("room for an IPv6 header");
    packet.set_version(6);
    packet.set_payload_length(u16::try_from(behind.len()).expect("a short packet"));
    packet.set_hop_limit(64);
    packet.set_next_header(IpNextHeaderProtocol(numbers[0]));
    packet.set_source(from);
    packet.set_destination(to);
    packet.set_payload(&behind);
    ethernet(EtherTypes::Ipv6, &bytes)
}

/// Addresses and ports of a TCP or UDP frame without extensions, if its checksum is right.
pub(crate) fn ends(frame: &[u8]) -> Result<(At, At), String> {
    let ip = Ipv6Packet::new(&frame[ETHERNET..]).ok_or("no IPv6 packet")?;
    let (from, to) = (ip.get_source(), ip.get_destination());
    let (ports, right, stated) = if ip.get_next_header().0 == protocol::TCP {
        let tcp = TcpPacket::new(ip.payload()).ok_or("no TCP segment")?;
        let right = pnet::tcp::ipv6_checksum(&tcp, &from, &to);
        ((tcp.get_source(), tcp.get_destination()), right, tcp.get_checksum())
    } else {
        let udp = UdpPacket::new(ip.payload()).ok_or("no UDP datagram")?;
        let right = pnet::udp::ipv6_checksum(&udp, &from, &to);
        ((udp.get_source(), udp.get_destination()), right, udp.get_checksum())
    };
    if right != stated {
        return Err(format!("the transport checksum is {stated:#x}, not {right:#x}"));
    }
    Ok(((from, ports.0), (to, ports.1)))
}
