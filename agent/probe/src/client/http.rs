//! TCP: connects, sends one HTTP request, and reads status and identity from the answer.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

use egret_core::Protocol;
use egret_core::probe::{Http, Outcome};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use socket2::Type;
use tokio::net::{TcpSocket, TcpStream};

use super::{Client, Log, Stop, Target, judge_peer};
use crate::ProbeError;
use crate::network::{bind, report_icmp_errors};
use crate::server::PEER_HEADER;

/// Who answers in HTTP without giving an identity.
pub(super) const UNNAMED: &str = "a server without identity";
/// Who answers, but not in HTTP.
const NOT_HTTP: &str = "a server that does not speak HTTP";

/// The request as bytes to come.
pub(super) fn request(http: &Http, to: &Target, port: u16) -> Result<Request<Full<Bytes>>, ProbeError> {
    if http.tls {
        return Err(ProbeError::Unsupported { what: "TLS" });
    }
    let mut host = match to {
        Target::Name(name) => name.trim_end_matches('.').to_owned(),
        Target::Address(IpAddr::V4(address)) => address.to_string(),
        Target::Address(IpAddr::V6(address)) => format!("[{address}]"),
    };
    if port != 80 {
        host = format!("{host}:{port}");
    }
    // One request for each connection: a probe's packets end with it.
    let mut request = Request::builder()
        .method(http.method.as_str())
        .uri(&http.path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close");
    for (name, value) in &http.headers {
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::from(http.body.clone())))
        .map_err(|source| ProbeError::InvalidRequest { path: http.path.clone(), source })
}

/// Connects a socket whose port is known before the first packet leaves.
pub(super) async fn connect(
    client: &Client<'_>,
    remote: SocketAddr,
    log: &mut Log<'_>,
) -> Result<TcpStream, Stop> {
    let local = client.source(remote.ip())?;
    let failed = |source| ProbeError::Socket { action: "bind a TCP socket to", address: local, source };
    let socket = bind(client.network, Type::STREAM, None, local).map_err(failed)?;
    if local.is_ipv6() {
        // Over IPv4 a socket that connects hears of it anyway; over IPv6, without this, not before its second SYN.
        report_icmp_errors(&socket, local).map_err(failed)?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    log.start(Protocol::Tcp, socket.local_addr().map_err(failed)?, remote);
    socket.connect(remote).await.map_err(|error| Stop::from_io("connect to", remote, error))
}

/// Sends the request and judges the answer.
pub(super) async fn exchange(
    client: &Client<'_>,
    remote: SocketAddr,
    request: Request<Full<Bytes>>,
    expect_peer: Option<&str>,
    log: &mut Log<'_>,
) -> Result<Outcome, Stop> {
    let stream = connect(client, remote, log).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| stop(remote, error))?;
    let mut connection = pin!(connection);
    let mut closed_by_peer = false;
    let mut talk = pin!(async move {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        // An unread rest would make the kernel reset the connection.
        body.collect().await?;
        Ok(head)
    });
    let head = tokio::select! {
        biased;
        head = &mut talk => head,
        closed = &mut connection => {
            closed_by_peer = true;
            match closed {
                Ok(()) => talk.await,
                Err(error) => Err(error),
            }
        }
    }
    .map_err(|error| stop(remote, error))?;
    if !closed_by_peer {
        // Until the server has closed its side: whatever it sends later, the client's kernel would still answer,
        // perhaps under the next step's policy. How it closes is no part of the answer.
        let _closed: Result<(), hyper::Error> = connection.await;
    }
    if head.status != StatusCode::OK {
        return Ok(Outcome::Http(head.status.as_u16()));
    }
    let peer = head.headers.get(PEER_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    Ok(judge_peer(peer.as_deref().unwrap_or(UNNAMED), expect_peer))
}

/// What an error of an HTTP exchange says: the kernel's error when there is one under it, else the peer's doing.
pub(super) fn stop(remote: SocketAddr, error: hyper::Error) -> Stop {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(outcome) = inner.downcast_ref::<io::Error>().and_then(crate::network::outcome_of) {
            return Stop::Saw(outcome);
        }
        cause = inner.source();
    }
    if error.is_parse() {
        return Stop::Saw(Outcome::WrongPeer(NOT_HTTP.to_owned()));
    }
    // The connection ended in order, but without an answer.
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Stop::Saw(Outcome::Reset);
    }
    Stop::Failed(ProbeError::Http { address: remote, source: error })
}
