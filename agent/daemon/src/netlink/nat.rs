//! Source address translation through nftables: one table of the agent's own for each family, replaced as a whole.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};

use super::family::way_out;
use super::netfilter::{Attributes, Transaction};
use crate::netns::Netns;

/// Name of the table.
const TABLE: &str = "egret";
/// Name of its only chain.
const CHAIN: &str = "outside";

/// Names of include/uapi/linux/netfilter/nf_tables.h, in its order.
mod nft {
    pub(super) const NEW_TABLE: u8 = 0;
    pub(super) const DELETE_TABLE: u8 = 2;
    pub(super) const NEW_CHAIN: u8 = 3;
    pub(super) const NEW_RULE: u8 = 6;

    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_NUMBER: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const LIST_ELEMENT: u16 = 1;
    pub(super) const EXPRESSION_NAME: u16 = 1;
    pub(super) const EXPRESSION_DATA: u16 = 2;
    pub(super) const DATA_VALUE: u16 = 1;
    pub(super) const DATA_VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;

    /// `NF_INET_POST_ROUTING`, and the place of source translation there.
    pub(super) const POST_ROUTING: u32 = 4;
    pub(super) const PRIORITY: u32 = 100;
    /// `NFT_REG_VERDICT` and `NFT_REG_1`.
    pub(super) const VERDICT: u32 = 0;
    pub(super) const REGISTER: u32 = 1;
    pub(super) const NETWORK_HEADER: u32 = 1;
    pub(super) const EQUAL: u32 = 0;
    pub(super) const ACCEPT: u32 = 1;
}

/// An address of a packet's header.
#[derive(Clone, Copy)]
enum Address {
    Source,
    Destination,
}

impl Address {
    /// Where it stands in the header of its family.
    const fn offset(self, family: IpAddr) -> u32 {
        match (self, family) {
            (Self::Source, IpAddr::V4(_)) => 12,
            (Self::Destination, IpAddr::V4(_)) => 16,
            (Self::Source, IpAddr::V6(_)) => 8,
            (Self::Destination, IpAddr::V6(_)) => 24,
        }
    }
}

/// Whose packets of one family get the node's address on their way out.
///
/// `nft list table ip egret` shows it in a node as
///
/// ```text
/// chain outside {
///     type nat hook postrouting priority srcnat; policy accept;
///     ip daddr 10.244.0.0/16 accept
///     ip saddr 10.244.1.0/24 masquerade
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNat {
    /// The family's unspecified address: all prefixes are of this family.
    pub any: IpAddr,
    /// Packets from here, such as the node's pods.
    pub sources: Vec<IpNet>,
    /// Unless they go here, such as to pods and nodes.
    pub inside: Vec<IpNet>,
}

impl SourceNat {
    /// Puts the rules into a namespace, in place of those of before; connections that are there go on as they began.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or on a kernel without nftables or its `masquerade`.
    pub fn replace(&self, netns: &Netns) -> io::Result<()> {
        let table = Attributes::default().text(nft::TABLE_NAME, TABLE);
        let hook = Attributes::default()
            .number(nft::HOOK_NUMBER, nft::POST_ROUTING)
            .number(nft::HOOK_PRIORITY, nft::PRIORITY);
        let chain = Attributes::default()
            .text(nft::CHAIN_TABLE, TABLE)
            .text(nft::CHAIN_NAME, CHAIN)
            .nested(nft::CHAIN_HOOK, &hook)
            .text(nft::CHAIN_TYPE, "nat");
        let mut transaction = Transaction::of(self.any);
        transaction
            // To delete what is not there would be an error, so it is made before.
            .push(nft::NEW_TABLE, NLM_F_CREATE, &table)
            .push(nft::DELETE_TABLE, 0, &table)
            .push(nft::NEW_TABLE, NLM_F_CREATE, &table)
            .push(nft::NEW_CHAIN, NLM_F_CREATE, &chain);
        let inside = self.inside.iter().map(|net| matching(Address::Destination, *net, accept()));
        let sources = self.sources.iter().map(|net| matching(Address::Source, *net, masquerade()));
        for expressions in inside.chain(sources) {
            let rule = Attributes::default()
                .text(nft::RULE_TABLE, TABLE)
                .text(nft::RULE_CHAIN, CHAIN)
                .nested(nft::RULE_EXPRESSIONS, &expressions);
            transaction.push(nft::NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, &rule);
        }
        transaction.send(netns)
    }
}

/// The expressions of a rule: the address, its prefix, whether that is this one, and what to do then.
fn matching(address: Address, net: IpNet, then: Attributes) -> Attributes {
    let value = |address: IpAddr| {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        Attributes::default().bytes(nft::DATA_VALUE, &bytes)
    };
    let nothing = way_out(net.addr()).0.0;
    let length = u32::from(net.max_prefix_len() / 8);
    // Each expression numbers its attributes by itself.
    let load = Attributes::default()
        .number(1, nft::REGISTER)
        .number(2, nft::NETWORK_HEADER)
        .number(3, address.offset(net.addr()))
        .number(4, length);
    let mask = Attributes::default()
        .number(1, nft::REGISTER)
        .number(2, nft::REGISTER)
        .number(3, length)
        .nested(4, &value(net.netmask()))
        .nested(5, &value(nothing));
    let compare =
        Attributes::default().number(1, nft::REGISTER).number(2, nft::EQUAL).nested(3, &value(net.network()));
    [expression("payload", &load), expression("bitwise", &mask), expression("cmp", &compare), then]
        .iter()
        .fold(Attributes::default(), |list, expression| list.nested(nft::LIST_ELEMENT, expression))
}

/// Leave the packet as it is.
fn accept() -> Attributes {
    let verdict = Attributes::default().number(nft::VERDICT_CODE, nft::ACCEPT);
    let data = Attributes::default().nested(nft::DATA_VERDICT, &verdict);
    expression("immediate", &Attributes::default().number(1, nft::VERDICT).nested(2, &data))
}

/// Give it the address of the link by which it leaves.
fn masquerade() -> Attributes {
    expression("masq", &Attributes::default())
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::default().text(nft::EXPRESSION_NAME, name).nested(nft::EXPRESSION_DATA, data)
}
