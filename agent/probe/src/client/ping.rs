//! ICMP: one echo request over a raw socket, told apart from others by its identifier.

use std::net::{IpAddr, SocketAddr};

use egret_core::Protocol;
use egret_core::probe::Outcome;
use pnet::icmp::echo_reply::EchoReplyPacket;
use pnet::icmp::echo_request::MutableEchoRequestPacket;
use pnet::icmp::{IcmpPacket, IcmpTypes};
use pnet::icmpv6::Icmpv6Types;
use pnet::icmpv6::echo_reply::EchoReplyPacket as EchoReplyV6Packet;
use pnet::icmpv6::echo_request::MutableEchoRequestPacket as MutableEchoRequestV6Packet;
use pnet::ipv4::Ipv4Packet;
use pnet::{Packet, icmp};
use socket2::Type;
use tokio::net::UdpSocket;

use super::{Client, Log, Stop};
use crate::ProbeError;
use crate::message::random_id;
use crate::network::{bind, report_icmp_errors};

/// Header and eight bytes of data.
const REQUEST_LENGTH: usize = 16;

/// Sends one echo request and waits for its reply.
pub(super) async fn exchange(
    client: &Client<'_>,
    remote: IpAddr,
    log: &mut Log<'_>,
) -> Result<Outcome, Stop> {
    let (number, protocol) = match remote {
        IpAddr::V4(_) => (socket2::Protocol::ICMPV4, Protocol::Icmp),
        IpAddr::V6(_) => (socket2::Protocol::ICMPV6, Protocol::Icmpv6),
    };
    let local = client.source(remote)?;
    let remote = SocketAddr::new(remote, 0);
    let failed = |source| ProbeError::Socket { action: "bind an ICMP socket to", address: local, source };
    let socket = bind(client.network, Type::RAW, Some(number), local).map_err(failed)?;
    report_icmp_errors(&socket, local).map_err(failed)?;
    socket.connect(&remote.into()).map_err(|error| Stop::from_io("send to", remote, error))?;
    let own = socket.local_addr().map_err(failed)?.as_socket().map_or(local.ip(), |address| address.ip());
    // Only sends and receives from here on, which tokio does alike on UDP and raw sockets.
    let socket = UdpSocket::from_std(socket.into()).map_err(failed)?;
    // Stands where other protocols have a port, of which 0 is none.
    let identifier = random_id().max(1);
    log.start(protocol, SocketAddr::new(own, identifier), remote);
    let talk = async {
        let request = request(remote.ip(), identifier);
        socket.send(&request).await?;
        let mut packet = [0; 512];
        loop {
            // Every echo packet of the peer arrives here, those of other clients too.
            let length = socket.recv(&mut packet).await?;
            if answers(remote.ip(), packet.get(..length).unwrap_or_default(), identifier) {
                return Ok(Outcome::Ok);
            }
        }
    };
    talk.await.map_err(|error| Stop::from_io("talk to", remote, error))
}

/// An echo request. The kernel fills in the checksum of ICMPv6, which covers addresses (RFC 3542 section 3.1).
fn request(remote: IpAddr, identifier: u16) -> [u8; REQUEST_LENGTH] {
    let mut bytes = [0; REQUEST_LENGTH];
    match remote {
        IpAddr::V4(_) => {
            if let Some(mut packet) = MutableEchoRequestPacket::new(&mut bytes) {
                packet.set_icmp_type(IcmpTypes::EchoRequest);
                packet.set_identifier(identifier);
                packet.set_sequence_number(1);
                let checksum = IcmpPacket::new(packet.packet()).map_or(0, |packet| icmp::checksum(&packet));
                packet.set_checksum(checksum);
            }
        }
        IpAddr::V6(_) => {
            if let Some(mut packet) = MutableEchoRequestV6Packet::new(&mut bytes) {
                packet.set_icmpv6_type(Icmpv6Types::EchoRequest);
                packet.set_identifier(identifier);
                packet.set_sequence_number(1);
            }
        }
    }
    bytes
}

/// Whether this is the reply: a raw IPv4 socket gives the IP header too (raw(7)), an IPv6 one does not.
fn answers(remote: IpAddr, bytes: &[u8], identifier: u16) -> bool {
    match remote {
        IpAddr::V4(_) => Ipv4Packet::new(bytes).is_some_and(|packet| {
            EchoReplyPacket::new(packet.payload()).is_some_and(|reply| {
                reply.get_icmp_type() == IcmpTypes::EchoReply && reply.get_identifier() == identifier
            })
        }),
        IpAddr::V6(_) => EchoReplyV6Packet::new(bytes).is_some_and(|reply| {
            reply.get_icmpv6_type() == Icmpv6Types::EchoReply && reply.get_identifier() == identifier
        }),
    }
}
