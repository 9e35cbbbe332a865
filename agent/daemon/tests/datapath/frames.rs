//! Frames for the datapath, with right lengths and checksums.

use std::net::Ipv4Addr;

use egret_shared::protocol;
use pnet::Packet as _;
use pnet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet::icmp::{IcmpCode, IcmpType, MutableIcmpPacket};
use pnet::ip::IpNextHeaderProtocol;
use pnet::ipv4::{Ipv4Packet, MutableIpv4Packet};
use pnet::tcp::{MutableTcpPacket, TcpPacket};
use pnet::udp::{MutableUdpPacket, UdpPacket};

const ETHERNET: usize = 14;
const IP: usize = 20;

/// An address and a port.
pub(crate) type At = (Ipv4Addr, u16);

/// A TCP segment.
pub(crate) fn tcp(from: At, to: At, flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 20];
    let mut packet = MutableTcpPacket::new(&mut segment).expect("room for a TCP header");
    packet.set_source(from.1);
    packet.set_destination(to.1);
    packet.set_data_offset(5);
    packet.set_flags(flags);
    packet.set_window(1024);
    let checksum = pnet::tcp::ipv4_checksum(&packet.to_immutable(), &from.0, &to.0);
    packet.set_checksum(checksum);
    ipv4(from.0, to.0, protocol::TCP, &segment)
}

/// A UDP datagram with four bytes.
pub(crate) fn udp(from: At, to: At) -> Vec<u8> {
    let mut datagram = vec![0; 12];
    let mut packet = MutableUdpPacket::new(&mut datagram).expect("room for a UDP header");
    packet.set_source(from.1);
    packet.set_destination(to.1);
    packet.set_length(12);
    packet.set_payload(b"ping");
    let checksum = pnet::udp::ipv4_checksum(&packet.to_immutable(), &from.0, &to.0);
    packet.set_checksum(checksum);
    ipv4(from.0, to.0, protocol::UDP, &datagram)
}

/// An ICMP message: type, code, and what stands behind the checksum.
pub(crate) fn icmp(from: Ipv4Addr, to: Ipv4Addr, (kind, code): (u8, u8), rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 4 + rest.len()];
    let mut packet = MutableIcmpPacket::new(&mut message).expect("room for an ICMP header");
    packet.set_icmp_type(IcmpType(kind));
    packet.set_icmp_code(IcmpCode(code));
    packet.set_payload(rest);
    let checksum = pnet::icmp::checksum(&packet.to_immutable());
    packet.set_checksum(checksum);
    ipv4(from, to, protocol::ICMP, &message)
}

/// An echo request (8) or reply (0) with an identifier.
pub(crate) fn echo(from: Ipv4Addr, to: Ipv4Addr, kind: u8, identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    icmp(from, to, (kind, 0), &[high, low, 0, 1])
}

/// "Port unreachable" about a frame that was sent before.
pub(crate) fn port_unreachable(from: Ipv4Addr, to: Ipv4Addr, about: &[u8]) -> Vec<u8> {
    let quoted = &about[ETHERNET..ETHERNET + IP + 8];
    icmp(from, to, (3, 3), &[&[0; 4], quoted].concat())
}

/// An IPv4 packet around a payload.
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; IP + payload.len()];
    let length = u16::try_from(bytes.len()).expect("a short packet");
    let mut packet = MutableIpv4Packet::new(&mut bytes).expect("room for an IPv4 header");
    packet.set_version(4);
    packet.set_header_length(5);
    packet.set_total_length(length);
    packet.set_ttl(64);
    packet.set_next_level_protocol(IpNextHeaderProtocol(protocol));
    packet.set_source(from);
    packet.set_destination(to);
    packet.set_payload(payload);
    let checksum = pnet::ipv4::checksum(&packet.to_immutable());
    packet.set_checksum(checksum);
    ethernet(EtherTypes::Ipv4, &bytes)
}

/// An Ethernet frame around a payload.
pub(crate) fn ethernet(kind: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET + payload.len()];
    let mut frame = MutableEthernetPacket::new(&mut bytes).expect("room for an Ethernet header");
    frame.set_ethertype(kind);
    frame.set_payload(payload);
    bytes
}

/// Addresses and ports of a TCP or UDP frame, if all its checksums are right.
pub(crate) fn ends(frame: &[u8]) -> Result<(At, At), String> {
    let ip = Ipv4Packet::new(&frame[ETHERNET..]).ok_or("no IPv4 packet")?;
    let (from, to) = (ip.get_source(), ip.get_destination());
    if pnet::ipv4::checksum(&ip) != ip.get_checksum() {
        return Err("the IPv4 checksum is wrong".into());
    }
    let (ports, right, stated) = if ip.get_next_level_protocol().0 == protocol::TCP {
        let tcp = TcpPacket::new(ip.payload()).ok_or("no TCP segment")?;
        let right = pnet::tcp::ipv4_checksum(&tcp, &from, &to);
        ((tcp.get_source(), tcp.get_destination()), right, tcp.get_checksum())
    } else {
        let udp = UdpPacket::new(ip.payload()).ok_or("no UDP datagram")?;
        let right = pnet::udp::ipv4_checksum(&udp, &from, &to);
        ((udp.get_source(), udp.get_destination()), right, udp.get_checksum())
    };
    if right != stated {
        return Err(format!("the transport checksum is {stated:#x}, not {right:#x}"));
    }
    Ok(((from, ports.0), (to, ports.1)))
}
