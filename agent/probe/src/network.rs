//! Where sockets are made, and what the kernel's errors on them mean to a client.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;

use egret_core::probe::Outcome;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// A network in which sockets can be made: the thread's own, or a pod's.
pub trait Network {
    /// Makes a socket that belongs to this network for as long as it lives.
    ///
    /// # Errors
    /// What `socket(2)` or entering the network says.
    fn socket(&self, domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket>;
}

/// The network of the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisNetwork;

impl Network for ThisNetwork {
    fn socket(&self, domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        Socket::new(domain, kind, protocol)
    }
}

/// A non-blocking socket that is bound to `local`; its port is chosen now when `local` has port 0.
pub(crate) fn bind(
    network: &dyn Network,
    kind: Type,
    protocol: Option<Protocol>,
    local: SocketAddr,
) -> io::Result<Socket> {
    let socket = network.socket(Domain::for_address(local), kind, protocol)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

/// A non-blocking socket that listens on `local`.
pub(crate) fn listen(network: &dyn Network, local: SocketAddr) -> io::Result<Socket> {
    /// Connections that may wait to be accepted.
    const BACKLOG: i32 = 1024;
    let socket = network.socket(Domain::for_address(local), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A server may start again on the port of one whose connections are not forgotten yet.
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Makes a datagram socket report "net unreachable" and "host unreachable", which the kernel otherwise keeps to
/// itself (ip(7), `IP_RECVERR`). Not for servers: an error about one client would take the place of the next
/// client's answer.
pub(crate) fn report_icmp_errors(socket: &impl AsFd, local: SocketAddr) -> io::Result<()> {
    match local {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// What a client saw when the kernel gave it this error; `None` for errors that the peer and the network have
/// no part in.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of the standard library's many kinds are the peer's doing"
)]
pub(crate) fn outcome_of(error: &io::Error) -> Option<Outcome> {
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(Outcome::Refused),
        // A write after the reset gives "broken pipe"; an end in the middle of an answer is as good as a reset.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Some(Outcome::Reset),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Outcome::Unreachable),
        ErrorKind::TimedOut => Some(Outcome::Timeout),
        _ => None,
    }
}
