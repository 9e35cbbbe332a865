//! Sockets of transparent proxies: they receive packets for, and send packets from, addresses that the node has not.
//!
//! IPv4 only, as the datapath's redirection is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

/// Where the datapath looks for the sockets of a proxy.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Ports that are tried until one is free for UDP and TCP.
const PORT_TRIES: usize = 64;

/// The two sockets on which a proxy waits for redirected packets, with one port number.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) udp: Socket,
    pub(crate) tcp: Socket,
    pub(crate) port: u16,
}

impl Listeners {
    /// Listens on 127.0.0.1 for packets with whatever destination the datapath hands over.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when no port is free.
    pub(crate) fn bind() -> io::Result<Self> {
        // Sockets whose number was taken for TCP stay open, so that the kernel gives another one.
        let mut taken = Vec::new();
        loop {
            let udp = transparent(Type::DGRAM)?;
            setsockopt(&udp, sockopt::Ipv4OrigDstAddr, &true)?;
            udp.bind(&SocketAddr::new(LOOPBACK, 0).into())?;
            let at = udp.local_addr()?;
            let tcp = transparent(Type::STREAM)?;
            match tcp.bind(&at).and_then(|()| tcp.listen(BACKLOG)) {
                Ok(()) => {
                    let port = at.as_socket().map_or(0, |address| address.port());
                    return Ok(Self { udp, tcp, port });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && taken.len() < PORT_TRIES => {
                    taken.push(udp);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A socket that sends datagrams in the name of `address`. Several may have the same address.
///
/// # Errors
/// Without CAP_NET_ADMIN, or when a socket that does not share has the address.
pub(crate) fn send_as(address: SocketAddr) -> io::Result<Socket> {
    let socket = transparent(Type::DGRAM)?;
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
    let socket = transparent(kind)?;
    setsockopt(&socket, sockopt::Mark, &mark)?;
    socket.bind(&SocketAddr::new(client, 0).into())?;
    Ok(socket)
}

/// A non-blocking socket that may use any address.
fn transparent(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, None)?;
    socket.set_nonblocking(true)?;
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
    nix::cmsg_space!(nix::libc::sockaddr_in)
}

/// Receives one datagram with the address that it was sent to.
///
/// # Errors
/// `WouldBlock` when there is none; `InvalidData` when the kernel does not say who sent it to whom.
pub(crate) fn receive(socket: &impl AsRawFd, buffer: &mut [u8], control: &mut [u8]) -> io::Result<Datagram> {
    let mut parts = [io::IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::empty())?;
    let mut server = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4OrigDstAddr(address) = part {
            server = Some(SocketAddrV4::from(SockaddrIn::from(address)).into());
        }
    }
    let client = message.address.map(|address| SocketAddrV4::from(address).into());
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
        match transparent(Type::DGRAM) {
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
        let at = SocketAddr::new(LOOPBACK, listeners.port);
        assert_eq!(listeners.tcp.local_addr().expect("address").as_socket(), Some(at));
        let client = UdpSocket::bind("127.0.0.2:0").expect("bind");
        client.send_to(b"hello", at).expect("send");
        let mut buffer = [0; 16];
        // Over loopback the datagram is there when `send_to` returns.
        let datagram = receive(&listeners.udp, &mut buffer, &mut control_buffer()).expect("a datagram");
        let client = client.local_addr().expect("address");
        assert_eq!(datagram, Datagram { length: 5, client, server: at });
        let none = receive(&listeners.udp, &mut buffer, &mut control_buffer()).expect_err("no more");
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn foreign_addresses_can_be_spoken_for() {
        if !privileged() {
            return;
        }
        let server = "192.0.2.53:53".parse().expect("an address");
        let twice = [send_as(server).expect("bind"), send_as(server).expect("bind again")];
        assert_eq!(twice[1].local_addr().expect("address").as_socket(), Some(server));
        let client = "192.0.2.9".parse().expect("an address");
        for kind in [Type::DGRAM, Type::STREAM] {
            let socket = speak_as(kind, client, 0x0b00).expect("bind");
            let own = socket.local_addr().expect("address").as_socket().expect("inet");
            assert_eq!(own.ip(), client);
            assert_ne!(own.port(), 0);
            assert_eq!(nix::sys::socket::getsockopt(&socket, sockopt::Mark), Ok(0x0b00));
        }
    }
}
