//! Packets to the sockets of the node's proxies, with their addresses unchanged.

use core::ffi::c_void;

use aya_ebpf::bindings::{
    bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1,
    bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
};
use aya_ebpf::helpers::{bpf_sk_assign, bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp};
use aya_ebpf::programs::TcContext;
use egret_shared::{Address, DropReason, MARK_TO_PROXY, protocol};

use crate::maps::PROXIES;
use crate::packet::Packet;

/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NETNS: u64 = u64::MAX;
/// States of a TCP socket that take no packet for an open connection (`include/net/tcp_states.h`).
const TCP_TIME_WAIT: u32 = 6;
const TCP_LISTEN: u32 = 10;
/// Bytes of the IPv4 and of the IPv6 member of `struct bpf_sock_tuple`, by which the helpers know the family.
const IPV4_TUPLE: u32 = 12;
const IPV6_TUPLE: u32 = 36;
/// Where the proxies wait.
static LOOPBACK_V4: Address = Address::v4([127, 0, 0, 1]);
static LOOPBACK_V6: Address = Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Gives a packet to a proxy, by the number of its slot: the mark makes the node deliver it locally, the assignment names the socket.
///
/// # Errors
/// The proxy has no port, its socket was not found, or it did not take the packet.
#[inline(always)]
pub fn to_proxy<const V6: bool>(ctx: &TcContext, packet: &Packet, proxy: u32) -> Result<(), DropReason> {
    let port = PROXIES.get(proxy).copied().unwrap_or(0);
    if port == 0 {
        return Err(DropReason::SocketLookupFailed);
    }
    match packet.protocol {
        protocol::TCP => {
            if !assign_open_tcp::<V6>(ctx, packet)? {
                assign_listener::<V6>(ctx, packet, port as u16)?;
            }
        }
        protocol::UDP => assign_listener::<V6>(ctx, packet, port as u16)?,
        _ => return Err(DropReason::NoProxyForProtocol),
    }
    deliver_locally(ctx);
    Ok(())
}

/// Makes the node deliver a packet to a local socket that has the packet's own addresses.
#[inline(always)]
pub fn deliver_locally(ctx: &TcContext) {
    ctx.set_mark(MARK_TO_PROXY);
}

/// Gives the packet to the socket of its own connection, if the proxy has accepted it before.
#[inline(always)]
fn assign_open_tcp<const V6: bool>(ctx: &TcContext, packet: &Packet) -> Result<bool, DropReason> {
    let (mut tuple, length) = tuple::<V6>(packet, &packet.destination, packet.destination_port);
    // SAFETY: the context is the program's, the tuple is initialised, and the verifier tracks the reference
    // until it is released below.
    unsafe {
        let socket = bpf_skc_lookup_tcp(context(ctx), &raw mut tuple, length, CURRENT_NETNS, 0);
        if socket.is_null() {
            return Ok(false);
        }
        let state = (*socket).state;
        let open = state != TCP_LISTEN && state != TCP_TIME_WAIT;
        let code = if open { bpf_sk_assign(context(ctx), socket.cast::<c_void>(), 0) } else { 0 };
        bpf_sk_release(socket.cast::<c_void>());
        if code == 0 { Ok(open) } else { Err(DropReason::SocketAssignFailed) }
    }
}

/// Gives the packet to the socket on which the proxy waits, bound to loopback and this port.
#[inline(always)]
fn assign_listener<const V6: bool>(ctx: &TcContext, packet: &Packet, port: u16) -> Result<(), DropReason> {
    let loopback = if packet.is_v6::<V6>() { &LOOPBACK_V6 } else { &LOOPBACK_V4 };
    let (mut tuple, length) = tuple::<V6>(packet, loopback, port.to_be_bytes());
    // SAFETY: as in `assign_open_tcp`.
    unsafe {
        let socket = if packet.protocol == protocol::TCP {
            bpf_skc_lookup_tcp(context(ctx), &raw mut tuple, length, CURRENT_NETNS, 0)
        } else {
            bpf_sk_lookup_udp(context(ctx), &raw mut tuple, length, CURRENT_NETNS, 0)
        };
        if socket.is_null() {
            return Err(DropReason::SocketLookupFailed);
        }
        let code = bpf_sk_assign(context(ctx), socket.cast::<c_void>(), 0);
        bpf_sk_release(socket.cast::<c_void>());
        if code == 0 { Ok(()) } else { Err(DropReason::SocketAssignFailed) }
    }
}

#[inline(always)]
fn context(ctx: &TcContext) -> *mut c_void {
    ctx.skb.skb.cast()
}

/// From the packet's source to an address and port of its family, with the tuple's length.
#[inline(always)]
fn tuple<const V6: bool>(packet: &Packet, destination: &Address, port: [u8; 2]) -> (bpf_sock_tuple, u32) {
    let (sport, dport) = (u16::from_ne_bytes(packet.source_port), u16::from_ne_bytes(port));
    let (saddr, daddr) = (packet.source.words(), destination.words());
    // Every byte is written, also those that IPv4 leaves over: the verifier knows no half of a union.
    let ipv6 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 { saddr, daddr, sport, dport };
    let mut tuple = bpf_sock_tuple { __bindgen_anon_1: bpf_sock_tuple__bindgen_ty_1 { ipv6 } };
    if packet.is_v6::<V6>() {
        return (tuple, IPV6_TUPLE);
    }
    let ([.., saddr], [.., daddr]) = (saddr, daddr);
    let ipv4 = bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 { saddr, daddr, sport, dport };
    tuple.__bindgen_anon_1.ipv4 = ipv4;
    (tuple, IPV4_TUPLE)
}
