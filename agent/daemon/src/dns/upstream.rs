//! Asks a client's server: over the client's protocol, from a socket for this one query.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use egret_core::Protocol;
use egret_core::flow::DnsAnswer;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::{Path, Query, message};
use crate::tproxy;

/// How long a server may take (policy-semantics 4.3 step 8).
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of asking.
pub(super) enum Asked {
    /// The server's answer as it came, and what it says.
    Answer(Vec<u8>, DnsAnswer),
    /// Nothing came in time.
    Silence,
    /// The server cannot be asked, or answers nonsense.
    Failed,
}

/// Asks the query's server with the query's own bytes, in the name of `source`.
pub(super) async fn ask(path: Path, source: IpAddr, query: &Query, bytes: &[u8], udp_size: u16) -> Asked {
    let asking = async {
        if query.protocol == Protocol::Tcp {
            ask_tcp(path, source, query, bytes).await
        } else {
            ask_udp(path, source, query, bytes, udp_size).await
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok((bytes, answer))) => Asked::Answer(bytes, answer),
        Ok(Err(_)) => Asked::Failed,
        Err(_elapsed) => Asked::Silence,
    }
}

async fn ask_udp(
    path: Path,
    source: IpAddr,
    query: &Query,
    bytes: &[u8],
    udp_size: u16,
) -> io::Result<(Vec<u8>, DnsAnswer)> {
    let socket = socket(path, Type::DGRAM, source)?;
    socket.connect(&query.server.into())?;
    // Sent before the runtime knows the socket, which would first wait to hear that it is writable.
    socket.send(bytes)?;
    let socket = UdpSocket::from_std(socket.into())?;
    let mut received = Vec::with_capacity(usize::from(udp_size));
    loop {
        received.clear();
        socket.recv_buf(&mut received).await?;
        // Anything else than the answer is somebody's guess, and the answer may still come (RFC 5452 section 9.1).
        if let Some(answer) = message::answer(bytes, &received) {
            return Ok((received, answer));
        }
    }
}

async fn ask_tcp(
    path: Path,
    source: IpAddr,
    query: &Query,
    bytes: &[u8],
) -> io::Result<(Vec<u8>, DnsAnswer)> {
    let socket = socket(path, Type::STREAM, source)?;
    let mut stream = TcpSocket::from_std_stream(socket.into()).connect(query.server).await?;
    write_frame(&mut stream, bytes).await?;
    let mut received = Vec::new();
    read_frame(&mut stream, &mut received).await?;
    let answer = message::answer(bytes, &received).ok_or(io::ErrorKind::InvalidData)?;
    Ok((received, answer))
}

/// A socket that speaks in the name of `source`, or in the proxy's own.
fn socket(path: Path, kind: Type, source: IpAddr) -> io::Result<Socket> {
    match path {
        Path::Transparent { mark } => tproxy::speak_as(kind, source, mark),
        Path::Forwarding(server) => {
            let socket = Socket::new(Domain::for_address(server), kind, None)?;
            socket.set_nonblocking(true)?;
            let any = match server {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            socket.bind(&SocketAddr::new(any, 0).into())?;
            Ok(socket)
        }
    }
}

/// Reads one message from a stream into `buffer` (RFC 1035 section 4.2.2).
pub(super) async fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    buffer.resize(usize::from(length), 0);
    stream.read_exact(buffer).await?;
    Ok(())
}

/// Writes one message to a stream.
pub(super) async fn write_frame(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // One write, so that length and message leave in one segment.
    let mut frame = Vec::with_capacity(message.len().saturating_add(2));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    stream.write_all(&frame).await
}
