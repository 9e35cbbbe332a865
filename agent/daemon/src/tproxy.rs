//! Sockets of transparent proxies: they receive packets for, and send packets from, addresses that the node has not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Socket, Type};

/// Where the datapath looks for the sockets of a proxy, by the packet's family.
const LOOPBACK_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Ports that are tried until one is free for UDP and TCP.
const PORT_TRIES: usize = 64;

/// The sockets on which a proxy waits for redirected packets, all with one port number.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) v4: Pair,
    /// Not there where the node has no IPv6.
    pub(crate) v6: Option<Pair>,
    pub(crate) port: u16,
}

/// The sockets of one family.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) udp: Socket,
    pub(crate) tcp: Socket,
}

impl Listeners {
    /// Listens on the loopback addresses for packets with whatever destination the datapath hands over.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when no port is free.
    pub(crate) fn bind() -> io::Result<Self> {
        // Sockets whose number was taken for another stay open, so that the kernel gives another one.
        let mut taken = Vec::new();
        loop {
            let udp = datagrams(SocketAddr::new(LOOPBACK_V4, 0))?;
            let port = udp.local_addr()?.as_socket().map_or(0, |address| address.port());
            let rest = || {
                let tcp = streams(SocketAddr::new(LOOPBACK_V4, port))?;
                let at = SocketAddr::new(LOOPBACK_V6, port);
                let v6 = datagrams(at).and_then(|udp| Ok(Pair { udp, tcp: streams(at)? }));
                io::Result::Ok((tcp, v6.map(Some).or_else(without_ipv6)?))
            };
            match rest() {
                Ok((tcp, v6)) => return Ok(Self { v4: Pair { udp, tcp }, v6, port }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && taken.len() < PORT_TRIES => {
                    taken.push(udp);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A transparent socket for datagrams, which come with the address that they were sent to.
fn datagrams(at: SocketAddr) -> io::Result<Socket> {
    let socket = transparent(at.ip(), Type::DGRAM)?;
    match at {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true)?,
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

/// A transparent socket that listens.
fn streams(at: SocketAddr) -> io::Result<Socket> {
    let socket = transparent(at.ip(), Type::STREAM)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// No sockets, when the error says that the kernel or this network has no IPv6.
fn without_ipv6(error: io::Error) -> io::Result<Option<Pair>> {
    match error.raw_os_error() {
        Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL) => Ok(None),
        _ => Err(error),
    }
}

/// A socket that sends datagrams in the name of `address`. Several may have the same address.
///
/// # Errors
/// Without CAP_NET_ADMIN, or when a socket that does not share has the address.
pub(crate) fn send_as(address: SocketAddr) -> io::Result<Socket> {
    let socket = transparent(address.ip(), Type::DGRAM)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket that talks in the name of `client`, from a port of its own; `mark` tells the datapath that a proxy
/// sends.
///
/// # Errors
/// Without CAP_NET_ADMIN, or when `client` has no port left.
pub(crate) fn speak_as(kind: Type, client: IpAddr, mark: u32) -> io::Result<Socket> {
    let socket = transparent(client, kind)?;
    setsockopt(&socket, sockopt::Mark, &mark)?;
    socket.bind(&SocketAddr::new(client, 0).into())?;
    Ok(socket)
}

/// A non-blocking socket that may use any address of the family of `address`.
fn transparent(address: IpAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(SocketAddr::new(address, 0)), kind, None)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Of both families, although the name is IPv4's (ip(7)).
    setsockopt(&socket, sockopt::IpTransparent, &true)?;
    Ok(socket)
}

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Bytes of it in the buffer.
    pub(crate) length: usize,
    /// Who sent it.
    pub(crate) client: SocketAddr,
    /// Whom it was sent to.
    pub(crate) server: SocketAddr,
}

/// Room for what the kernel says beside a datagram.
pub(crate) fn control_buffer() -> Vec<u8> {
    nix::cmsg_space!(nix::libc::sockaddr_in6)
}

/// Receives one datagram with the address that it was sent to.
///
/// # Errors
/// `WouldBlock` when there is none; `InvalidData` when the kernel does not say who sent it to whom.
pub(crate) fn receive(socket: &impl AsRawFd, buffer: &mut [u8], control: &mut [u8]) -> io::Result<Datagram> {
    let mut parts = [io::IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::empty())?;
    let mut server = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4OrigDstAddr(address) = part {
            server = Some(SocketAddrV4::from(SockaddrIn::from(address)).into());
        } else if let ControlMessageOwned::Ipv6OrigDstAddr(address) = part {
            server = Some(SocketAddrV6::from(SockaddrIn6::from(address)).into());
        }
    }
    let client = message.address.and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| SocketAddrV4::from(*address).into());
        v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddrV6::from(*address).into()))
    });
    match (client, server) {
        (Some(client), Some(server)) => Ok(Datagram { length: message.bytes, client, server }),
        (None, _) | (_, None) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    /// Whether this process may make transparent sockets; a run that ought to may not skip.
    fn privileged() -> bool {
        match transparent(LOOPBACK_V4, Type::DGRAM) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
                assert!(std::env::var_os("CI").is_none(), "continuous integration runs this test as root");
                eprintln!("skipped: transparent sockets need CAP_NET_ADMIN");
                false
            }
        }
    }

    #[test]
    fn a_datagram_comes_with_both_addresses() {
        if !privileged() {
            return;
        }
        let listeners = Listeners::bind().expect("bind");
        let v6 = listeners.v6.as_ref().expect("loopback has IPv6");
        let cases = [(&listeners.v4, LOOPBACK_V4, "127.0.0.2:0"), (v6, LOOPBACK_V6, "[::1]:0")];
        for (pair, loopback, client) in cases {
            let at = SocketAddr::new(loopback, listeners.port);
            assert_eq!(pair.tcp.local_addr().expect("address").as_socket(), Some(at));
            let client = UdpSocket::bind(client).expect("bind");
            client.send_to(b"hello", at).expect("send");
            let mut buffer = [0; 16];
            // Over loopback the datagram is there when `send_to` returns.
            let datagram = receive(&pair.udp, &mut buffer, &mut control_buffer()).expect("a datagram");
            let client = client.local_addr().expect("address");
            assert_eq!(datagram, Datagram { length: 5, client, server: at });
            let none = receive(&pair.udp, &mut buffer, &mut control_buffer()).expect_err("no more");
            assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn foreign_addresses_can_be_spoken_for() {
        if !privileged() {
            return;
        }
        for (server, client) in [("192.0.2.53:53", "192.0.2.9"), ("[2001:db8::53]:53", "2001:db8::9")] {
            let server = server.parse().expect("an address");
            let twice = [send_as(server).expect("bind"), send_as(server).expect("bind again")];
            assert_eq!(twice[1].local_addr().expect("address").as_socket(), Some(server));
            let client = client.parse().expect("an address");
            for kind in [Type::DGRAM, Type::STREAM] {
                let socket = speak_as(kind, client, 0x0b00).expect("bind");
                let own = socket.local_addr().expect("address").as_socket().expect("inet");
                assert_eq!(own.ip(), client);
                assert_ne!(own.port(), 0);
                assert_eq!(nix::sys::socket::getsockopt(&socket, sockopt::Mark), Ok(0x0b00));
            }
        }
    }
}
