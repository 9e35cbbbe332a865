//! Transactions of netfilter's netlink: requests that take effect together or not at all.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use crate::netns::Netns;

// include/uapi/linux/netfilter/nfnetlink.h
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM_NFTABLES: u8 = 10;
/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// Bytes of `struct nlmsghdr` and `struct nfgenmsg`.
const HEADERS: usize = 20;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;

/// Attributes one after the other, each at a multiple of four bytes.
#[derive(Clone, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    /// Bytes as they are.
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A text, with the zero that ends it.
    pub(super) fn text(self, kind: u16, text: &str) -> Self {
        self.bytes(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// A number of 32 bits; netfilter writes them big-endian.
    pub(super) fn number(self, kind: u16, number: u32) -> Self {
        self.bytes(kind, &number.to_be_bytes())
    }

    /// Attributes in an attribute.
    pub(super) fn nested(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NESTED, &inner.0)
    }
}

/// Requests to nftables for one family.
pub(super) struct Transaction {
    family: u8,
    bytes: Vec<u8>,
    requests: usize,
}

impl Transaction {
    /// No requests yet, for the family of an address.
    pub(super) const fn of(family: IpAddr) -> Self {
        let family = match family {
            IpAddr::V4(_) => IPV4,
            IpAddr::V6(_) => IPV6,
        };
        Self { family, bytes: Vec::new(), requests: 0 }
    }

    /// Adds a request: `NFT_MSG_…`, flags beside those of every request, what it is about.
    pub(super) fn push(&mut self, request: u8, flags: u16, attributes: &Attributes) -> &mut Self {
        let kind = u16::from_be_bytes([SUBSYSTEM_NFTABLES, request]);
        self.bytes.extend(message(kind, NLM_F_ACK | flags, self.family, 0, &attributes.0));
        self.requests += 1;
        self
    }

    /// Sends the requests inside a namespace and waits for the answer to each.
    ///
    /// # Errors
    /// The first refusal; then nothing has changed.
    pub(super) fn send(&self, netns: &Netns) -> io::Result<()> {
        let socket = netns.enter(|| Socket::new(NETLINK_NETFILTER))?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let edge = |kind| message(kind, 0, 0, SUBSYSTEM_NFTABLES, &[]);
        socket.send(&[edge(BATCH_BEGIN), self.bytes.clone(), edge(BATCH_END)].concat(), 0)?;
        let mut answered = 0;
        while answered < self.requests {
            let (datagram, _) = socket.recv_from_full()?;
            answered += answers(&datagram)?;
        }
        Ok(())
    }
}

/// How many requests a datagram says yes to; the first no is an error, since others may not be answered then.
fn answers(datagram: &[u8]) -> io::Result<usize> {
    let mut rest = datagram;
    let mut count = 0;
    while !rest.is_empty() {
        let length = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?.length() as usize;
        // What a request was about is not read again: an answer has the same shape for every protocol.
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
        if let NetlinkPayload::Error(error) = message.payload {
            if error.code.is_some() {
                return Err(error.to_io());
            }
            count += 1;
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(count)
}

fn message(kind: u16, flags: u16, family: u8, resource: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADERS + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    // Sequence and port: answers are counted, and the socket is the transaction's own.
    bytes.extend([0; 8]);
    // Family, version, and the subsystem as a big-endian number.
    bytes.extend([family, 0, 0, resource]);
    bytes.extend(attributes);
    bytes
}
