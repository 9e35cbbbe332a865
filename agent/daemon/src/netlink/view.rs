//! What the kernel says is there: links, addresses, routes and filters of one network namespace.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::{Mac, ROUTES_OF_AGENT, serialize};
use crate::netns::Netns;

/// How often something is asked for that changes while the kernel answers.
const DUMPS: usize = 1000;

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index in its namespace.
    pub index: u32,
    /// Name in its namespace.
    pub name: String,
    /// Alias, which says whose link it is; empty without one.
    pub alias: String,
    /// Hardware address, where it has one of the usual length.
    pub mac: Option<Mac>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Somebody brought it up.
    pub is_up: bool,
}

/// A route of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where it leads to.
    pub prefix: (IpAddr, u8),
    /// Its next hop; none for a prefix that leads nowhere.
    pub via: Option<IpAddr>,
}

/// Every interface, in the order of the indices.
///
/// # Errors
/// When the namespace cannot be asked.
pub fn links(netns: &Netns) -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    dump(netns, RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
        if let RouteNetlinkMessage::NewLink(message) = message {
            links.push(link(&message));
        }
    })?;
    links.sort_by_key(|link| link.index);
    Ok(links)
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        alias: String::new(),
        mac: None,
        mtu: 0,
        is_up: message.header.flags.contains(LinkFlags::Up),
    };
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            link.name.clone_from(name);
        } else if let LinkAttribute::IfAlias(alias) = attribute {
            link.alias.clone_from(alias);
        } else if let LinkAttribute::Address(bytes) = attribute {
            link.mac = bytes.as_slice().try_into().ok();
        } else if let LinkAttribute::Mtu(mtu) = attribute {
            link.mtu = *mtu;
        }
    }
    link
}

/// Every address, with the index of its interface.
///
/// # Errors
/// When the namespace cannot be asked.
pub fn addresses(netns: &Netns) -> io::Result<Vec<(u32, IpAddr)>> {
    let mut addresses = Vec::new();
    dump(netns, RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
        let RouteNetlinkMessage::NewAddress(message) = message else { return };
        // On a link between two ends `Address` is the other end; IPv6 has `Address` alone.
        let (mut own, mut other) = (None, None);
        for attribute in &message.attributes {
            if let AddressAttribute::Local(address) = attribute {
                own = Some(*address);
            } else if let AddressAttribute::Address(address) = attribute {
                other = Some(*address);
            }
        }
        addresses.extend(own.or(other).map(|address| (message.header.index, address)));
    })?;
    Ok(addresses)
}

/// The agent's own routes, of both families.
///
/// # Errors
/// When the namespace cannot be asked.
pub fn routes(netns: &Netns) -> io::Result<Vec<Route>> {
    // Of no family: the kernel tells those of all.
    let request = RouteMessage::default();
    let mut routes = Vec::new();
    dump(netns, RouteNetlinkMessage::GetRoute(request), |message| {
        if let RouteNetlinkMessage::NewRoute(message) = message
            && message.header.protocol == RouteProtocol::Other(ROUTES_OF_AGENT)
        {
            routes.extend(route(&message));
        }
    })?;
    routes.sort();
    Ok(routes)
}

fn route(message: &RouteMessage) -> Option<Route> {
    let (mut destination, mut via) = (None, None);
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(address) = attribute {
            destination = ip(address);
        } else if let RouteAttribute::Gateway(address) = attribute {
            via = ip(address);
        }
    }
    Some(Route { prefix: (destination?, message.header.destination_prefix_length), via })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(address) = address {
        return Some(IpAddr::V4(*address));
    }
    if let RouteAddress::Inet6(address) = address { Some(IpAddr::V6(*address)) } else { None }
}

/// The hook of an interface at which filters stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that the namespace receives from the interface.
    Ingress,
    /// Packets that the namespace sends out of it.
    Egress,
}

/// The numbers of the kernel programs at a hook of an interface.
///
/// # Errors
/// When the namespace cannot be asked.
pub fn programs(netns: &Netns, index: u32, hook: Hook) -> io::Result<Vec<u32>> {
    let mut request = TcMessage::default();
    request.header.index = i32::try_from(index).map_err(io::Error::other)?;
    // TC_H_CLSACT with TC_H_MIN_INGRESS or TC_H_MIN_EGRESS (linux/pkt_sched.h).
    request.header.parent =
        TcHandle { major: 0xffff, minor: if hook == Hook::Ingress { 0xfff2 } else { 0xfff3 } };
    let mut programs = Vec::new();
    dump(netns, RouteNetlinkMessage::GetTrafficFilter(request), |message| {
        let RouteNetlinkMessage::NewTrafficFilter(message) = message else { return };
        for attribute in &message.attributes {
            let TcAttribute::Options(options) = attribute else { continue };
            for option in options {
                if let TcOption::Bpf(TcFilterBpfOption::ProgId(id)) = option {
                    programs.push(*id);
                }
            }
        }
    })?;
    Ok(programs)
}

/// Asks for everything of one kind, and hands over what was there at one moment.
fn dump(
    netns: &Netns,
    request: RouteNetlinkMessage,
    each: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    let socket = netns.enter(|| Socket::new(NETLINK_ROUTE))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    for _ in 0..DUMPS {
        socket.send(&serialize(request.clone(), NLM_F_REQUEST | NLM_F_DUMP, 0), 0)?;
        if let Some(messages) = answers(&socket)? {
            messages.into_iter().for_each(each);
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "the network changes faster than it can be read"))
}

/// The answers to one request; `None` when they are not of one moment (`NLM_F_DUMP_INTR`, netlink(7)).
fn answers(socket: &Socket) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
    let mut messages = Vec::new();
    let mut interrupted = false;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let length = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?.length() as usize;
            let message =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            if let NetlinkPayload::InnerMessage(message) = message.payload {
                messages.push(message);
            } else if let NetlinkPayload::Error(error) = message.payload {
                return Err(error.to_io());
            } else if let NetlinkPayload::Done(_) = message.payload {
                return Ok((!interrupted).then_some(messages));
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}
