//! Requests of a node in a cluster: the links of its pods, and routes to other nodes.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::route::{RouteProtocol, RouteType};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};

use super::{Batch, Hop, Mac, route};

/// The protocol number of the routes that a node's agent makes, by which it finds them again (rtnetlink(7)).
pub const ROUTES_OF_AGENT: u8 = 230;

/// The link of a pod that a node's agent makes.
#[derive(Clone, Debug)]
pub struct PodLink<'a> {
    /// Name of the node's end.
    pub name: &'a str,
    /// Hardware address of the node's end.
    pub mac: Mac,
    /// Name of the pod's end.
    pub inside: &'a str,
    /// Hardware address of the pod's end.
    pub inside_mac: Mac,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whose link it is, for whoever finds it.
    pub alias: &'a str,
}

impl Batch {
    /// A pod's link, both ends down: the node's end in the batch's namespace, the pod's end in `pod`.
    ///
    /// The kernel takes a batch in one call, so that a link is never there without its alias.
    pub fn pod_link(&mut self, link: &PodLink<'_>, pod: BorrowedFd<'_>) -> &mut Self {
        let end = |name: &str, mac: Mac| {
            let mut message = LinkMessage::default();
            message.attributes = vec![
                LinkAttribute::IfName(name.to_owned()),
                LinkAttribute::Address(mac.to_vec()),
                LinkAttribute::Mtu(link.mtu),
            ];
            message
        };
        let mut peer = end(link.inside, link.inside_mac);
        peer.attributes.push(LinkAttribute::NetNsFd(pod.as_raw_fd()));
        let mut near = end(link.name, link.mac);
        near.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.create(RouteNetlinkMessage::NewLink(near), format!("make the link `{}`", link.name));
        let mut named = LinkMessage::default();
        named.attributes =
            vec![LinkAttribute::IfName(link.name.to_owned()), LinkAttribute::IfAlias(link.alias.to_owned())];
        self.push(RouteNetlinkMessage::SetLink(named), 0, format!("name the owner of `{}`", link.name))
    }

    /// The kernel gives an interface that is down no IPv6 address of its own when it comes up, and so asks nobody about
    /// one, nor for routers.
    pub fn without_own_ipv6(&mut self, index: u32) -> &mut Self {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes =
            vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])])];
        let what = format!("let interface {index} have no IPv6 address of its own");
        self.push(RouteNetlinkMessage::SetLink(link), 0, what)
    }

    /// Deletes a link by its name; nothing to do when it is gone.
    pub fn delete_link_named(&mut self, name: &str) -> &mut Self {
        let mut link = LinkMessage::default();
        link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        self.push(RouteNetlinkMessage::DelLink(link), 0, format!("delete the link `{name}`"));
        self.unless(io::ErrorKind::NotFound)
    }

    /// As [`Batch::route`], for routes that the agent finds again.
    pub fn agent_route(&mut self, prefix: (IpAddr, u8), hop: Hop) -> &mut Self {
        let mut message = route(prefix, hop, None);
        message.header.protocol = RouteProtocol::Other(ROUTES_OF_AGENT);
        let what = format!("add the route {}/{}", prefix.0, prefix.1);
        self.push(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE, what)
    }

    /// Takes the agent's own route for a prefix away; nothing to do when it is gone.
    pub fn remove_agent_route(&mut self, prefix: (IpAddr, u8), leads_nowhere: bool) -> &mut Self {
        let mut message = route(prefix, Hop::Unreachable, None);
        message.header.protocol = RouteProtocol::Other(ROUTES_OF_AGENT);
        if !leads_nowhere {
            message.header.kind = RouteType::Unicast;
        }
        let what = format!("remove the route {}/{}", prefix.0, prefix.1);
        self.push(RouteNetlinkMessage::DelRoute(message), 0, what);
        self.unless(io::ErrorKind::NotFound)
    }
}
