//! The DNS proxy of one node: judges redirected queries by name, and reports answers before their clients see them.
//!
//! It is transparent on both sides: clients get answers from the server that they asked, and servers are asked in
//! the client's name. Allowed messages pass byte for byte.
//!
//! | step | on failure |
//! | --- | --- |
//! | read the question | SERVFAIL; silence for what is no query |
//! | ask the policy | REFUSED, and [`DnsPolicy::refused`] |
//! | ask the client's server over the client's protocol | silence after 10 s, SERVFAIL on other errors |
//! | check number and question of the answer, [`DnsPolicy::answered`] | SERVFAIL |
//! | pass the answer on | |
//!
//! The order and the failures are Cilium's (policy-semantics 4.3).

pub mod message;
mod server;
#[cfg(test)]
mod tests;
mod upstream;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use egret_core::Protocol;
use egret_core::flow::DnsAnswer;
use socket2::{Domain, Socket, Type};

use crate::tproxy::{Listeners, Pair};

/// One query at the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub client: SocketAddr,
    /// Whom the client asks, after service translation.
    pub server: SocketAddr,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// Name asked for, lower-case, with trailing dot.
    pub name: String,
    /// Record type as text, for example `A`.
    pub qtype: String,
}

/// Who decides about queries and learns from answers. Calls come from many queries in turn, and have to return soon.
pub trait DnsPolicy: Send + Sync + 'static {
    /// Whether the query may go on to its server.
    fn judge(&self, query: &Query) -> bool;

    /// Learns an answer to a query that was let through. The answer leaves when this returns, so the maps have to
    /// hold its addresses by then. Answers with an error code or without addresses are told too.
    fn answered(&self, query: &Query, answer: &DnsAnswer);

    /// The address in whose name the server is asked: the client's own where the datapath hands the answer back
    /// to the proxy, else one of the node's, to which the answer comes by itself.
    fn asks_as(&self, query: &Query) -> IpAddr {
        query.client.ip()
    }

    /// The query was answered with REFUSED.
    fn refused(&self, query: &Query);
}

/// The proxy's sockets, ready to run.
#[derive(Debug)]
pub struct DnsProxy {
    v4: Pair,
    v6: Option<Pair>,
    port: u16,
    path: Path,
}

/// How the proxy stands between clients and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// In the packets' way: clients and servers see each other's addresses only.
    Transparent {
        /// Mark of the packets to servers.
        mark: u32,
    },
    /// Asked by clients itself; asks this one server in its own name.
    Forwarding(SocketAddr),
}

impl DnsProxy {
    /// Binds the proxy on the loopback addresses of the calling thread's network, where the datapath hands queries to it.
    ///
    /// `mark_from_proxy` is the mark of the packets that it sends in its clients' names.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when no port is free.
    pub fn bind(mark_from_proxy: u32) -> io::Result<Self> {
        let Listeners { v4, v6, port } = Listeners::bind()?;
        Ok(Self { v4, v6, port, path: Path::Transparent { mark: mark_from_proxy } })
    }

    /// A proxy that clients ask at `address` and that asks `server` in its own name: without privileges, for
    /// measurements of what lies between.
    ///
    /// # Errors
    /// The address is taken or not the machine's.
    pub fn forwarding(address: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        let bind = |kind| {
            let socket = Socket::new(Domain::for_address(address), kind, None)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            io::Result::Ok(socket)
        };
        let (udp, tcp) = (bind(Type::DGRAM)?, bind(Type::STREAM)?);
        tcp.listen(1024)?;
        Ok(Self { v4: Pair { udp, tcp }, v6: None, port: address.port(), path: Path::Forwarding(server) })
    }

    /// The port on which it waits, for UDP and TCP.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Serves until it is dropped. The runtime's thread has to be in the network in which the proxy was bound.
    ///
    /// Returns only when the sockets themselves fail; redirected queries are dropped from then on.
    pub async fn run(self, policy: Arc<dyn DnsPolicy>) {
        let Err(_failed) = server::run(self, policy).await;
    }
}
