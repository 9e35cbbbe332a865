//! Addresses of interfaces, in force when the kernel has said yes.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::route::{RouteMessage, RouteScope, RouteType};

use super::{Batch, Hop, bits, family, route};

/// The kernel's table of its own addresses.
const LOCAL: u8 = 255;

impl Batch {
    /// An address with its whole length as prefix: no route comes with it. Nobody is asked whether it is taken.
    pub fn address(&mut self, index: u32, address: IpAddr) -> &mut Self {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = bits(address);
        message.header.index = index;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        self.create(RouteNetlinkMessage::NewAddress(message), format!("add the address {address}"));
        if address.is_ipv6() {
            // Otherwise a worker of the kernel makes it the namespace's own later, and other namespaces that end hold
            // that worker up for seconds (Linux, `addrconf_dad_work` of `net/ipv6/addrconf.c`).
            let local = RouteNetlinkMessage::NewRoute(of(index, address));
            let what = format!("deliver packets for the address {address}");
            self.push(local, NLM_F_CREATE | NLM_F_REPLACE, what);
        }
        self
    }

    /// Takes an address away; an IPv4 address whatever its prefix.
    pub fn remove_address(&mut self, index: u32, address: IpAddr) -> &mut Self {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = bits(address);
        message.header.index = index;
        message.attributes.push(AddressAttribute::Local(address));
        if address.is_ipv6() {
            message.attributes.push(AddressAttribute::Address(address));
            let what = format!("no longer deliver packets for the address {address}");
            self.push(RouteNetlinkMessage::DelRoute(of(index, address)), 0, what);
            // It went with its interface.
            self.unless(io::ErrorKind::NotFound);
        }
        self.push(RouteNetlinkMessage::DelAddress(message), 0, format!("remove the address {address}"))
    }
}

/// The route for one address.
fn of(index: u32, address: IpAddr) -> RouteMessage {
    own((address, bits(address)), index, LOCAL)
}

/// The route that makes the addresses of a prefix behind an interface the namespace's own.
pub(super) fn own(prefix: (IpAddr, u8), index: u32, table: u8) -> RouteMessage {
    let mut local = route(prefix, Hop::Link(index), None);
    local.header.table = table;
    local.header.kind = RouteType::Local;
    local.header.scope = RouteScope::Host;
    local
}
