//! A TCP connection that stays open from one exchange to the next: a line is said, and heard again.

use std::cell::Cell;
use std::future::Future;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use egret_core::probe::Outcome;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::{Attempt, Client, Log, Report, Stage, Stop, http, judge_peer, within};
use crate::ProbeError;
use crate::network::{outcome_of, report_icmp_errors};
use crate::server::{PEER_HEADER, STAY};

/// A connection, from before it is opened until after it has ended. Dropping it resets it.
#[derive(Debug, Default)]
pub struct Kept {
    attempt: Option<Attempt>,
    stream: Option<TcpStream>,
    ended: Option<Outcome>,
    /// Lines that were said.
    said: u64,
    /// A line was said and not heard: the kernel goes on saying it.
    unheard: bool,
    /// What was heard and not looked at.
    heard: Vec<u8>,
}

/// Says a line and waits to hear it again. With `open`, the connection is opened first, to this address and this
/// identity (`None` takes any).
///
/// `started` and `give_up` are as for [`super::run`]. The outcome is one of [`Outcome::STATES`], or that somebody
/// else is there. What did not open or has ended gives the same outcome ever after, without a packet.
///
/// # Errors
/// The client could not run.
pub async fn keep(
    client: &Client<'_>,
    kept: &mut Kept,
    open: Option<(SocketAddr, Option<&str>)>,
    started: &mut dyn FnMut(&Attempt),
    give_up: impl Future<Output = ()>,
) -> Result<Report, ProbeError> {
    if open.is_some() {
        *kept = Kept::default();
    }
    if let Some(ended) = &kept.ended {
        return Ok(Report { outcome: ended.clone(), addresses: Vec::new(), attempts: Vec::new() });
    }
    let attempt = Cell::new(kept.attempt);
    let mut note = |one: &Attempt| {
        attempt.set(Some(*one));
        started(one);
    };
    let said = tokio::select! {
        biased;
        said = within(client.limits.answer, Outcome::Stalled, kept.exchange(client, open, &mut note)) => said,
        () = give_up => Err(Stop::Saw(Outcome::Stalled)),
    };
    kept.attempt = attempt.get();
    let outcome = match said {
        Ok(()) => Outcome::Open,
        Err(Stop::Saw(outcome)) => state_of(outcome),
        Err(Stop::Failed(error)) => return Err(error),
    };
    // The socket stays until the caller lets go of it: the packet that ends it is of no exchange.
    if outcome.is_over() || kept.stream.is_none() {
        kept.ended = Some(outcome.clone());
    }
    Ok(Report { outcome, addresses: Vec::new(), attempts: kept.attempt.into_iter().collect() })
}

/// The state of a connection of which its client saw this.
fn state_of(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Ok | Outcome::Open => Outcome::Open,
        Outcome::Refused | Outcome::Reset => Outcome::Reset,
        Outcome::Http(_) | Outcome::TlsAlert | Outcome::Closed => Outcome::Closed,
        // That there is no way is no end: TCP goes on trying.
        Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::Stalled
        | Outcome::DnsTimeout
        | Outcome::DnsRefused
        | Outcome::NxDomain
        | Outcome::ServFail => Outcome::Stalled,
        Outcome::WrongPeer(peer) => Outcome::WrongPeer(peer),
    }
}

// === impl Kept ===

impl Kept {
    async fn exchange(
        &mut self,
        client: &Client<'_>,
        open: Option<(SocketAddr, Option<&str>)>,
        started: &mut dyn FnMut(&Attempt),
    ) -> Result<(), Stop> {
        if let Some((remote, expect_peer)) = open {
            let (stream, heard) = connect(client, remote, expect_peer, started).await?;
            (self.stream, self.heard) = (Some(stream), heard);
        } else if let Some(attempt) = &self.attempt {
            started(attempt);
        }
        self.listen()?;
        let Some(stream) = &mut self.stream else { return Err(Stop::Saw(Outcome::Closed)) };
        let remote = stream.peer_addr().map_err(ended)?;
        let failed = |error| Stop::from_io("talk to", remote, error);
        // What the kernel said again may be on its way while this begins, and that it found no way is no news: of the next
        // time that it tries, it is.
        let mut expects_old = std::mem::replace(&mut self.unheard, true);
        let mut is_old = |error: &std::io::Error| {
            outcome_of(error) == Some(Outcome::Unreachable) && std::mem::take(&mut expects_old)
        };
        self.said += 1;
        let line = format!("egret {}\n", self.said);
        match stream.write_all(line.as_bytes()).await {
            // None of it was taken: a line is shorter than what the kernel takes at once.
            Err(error) if is_old(&error) => stream.write_all(line.as_bytes()).await.map_err(failed)?,
            written => written.map_err(failed)?,
        }
        while !hears(&mut self.heard, line.as_bytes()) {
            // The kernel keeps a message that there is no way back while the packet's sender holds the socket, as it
            // may when the way is short (tcp(7), "soft error"); later ones make no socket readable.
            if let Some(error) = stream.take_error().map_err(ended)?.filter(|error| !is_old(error)) {
                return Err(failed(error));
            }
            let ready = stream.ready(Interest::READABLE | Interest::ERROR).await.map_err(ended)?;
            if ready.is_error() {
                let _noted = stream.try_io(Interest::ERROR, || Err::<(), _>(ErrorKind::WouldBlock.into()));
            }
            match stream.try_read_buf(&mut self.heard) {
                Ok(0) => return Err(Stop::Saw(Outcome::Closed)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock || is_old(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.unheard = false;
        Ok(())
    }

    /// Takes what has come since the last exchange, so that an end is known before more is said. Asks the kernel,
    /// since the runtime may not have looked yet.
    fn listen(&mut self) -> Result<(), Stop> {
        let Some(stream) = &self.stream else { return Ok(()) };
        let socket = SockRef::from(stream);
        let mut buffer = [0; 512];
        loop {
            let read = match socket.take_error().map_err(ended)? {
                Some(error) => Err(error),
                None => (&*socket).read(&mut buffer),
            };
            match read {
                Ok(0) => return Err(Stop::Saw(Outcome::Closed)),
                Ok(length) => self.heard.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It is about a packet of earlier.
                Err(error) if outcome_of(&error) == Some(Outcome::Unreachable) => {}
                Err(error) => return Err(ended(error)),
            }
        }
    }
}

/// An error on a connection that has a way: it is over.
fn ended(error: std::io::Error) -> Stop {
    Stop::Saw(outcome_of(&error).unwrap_or(Outcome::Closed))
}

/// Connects and has the server stay; gives what it has already said.
async fn connect(
    client: &Client<'_>,
    remote: SocketAddr,
    expect_peer: Option<&str>,
    started: &mut dyn FnMut(&Attempt),
) -> Result<(TcpStream, Vec<u8>), Stop> {
    let mut log = Log { started, stage: Stage::Talk, addresses: Vec::new(), attempts: Vec::new() };
    let stream = http::connect(client, remote, &mut log).await?;
    let stop = |error| http::stop(remote, error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(stop)?;
    let request = Request::builder()
        .header(header::HOST, remote.to_string())
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, STAY)
        .body(Empty::<Bytes>::new())
        .map_err(|source| ProbeError::InvalidRequest { path: "/".into(), source })?;
    let mut connection = pin!(connection.with_upgrades());
    let mut talk = pin!(async move {
        let response = sender.send_request(request).await.map_err(stop)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Stop::Saw(Outcome::Http(response.status().as_u16())));
        }
        let peer = response.headers().get(PEER_HEADER);
        let peer = peer.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let peer = judge_peer(peer.as_deref().unwrap_or(http::UNNAMED), expect_peer);
        if peer != Outcome::Ok {
            return Err(Stop::Saw(peer));
        }
        hyper::upgrade::on(response).await.map_err(stop)
    });
    let upgraded = tokio::select! {
        biased;
        upgraded = &mut talk => upgraded,
        closed = &mut connection => match closed {
            Ok(()) => talk.await,
            Err(error) => Err(stop(error)),
        },
    }?;
    // It is what was put in above.
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| Stop::Saw(Outcome::Closed))?;
    let stream = parts.io.into_inner();
    prepare(&stream).map_err(|source| ProbeError::Socket {
        action: "set up the connection to",
        address: remote,
        source,
    })?;
    Ok((stream, parts.read_buf.into()))
}

/// Sends every line at once, hears when there is no way, tries again soon after a silence, and leaves nothing
/// behind when it is dropped: neither end goes on talking to an end that is gone.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_thin_linear_timeouts(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    report_icmp_errors(stream, stream.local_addr()?)
}

/// Whether a line was heard; forgets it and what was heard before it.
fn hears(heard: &mut Vec<u8>, line: &[u8]) -> bool {
    while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
        let rest = heard.split_off(end + 1);
        let found = heard == line;
        *heard = rest;
        if found {
            return true;
        }
    }
    false
}
