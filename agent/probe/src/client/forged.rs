//! A packet from an address that is not the client's own, over a raw socket: nobody can answer it.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use egret_core::Protocol;
use egret_core::probe::Outcome;
use pnet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::ipv4::MutableIpv4Packet;
use pnet::tcp::{self, MutableTcpPacket, TcpFlags};
use pnet::udp::{self, MutableUdpPacket};
use socket2::{Domain, Type};

use super::{Client, Log, Stop};
use crate::ProbeError;
use crate::message::random_id;

/// Bytes of an IPv4 header without options; also the number of 32-bit words times four.
const IP_HEADER: usize = 20;
/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;
/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;
/// Routers that the packet may pass.
const TTL: u8 = 64;
/// What a datagram says.
const DATA: &[u8] = b"egret\n";

/// Sends the first packet of a TCP connection, or a datagram, and waits for what cannot come.
pub(super) async fn exchange(
    client: &Client<'_>,
    (source, remote): (Ipv4Addr, SocketAddrV4),
    protocol: Protocol,
    log: &mut Log<'_>,
) -> Result<Outcome, Stop> {
    let address = SocketAddr::V4(remote);
    let failed =
        |source| ProbeError::Socket { action: "send a packet of its own making to", address, source };
    // From the range that IANA leaves to clients.
    let local = SocketAddrV4::new(source, random_id() | 0xc000);
    let bytes = match protocol {
        Protocol::Tcp => segment(local, remote),
        Protocol::Udp => datagram(local, remote),
        Protocol::Sctp | Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_) => {
            return Err(ProbeError::Unsupported { what: "such a packet" }.into());
        }
    };
    // Sockets of this number write their own IP headers (raw(7)).
    let raw = socket2::Protocol::from(i32::from(IpNextHeaderProtocols::Reserved.0));
    let socket = client.network.socket(Domain::IPV4, Type::RAW, Some(raw)).map_err(failed)?;
    log.start(protocol, SocketAddr::V4(local), address);
    socket.send_to(&bytes, &address.into()).map_err(|error| Stop::from_io("send to", address, error))?;
    pending().await
}

/// A SYN.
fn segment(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let mut bytes = vec![0; IP_HEADER + TCP_HEADER];
    if let Some(mut packet) = bytes.get_mut(IP_HEADER..).and_then(MutableTcpPacket::new) {
        packet.set_source(from.port());
        packet.set_destination(to.port());
        packet.set_data_offset((TCP_HEADER / 4) as u8);
        packet.set_flags(TcpFlags::SYN);
        packet.set_window(u16::MAX);
        packet.set_checksum(tcp::ipv4_checksum(&packet.to_immutable(), from.ip(), to.ip()));
    }
    header(&mut bytes, (from, to), IpNextHeaderProtocols::Tcp);
    bytes
}

fn datagram(from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let length = UDP_HEADER + DATA.len();
    let mut bytes = vec![0; IP_HEADER + length];
    if let Some(mut packet) = bytes.get_mut(IP_HEADER..).and_then(MutableUdpPacket::new) {
        packet.set_source(from.port());
        packet.set_destination(to.port());
        packet.set_length(length as u16);
        packet.set_payload(DATA);
        packet.set_checksum(udp::ipv4_checksum(&packet.to_immutable(), from.ip(), to.ip()));
    }
    header(&mut bytes, (from, to), IpNextHeaderProtocols::Udp);
    bytes
}

/// Writes the IP header; the kernel fills in its checksum and number (raw(7)).
fn header(bytes: &mut [u8], (from, to): (SocketAddrV4, SocketAddrV4), protocol: IpNextHeaderProtocol) {
    let length = bytes.len();
    let Some(mut packet) = MutableIpv4Packet::new(bytes) else { return };
    packet.set_version(4);
    packet.set_header_length((IP_HEADER / 4) as u8);
    packet.set_total_length(length as u16);
    packet.set_ttl(TTL);
    packet.set_next_level_protocol(protocol);
    packet.set_source(*from.ip());
    packet.set_destination(*to.ip());
}

#[cfg(test)]
mod tests {
    use pnet::Packet;

    use super::*;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 9, 9, 9), 50_000);
    const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 10), 80);

    #[test]
    fn a_packet_is_whole_and_right() {
        for bytes in [segment(FROM, TO), datagram(FROM, TO)] {
            let packet = pnet::ipv4::Ipv4Packet::new(&bytes).expect("an IPv4 packet");
            assert_eq!((packet.get_source(), packet.get_destination()), (*FROM.ip(), *TO.ip()));
            assert_eq!(usize::from(packet.get_total_length()), bytes.len());
            let ports = packet.payload().first_chunk::<4>().expect("ports");
            assert_eq!(*ports, [0xc3, 0x50, 0, 80]);
        }
        let tcp = segment(FROM, TO);
        let tcp = tcp::TcpPacket::new(&tcp[IP_HEADER..]).expect("a segment");
        assert_eq!(tcp.get_checksum(), tcp::ipv4_checksum(&tcp, FROM.ip(), TO.ip()));
        let udp = datagram(FROM, TO);
        let udp = udp::UdpPacket::new(&udp[IP_HEADER..]).expect("a datagram");
        assert_eq!(udp.get_checksum(), udp::ipv4_checksum(&udp, FROM.ip(), TO.ip()));
        assert_eq!(udp.payload(), DATA);
    }
}
