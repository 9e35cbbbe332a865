//! The one file with raw packet pointers: bounds-checked headers in, plain values out.

use core::hint::black_box;

use aya_ebpf::helpers::bpf_skb_load_bytes;
use aya_ebpf::programs::TcContext;
use egret_shared::protocol::{self, extension, icmp};
use egret_shared::{Address, DropReason};

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Bytes of an IPv6 header without extensions.
const IPV6: usize = 40;
/// Extension headers that are skipped at most, as Cilium skips them (`bpf/lib/ipv6.h`).
const IPV6_EXTENSIONS: usize = 4;
/// Bytes of a TCP header up to and with its flags.
const TCP_FLAGS_END: usize = 14;
/// Hop limit of a packet that no router has passed on.
const FROM_LINK: u8 = 255;

/// The bits of an offset below which every transport header starts.
const TRANSPORT_MASK: u16 = 0x1ff;

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
    /// Type of an ICMP or ICMPv6 message; 0 for other protocols.
    pub icmp_type: u8,
    /// Not 0: an IPv6 packet; see [`Packet::is_v6`].
    v6: u8,
    /// Offset of the transport header from the start of the frame; see [`Packet::transport`].
    transport: u16,
}

/// What stands behind the Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// An IP packet.
    Ip,
    /// What the two ends of a link tell each other about themselves, which no policy concerns: ARP, and neighbour
    /// solicitations and advertisements that no router has passed on (RFC 4861 section 7.1).
    Link,
}

impl Packet {
    /// Offset of the transport header from the start of the frame in bytes: two IP headers with all options and
    /// what lies around them stay below the bound, which is the verifier's proof.
    #[inline(always)]
    pub fn transport(&self) -> usize {
        (self.transport & TRANSPORT_MASK) as usize
    }

    /// Whether this is an IPv6 packet, which a program without `V6` never lets in.
    #[inline(always)]
    pub fn is_v6<const V6: bool>(&self) -> bool {
        V6 && self.v6 != 0
    }

    /// The port that policy sees, in host order: the destination port, or the ICMP type.
    #[inline(always)]
    pub fn policy_port<const V6: bool>(&self) -> u16 {
        if self.is_icmp::<V6>() { self.icmp_type as u16 } else { u16::from_be_bytes(self.destination_port) }
    }

    /// Whether this is a message of ICMP or ICMPv6.
    #[inline(always)]
    pub fn is_icmp<const V6: bool>(&self) -> bool {
        self.protocol == protocol::ICMP || V6 && self.protocol == protocol::ICMPV6
    }

    /// Whether this is an echo request.
    #[inline(always)]
    pub fn is_echo<const V6: bool>(&self) -> bool {
        icmp::is_echo(self.known_protocol::<V6>(), self.icmp_type)
    }

    /// Whether this is an echo reply.
    #[inline(always)]
    pub fn is_echo_reply<const V6: bool>(&self) -> bool {
        icmp::is_echo_reply(self.known_protocol::<V6>(), self.icmp_type)
    }

    /// Whether this is an ICMP message about another packet.
    #[inline(always)]
    pub fn is_icmp_error<const V6: bool>(&self) -> bool {
        self.is_icmp::<V6>() && icmp::is_error(self.known_protocol::<V6>(), self.icmp_type)
    }

    /// The protocol of a message that is known to be of ICMP where there is no IPv6.
    #[inline(always)]
    fn known_protocol<const V6: bool>(&self) -> u8 {
        if V6 { self.protocol } else { protocol::ICMP }
    }
}

/// Reads the headers of a frame into `packet`; without `V6`, IPv6 is a family that the datapath does not know.
///
/// # Errors
/// The reason to drop it: a family, protocol or shape that the datapath does not know.
#[inline(always)]
pub fn parse<const V6: bool>(ctx: &TcContext, packet: &mut Packet) -> Result<Frame, DropReason> {
    let ethertype: [u8; 2] = load(ctx, 12).ok_or(DropReason::InvalidPacket)?;
    match u16::from_be_bytes(ethertype) {
        ETHERTYPE_IPV4 => parse_ipv4(ctx, ETHERNET, packet)?,
        ETHERTYPE_IPV6 if !V6 => return Err(DropReason::UnsupportedL3),
        ETHERTYPE_IPV6 if is_neighbour_discovery(ctx) => return Ok(Frame::Link),
        ETHERTYPE_IPV6 => parse_ipv6(ctx, ETHERNET, packet)?,
        ETHERTYPE_ARP => return Ok(Frame::Link),
        _ => return Err(DropReason::UnsupportedL2),
    }
    parse_transport::<V6>(ctx, settled::<V6>(packet), true)?;
    Ok(Frame::Ip)
}

/// Reads the packet that an ICMP error is about into `quoted`: its IP header and the first eight bytes behind it.
///
/// # Errors
/// As for [`parse`].
#[inline(always)]
pub fn parse_quoted<const V6: bool>(
    ctx: &TcContext,
    error: &Packet,
    quoted: &mut Packet,
) -> Result<(), DropReason> {
    let at = error.transport() + 8;
    if error.is_v6::<V6>() {
        parse_ipv6(ctx, at, quoted)?;
    } else {
        parse_ipv4(ctx, at, quoted)?;
    }
    parse_transport::<V6>(ctx, settled::<V6>(quoted), false)
}

/// The packet as it stands in memory: where several ways lead here, they are one way from here on (see `work`).
#[inline(always)]
fn settled<const V6: bool>(packet: &mut Packet) -> &mut Packet {
    if V6 { black_box(packet) } else { packet }
}

#[inline(always)]
fn parse_ipv4(ctx: &TcContext, at: usize, packet: &mut Packet) -> Result<(), DropReason> {
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
    packet.source = Address::v4([s0, s1, s2, s3]);
    packet.destination = Address::v4([d0, d1, d2, d3]);
    packet.protocol = protocol;
    packet.v6 = 0;
    packet.transport = (at + header_length) as u16;
    Ok(())
}

/// Whether an IPv6 frame is a neighbour solicitation or advertisement from the other end of the link.
#[inline(always)]
fn is_neighbour_discovery(ctx: &TcContext) -> bool {
    let Some([next, hops]) = load::<2>(ctx, ETHERNET + 6) else { return false };
    let Some([kind]) = load::<1>(ctx, ETHERNET + IPV6) else { return false };
    next == protocol::ICMPV6 && hops == FROM_LINK && icmp::is_neighbour_discovery(kind)
}

#[inline(always)]
fn parse_ipv6(ctx: &TcContext, at: usize, packet: &mut Packet) -> Result<(), DropReason> {
    let [next]: [u8; 1] = load(ctx, at + 6).ok_or(DropReason::InvalidPacket)?;
    load_addresses(ctx, at + 8, packet)?;
    // In the maps these are IPv4 addresses, and nobody may pass for one (RFC 4942 section 2.2).
    if packet.source.is_v4() || packet.destination.is_v4() {
        return Err(DropReason::InvalidPacket);
    }
    packet.protocol = next;
    packet.v6 = 1;
    skip_extensions(ctx, packet, at + IPV6)
}

/// Finds the transport header behind a few extension headers (RFC 8200 section 4.1); the steps and their drop
/// reasons are those of Cilium's `ipv6_hdrlen` (`bpf/lib/ipv6.h`).
#[inline(always)]
fn skip_extensions(ctx: &TcContext, packet: &mut Packet, at: usize) -> Result<(), DropReason> {
    packet.transport = at as u16;
    for _ in 0..IPV6_EXTENSIONS {
        let packet = settled::<true>(packet);
        let unit = match packet.protocol {
            extension::NONE => return Err(DropReason::InvalidExtensionHeader),
            extension::FRAGMENT => return Err(DropReason::Fragment),
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => 8,
            // Counted in words (RFC 4302 section 2.2).
            extension::AUTHENTICATION => 4,
            _ => return Ok(()),
        };
        let [next, length]: [u8; 2] = load(ctx, packet.transport()).ok_or(DropReason::InvalidPacket)?;
        // The first eight bytes do not count.
        packet.transport += 8 + length as u16 * unit;
        packet.protocol = next;
        if packet.transport > TRANSPORT_MASK {
            break;
        }
    }
    // More of them, or longer ones, than anybody needs.
    Err(DropReason::InvalidExtensionHeader)
}

/// Reads ports, or an ICMP message's type, into a packet that holds nothing of them yet.
///
/// `whole` is false for the packet inside an ICMP error, of which only eight bytes are sure to be there.
#[inline(always)]
fn parse_transport<const V6: bool>(
    ctx: &TcContext,
    packet: &mut Packet,
    whole: bool,
) -> Result<(), DropReason> {
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
        // Either one in the other's family is no protocol at all.
        protocol::ICMP | protocol::ICMPV6
            if (packet.protocol == protocol::ICMPV6) == packet.is_v6::<V6>() =>
        {
            let [kind, _, _, _, i0, i1]: [u8; 6] =
                load(ctx, packet.transport()).ok_or(DropReason::CtTruncated)?;
            packet.icmp_type = kind;
            if packet.is_echo::<V6>() || packet.is_echo_reply::<V6>() {
                packet.source_port = [i0, i1];
            }
            Ok(())
        }
        _ => Err(DropReason::CtUnknownProtocol),
    }
}

/// Copies the two addresses of an IPv6 header, which stand side by side there as they do in a [`Packet`]. A call of
/// the kernel's takes a tenth of the instructions that 32 bytes without alignment take.
#[inline(always)]
fn load_addresses(ctx: &TcContext, offset: usize, packet: &mut Packet) -> Result<(), DropReason> {
    // SAFETY: `source` and `destination` are the first 32 bytes of a packet, in this order and without a gap.
    let code =
        unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), offset as u32, (&raw mut *packet).cast(), 32) };
    if code == 0 { Ok(()) } else { Err(DropReason::InvalidPacket) }
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
