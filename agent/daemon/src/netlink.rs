//! Links, addresses, routes and neighbours through rtnetlink, several requests in one message.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourHeader, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::netns::Netns;

mod address;
pub mod family;
pub mod nat;
mod netfilter;
mod node;
pub mod view;

pub use node::{PodLink, ROUTES_OF_AGENT};

/// Index of the loopback interface in every namespace.
pub const LOOPBACK: u32 = 1;

/// How often a link is asked for before it counts as one that stays down; each ask waits for the kernel.
const ASKS: u32 = 100_000;

/// A hardware address.
pub type Mac = [u8; 6];

/// One end of a veth pair.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    /// Interface name.
    pub name: &'a str,
    /// Interface index, free in its namespace.
    pub index: u32,
    /// Hardware address.
    pub mac: Mac,
    /// It asks for no neighbour, hears no groups, and tells nobody that it hears any: all its neighbours are written
    /// down.
    pub quiet: bool,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum Hop {
    /// Straight out of this interface.
    Link(u32),
    /// To a neighbour behind this interface, whether or not a prefix covers it.
    Via(IpAddr, u32),
    /// Nowhere: the sender is told so.
    Unreachable,
}

/// Requests that are sent together; the kernel answers each.
#[derive(Default)]
pub struct Batch {
    requests: Vec<Request>,
}

/// One request.
struct Request {
    message: RouteNetlinkMessage,
    flags: u16,
    /// For messages: "add the address 10.0.0.1".
    what: String,
    /// An answer that is as good as yes.
    fine: Option<io::ErrorKind>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A veth pair: `near`, up, in the batch's namespace; `far`, down, born in `other`.
    ///
    /// The kernel brings the far end up only once it knows the near one, which is after this request.
    pub fn veth(&mut self, near: &VethEnd<'_>, far: &VethEnd<'_>, other: BorrowedFd<'_>) -> &mut Self {
        let mut peer = end(far);
        peer.attributes.push(LinkAttribute::NetNsFd(other.as_raw_fd()));
        let mut link = end(near);
        link.header.flags |= LinkFlags::Up;
        link.header.change_mask |= LinkFlags::Up;
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.create(RouteNetlinkMessage::NewLink(link), format!("make the link `{}`", near.name))
    }

    /// Brings an interface up.
    pub fn up(&mut self, index: u32) -> &mut Self {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.push(RouteNetlinkMessage::SetLink(link), 0, format!("bring interface {index} up"))
    }

    /// Takes an interface down; its routes and neighbours go with it, its addresses stay.
    pub fn down(&mut self, index: u32) -> &mut Self {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.change_mask = LinkFlags::Up;
        self.push(RouteNetlinkMessage::SetLink(link), 0, format!("take interface {index} down"))
    }

    /// Deletes a link, both ends of a pair.
    pub fn delete_link(&mut self, index: u32) -> &mut Self {
        let mut link = LinkMessage::default();
        link.header.index = index;
        self.push(RouteNetlinkMessage::DelLink(link), 0, format!("delete interface {index}"))
    }

    /// A route for a prefix, with the source address that the namespace's own packets get.
    pub fn route(&mut self, prefix: (IpAddr, u8), hop: Hop, source: Option<IpAddr>) -> &mut Self {
        let message = route(prefix, hop, source);
        let what = format!("add the route {}/{}", prefix.0, prefix.1);
        self.push(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE, what)
    }

    /// Takes a route away.
    pub fn remove_route(&mut self, prefix: (IpAddr, u8), hop: Hop) -> &mut Self {
        let message = route(prefix, hop, None);
        let what = format!("remove the route {}/{}", prefix.0, prefix.1);
        self.push(RouteNetlinkMessage::DelRoute(message), 0, what)
    }

    /// A neighbour that is known for good, so that nobody asks for it.
    pub fn neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) -> &mut Self {
        let mut message = NeighbourMessage::default();
        message.header = NeighbourHeader {
            family: family(address),
            ifindex: index,
            state: NeighbourState::Permanent,
            ..NeighbourHeader::default()
        };
        message.attributes = vec![
            NeighbourAttribute::Destination(match address {
                IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
                IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
            }),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        let what = format!("add the neighbour {address}");
        self.push(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE, what)
    }

    /// Packets of the family of `any`, its unspecified address, with this mark are looked up in `table`, in which
    /// every address is the namespace's own; nothing to do when they are already.
    pub fn deliver_marked(&mut self, any: IpAddr, (mark, mask): (u32, u32), table: u8) -> &mut Self {
        let mut rule = RuleMessage::default();
        rule.header =
            RuleHeader { family: family(any), action: RuleAction::ToTable, table, ..RuleHeader::default() };
        rule.attributes =
            vec![RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mask), RuleAttribute::Priority(9)];
        self.create(RouteNetlinkMessage::NewRule(rule), "add the rule for proxied packets".into());
        self.unless(io::ErrorKind::AlreadyExists);
        let local = address::own((any, 0), LOOPBACK, table);
        self.create(RouteNetlinkMessage::NewRoute(local), "add the route for proxied packets".into());
        self.unless(io::ErrorKind::AlreadyExists)
    }

    /// Sends the batch inside a namespace and waits for every answer.
    ///
    /// # Errors
    /// The first refusal, naming what was refused.
    pub fn send(&mut self, netns: &Netns) -> io::Result<()> {
        if self.requests.is_empty() {
            return Ok(());
        }
        let socket = netns.enter(|| Socket::new(NETLINK_ROUTE))?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        let mut buffer = Vec::new();
        let mut names = Vec::with_capacity(self.requests.len());
        for (sequence, request) in self.requests.drain(..).enumerate() {
            let Request { message, flags, what, fine } = request;
            let sequence = u32::try_from(sequence).unwrap_or(u32::MAX);
            buffer.extend(serialize(message, NLM_F_REQUEST | NLM_F_ACK | flags, sequence));
            names.push((what, fine));
        }
        socket.send(&buffer, 0)?;
        await_answers(&socket, &names)
    }

    fn create(&mut self, message: RouteNetlinkMessage, what: String) -> &mut Self {
        self.push(message, NLM_F_CREATE | NLM_F_EXCL, what)
    }

    fn push(&mut self, message: RouteNetlinkMessage, flags: u16, what: String) -> &mut Self {
        self.requests.push(Request { message, flags, what, fine: None });
        self
    }

    /// The last request may also be answered like this.
    fn unless(&mut self, fine: io::ErrorKind) -> &mut Self {
        if let Some(request) = self.requests.last_mut() {
            request.fine = Some(fine);
        }
        self
    }
}

/// Returns when a link passes packets.
///
/// A link whose other end comes up is activated by the kernel a moment later, and until then it drops what it is
/// given without a word. Asking takes the lock under which that happens; since Linux 6.8 it also makes it happen.
///
/// # Errors
/// When there is no such link, or its other end stays down.
pub fn await_link(netns: &Netns, index: u32) -> io::Result<()> {
    let socket = netns.enter(|| Socket::new(NETLINK_ROUTE))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    for _ in 0..ASKS {
        let mut link = LinkMessage::default();
        link.header.index = index;
        socket.send(&serialize(RouteNetlinkMessage::GetLink(link), NLM_F_REQUEST, 0), 0)?;
        let (datagram, _) = socket.recv_from_full()?;
        let answer =
            NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram).map_err(io::Error::other)?;
        if let NetlinkPayload::Error(error) = &answer.payload {
            return Err(error.to_io());
        }
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = &answer.payload
            && link.attributes.contains(&LinkAttribute::OperState(State::Up))
        {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("interface {index} does not come up")))
}

/// A request as bytes.
fn serialize(payload: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(payload));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn await_answers(socket: &Socket, names: &[(String, Option<io::ErrorKind>)]) -> io::Result<()> {
    let mut answered = 0;
    let mut refused = None;
    while answered < names.len() {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let length = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?.length() as usize;
            let message =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            if let NetlinkPayload::Error(error) = message.payload {
                answered += 1;
                if error.code.is_some() && refused.is_none() {
                    let index = message.header.sequence_number as usize;
                    let source = error.to_io();
                    let (what, fine) = names
                        .get(index)
                        .map_or(("answer a request", None), |(what, fine)| (what.as_str(), *fine));
                    if fine != Some(kind(&source)) {
                        refused = Some(io::Error::new(source.kind(), format!("could not {what}: {source}")));
                    }
                }
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The kind of an error; "no such device" and "no such process", which routing says for "no such route", are both
/// "not found".
fn kind(error: &io::Error) -> io::ErrorKind {
    match error.raw_os_error() {
        Some(nix::libc::ENODEV | nix::libc::ESRCH) => io::ErrorKind::NotFound,
        _ => error.kind(),
    }
}

fn end(end: &VethEnd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = end.index;
    message.attributes =
        vec![LinkAttribute::IfName(end.name.to_owned()), LinkAttribute::Address(end.mac.to_vec())];
    if end.quiet {
        message.header.flags = LinkFlags::Noarp;
        message.header.change_mask = LinkFlags::Noarp | LinkFlags::Multicast;
    }
    message
}

fn route((address, length): (IpAddr, u8), hop: Hop, source: Option<IpAddr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(address),
        destination_prefix_length: length,
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Boot,
        scope: RouteScope::Universe,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    if length > 0 {
        message.attributes.push(RouteAttribute::Destination(route_address(address)));
    }
    match hop {
        Hop::Link(index) => {
            message.header.scope = RouteScope::Link;
            message.attributes.push(RouteAttribute::Oif(index));
        }
        Hop::Via(gateway, index) => {
            message.header.flags = RouteFlags::Onlink;
            message.attributes.push(RouteAttribute::Gateway(route_address(gateway)));
            message.attributes.push(RouteAttribute::Oif(index));
        }
        Hop::Unreachable => message.header.kind = RouteType::Unreachable,
    }
    if let Some(source) = source {
        message.attributes.push(RouteAttribute::PrefSource(route_address(source)));
    }
    message
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
