//! The one file with raw packet pointers: bounds-checked headers in, plain values out.

use aya_ebpf::programs::TcContext;
use egret_shared::{Address, DropReason, protocol};

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// ICMP echo reply (RFC 792).
pub const ICMP_ECHO_REPLY: u8 = 0;
/// ICMP echo request.
pub const ICMP_ECHO: u8 = 8;
/// Bytes of a TCP header up to and with its flags.
const TCP_FLAGS_END: usize = 14;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;

/// What the datapath reads of a packet.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Packet {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port in network order; the echo identifier for ICMP echo.
    pub source_port: [u8; 2],
    /// Destination port in network order; 0 for ICMP.
    pub destination_port: [u8; 2],
    /// TCP flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// ICMP type; 0 for other protocols.
    pub icmp_type: u8,
    /// Offset of the transport header from the start of the frame; see [`Packet::transport`].
    transport: u16,
}

/// What stands behind the Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// An IP packet.
    Ip,
    /// ARP, which no policy concerns.
    Arp,
}

impl Packet {
    /// Offset of the transport header from the start of the frame in bytes: two IPv4 headers with all options
    /// and what lies around them stay below the bound, which is the verifier's proof.
    #[inline(always)]
    pub fn transport(&self) -> usize {
        (self.transport & 0x1ff) as usize
    }

    /// The port that policy sees, in host order: the destination port, or the ICMP type.
    #[inline(always)]
    pub fn policy_port(&self) -> u16 {
        if self.protocol == protocol::ICMP {
            self.icmp_type as u16
        } else {
            u16::from_be_bytes(self.destination_port)
        }
    }

    /// Whether this is an ICMP message about another packet (types 3, 11 and 12).
    #[inline(always)]
    pub fn is_icmp_error(&self) -> bool {
        self.protocol == protocol::ICMP && matches!(self.icmp_type, 3 | 11 | 12)
    }
}

/// Reads the headers of a frame into `packet`.
///
/// # Errors
/// The reason to drop it: a family, protocol or shape that the datapath does not know.
#[inline(always)]
pub fn parse(ctx: &TcContext, packet: &mut Packet) -> Result<Frame, DropReason> {
    let ethertype: [u8; 2] = load(ctx, 12).ok_or(DropReason::InvalidPacket)?;
    match u16::from_be_bytes(ethertype) {
        ETHERTYPE_IPV4 => {
            *packet = parse_ipv4(ctx, ETHERNET)?;
            Ok(Frame::Ip)
        }
        ETHERTYPE_ARP => Ok(Frame::Arp),
        ETHERTYPE_IPV6 => Err(DropReason::UnsupportedL3),
        _ => Err(DropReason::UnsupportedL2),
    }
}

/// Reads the packet that an ICMP error is about: its IP header and the first eight bytes behind it.
///
/// # Errors
/// As for [`parse`].
#[inline(always)]
pub fn parse_inner(ctx: &TcContext, error: &Packet) -> Result<Packet, DropReason> {
    parse_ipv4(ctx, error.transport() + 8)
}

#[inline(always)]
fn parse_ipv4(ctx: &TcContext, at: usize) -> Result<Packet, DropReason> {
    let header: [u8; 20] = load(ctx, at).ok_or(DropReason::InvalidPacket)?;
    let [first, _, _, _, _, _, fragment_high, fragment_low, _, protocol, _, _, ref addresses @ ..] = header;
    let header_length = ((first & 0x0f) as usize) * 4;
    if header_length < 20 {
        return Err(DropReason::InvalidPacket);
    }
    // A fragment with an offset has no ports, and one with "more" set belongs to such fragments.
    if (fragment_high & 0x3f) != 0 || fragment_low != 0 {
        return Err(DropReason::Fragment);
    }
    let [s0, s1, s2, s3, d0, d1, d2, d3] = *addresses;
    let mut packet = Packet {
        source: Address::v4([s0, s1, s2, s3]),
        destination: Address::v4([d0, d1, d2, d3]),
        protocol,
        source_port: [0; 2],
        destination_port: [0; 2],
        tcp_flags: 0,
        icmp_type: 0,
        transport: (at + header_length) as u16,
    };
    parse_transport(ctx, &mut packet, at == ETHERNET)?;
    Ok(packet)
}

/// `whole` is false for the packet inside an ICMP error, of which only eight bytes are sure to be there.
#[inline(always)]
fn parse_transport(ctx: &TcContext, packet: &mut Packet, whole: bool) -> Result<(), DropReason> {
    match packet.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            let [s0, s1, d0, d1]: [u8; 4] = load(ctx, packet.transport()).ok_or(DropReason::CtTruncated)?;
            packet.source_port = [s0, s1];
            packet.destination_port = [d0, d1];
            if whole && packet.protocol == protocol::TCP {
                let head: [u8; TCP_FLAGS_END] =
                    load(ctx, packet.transport()).ok_or(DropReason::CtTruncated)?;
                let [.., flags] = head;
                packet.tcp_flags = flags;
            }
            Ok(())
        }
        protocol::ICMP => {
            let [kind, _, _, _, i0, i1]: [u8; 6] =
                load(ctx, packet.transport()).ok_or(DropReason::CtTruncated)?;
            packet.icmp_type = kind;
            if kind == ICMP_ECHO || kind == ICMP_ECHO_REPLY {
                packet.source_port = [i0, i1];
            }
            Ok(())
        }
        _ => Err(DropReason::CtUnknownProtocol),
    }
}

/// Copies `N` bytes at `offset` out of the frame, if they are there.
#[inline(always)]
fn load<const N: usize>(ctx: &TcContext, offset: usize) -> Option<[u8; N]> {
    let start = ctx.data() + offset;
    if start + N > ctx.data_end() {
        return None;
    }
    // SAFETY: the line above keeps `start..start + N` inside the frame's linear part, which the verifier
    // checks again; a byte array has no alignment.
    Some(unsafe { *(start as *const [u8; N]) })
}
