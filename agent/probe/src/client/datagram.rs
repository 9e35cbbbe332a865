//! UDP: connected sockets, and the exchange of one datagram for the peer's identity.

use std::net::SocketAddr;

use egret_core::Protocol;
use egret_core::probe::Outcome;
use socket2::Type;
use tokio::net::UdpSocket;

use super::{Client, Log, Stop, judge_peer};
use crate::ProbeError;
use crate::network::{bind, report_icmp_errors};

/// A socket that talks to `remote` only, and its own address.
pub(super) fn connect(client: &Client<'_>, remote: SocketAddr) -> Result<(UdpSocket, SocketAddr), Stop> {
    let local = client.source(remote.ip())?;
    let failed = |action, source| ProbeError::Socket { action, address: local, source };
    let socket =
        bind(client.network, Type::DGRAM, None, local).map_err(|e| failed("bind a UDP socket to", e))?;
    report_icmp_errors(&socket, local).map_err(|e| failed("bind a UDP socket to", e))?;
    // Sends nothing, but says at once where there is no route.
    socket.connect(&remote.into()).map_err(|e| Stop::from_io("send to", remote, e))?;
    let socket = UdpSocket::from_std(socket.into()).map_err(|e| failed("bind a UDP socket to", e))?;
    let local = socket.local_addr().map_err(|e| failed("bind a UDP socket to", e))?;
    Ok((socket, local))
}

/// Sends one datagram and takes the answer as the peer's identity.
pub(super) async fn exchange(
    client: &Client<'_>,
    remote: SocketAddr,
    expect_peer: Option<&str>,
    log: &mut Log<'_>,
) -> Result<Outcome, Stop> {
    let (socket, local) = connect(client, remote)?;
    log.start(Protocol::Udp, local, remote);
    let talk = async {
        socket.send(b"egret\n").await?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await?;
        Ok(String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned())
    };
    let peer = talk.await.map_err(|error| Stop::from_io("talk to", remote, error))?;
    Ok(judge_peer(&peer, expect_peer))
}
