//! Takes queries in over UDP and TCP, and sends answers back in the names of their servers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::base::iana::Rcode;
use egret_core::Protocol;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::message::{self, InvalidQuery};
use super::upstream::{self, Asked};
use super::{DnsPolicy, DnsProxy, Path, Query};
use crate::tproxy::{self, Datagram, Pair};

/// Queries that may wait for servers at the same time; those beyond get SERVFAIL.
const IN_FLIGHT: usize = 1024;

/// Connections that may be open at the same time; those beyond are closed.
const CONNECTIONS: usize = 1024;

/// How long a connection may stay without a query (RFC 7766 section 6.2.3 asks for seconds).
const IDLE: Duration = Duration::from_secs(10);

/// Servers in whose names a socket is kept. A client may ask any number of servers.
const SENDERS: usize = 64;

/// What every query needs.
struct Shared {
    path: Path,
    policy: Arc<dyn DnsPolicy>,
    in_flight: Semaphore,
}

/// Serves until a socket of the proxy's own fails.
pub(super) async fn run(proxy: DnsProxy, policy: Arc<dyn DnsPolicy>) -> io::Result<Infallible> {
    let DnsProxy { v4, v6, port: _, path } = proxy;
    let shared = Arc::new(Shared { path, policy, in_flight: Semaphore::new(IN_FLIGHT) });
    let other = async {
        match v6 {
            Some(pair) => run_pair(pair, Arc::clone(&shared)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = run_pair(v4, Arc::clone(&shared)) => ended,
        ended = other => ended,
    }
}

/// Serves on the sockets of one family.
async fn run_pair(Pair { udp, tcp }: Pair, shared: Arc<Shared>) -> io::Result<Infallible> {
    let udp = UdpSocket::from_std(udp.into())?;
    let tcp = TcpListener::from_std(tcp.into())?;
    tokio::select! {
        ended = run_udp(udp, Arc::clone(&shared)) => ended,
        ended = run_tcp(tcp, shared) => ended,
    }
}

// === UDP ===

async fn run_udp(socket: UdpSocket, shared: Arc<Shared>) -> io::Result<Infallible> {
    let path = shared.path;
    let socket = Arc::new(socket);
    let senders = Arc::new(Senders { listener: Arc::clone(&socket), path, kept: Mutex::default() });
    let mut queries = JoinSet::new();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut control = tproxy::control_buffer();
    loop {
        let received = tokio::select! {
            received = receive(&socket, path, &mut buffer, &mut control) => received,
            Some(_) = queries.join_next() => continue,
        };
        let Datagram { length, client, server } = match received {
            Ok(datagram) => datagram,
            // The kernel did not say whose datagram it is.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        match shared.admit(bytes, client, server, Protocol::Udp) {
            Admitted::Query(query, udp_size) => {
                let (shared, senders, bytes) = (Arc::clone(&shared), Arc::clone(&senders), bytes.to_vec());
                queries.spawn(async move {
                    if let Some(answer) = shared.forward(&query, &bytes, udp_size).await {
                        senders.send(&answer, server, client);
                    }
                });
            }
            Admitted::Answer(answer) => senders.send(&answer, server, client),
            Admitted::Ignored => {}
        }
    }
}

async fn receive(
    socket: &UdpSocket,
    path: Path,
    buffer: &mut [u8],
    control: &mut [u8],
) -> io::Result<Datagram> {
    match path {
        Path::Transparent { .. } => {
            socket.async_io(Interest::READABLE, || tproxy::receive(socket, buffer, control)).await
        }
        Path::Forwarding(server) => {
            let (length, client) = socket.recv_from(buffer).await?;
            Ok(Datagram { length, client, server })
        }
    }
}

/// Sockets that send answers in the names of servers.
struct Senders {
    listener: Arc<UdpSocket>,
    path: Path,
    kept: Mutex<HashMap<SocketAddr, Arc<StdUdpSocket>>>,
}

impl Senders {
    /// Sends `answer` from `server` to `client`. An answer that cannot leave is a silence that the client sees.
    fn send(&self, answer: &[u8], server: SocketAddr, client: SocketAddr) {
        let _: io::Result<usize> = match self.path {
            Path::Transparent { .. } => self.sender(server).and_then(|socket| socket.send_to(answer, client)),
            Path::Forwarding(_) => SockRef::from(&*self.listener).send_to(answer, &client.into()),
        };
    }

    fn sender(&self, server: SocketAddr) -> io::Result<Arc<StdUdpSocket>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = kept.get(&server) {
            return Ok(Arc::clone(socket));
        }
        let socket = Arc::new(StdUdpSocket::from(tproxy::send_as(server)?));
        if kept.len() >= SENDERS {
            kept.clear();
        }
        kept.insert(server, Arc::clone(&socket));
        Ok(socket)
    }
}

// === TCP ===

async fn run_tcp(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Infallible> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, client) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // The client took its connection back before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            },
            Some(_) = connections.join_next() => continue,
        };
        if connections.len() < CONNECTIONS {
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                // A connection that ends or breaks is the client's to see.
                let _: io::Result<()> = converse(stream, client, &shared).await;
            });
        }
    }
}

/// Answers the queries of one connection in their order.
async fn converse(mut stream: TcpStream, client: SocketAddr, shared: &Shared) -> io::Result<()> {
    let server = match shared.path {
        Path::Transparent { .. } => stream.local_addr()?,
        Path::Forwarding(server) => server,
    };
    let mut bytes = Vec::new();
    loop {
        tokio::time::timeout(IDLE, upstream::read_frame(&mut stream, &mut bytes)).await??;
        let answer = match shared.admit(&bytes, client, server, Protocol::Tcp) {
            Admitted::Query(query, udp_size) => shared.forward(&query, &bytes, udp_size).await,
            Admitted::Answer(answer) => Some(answer),
            Admitted::Ignored => return Ok(()),
        };
        if let Some(answer) = answer {
            upstream::write_frame(&mut stream, &answer).await?;
        }
    }
}

// === impl Shared ===

/// What becomes of a message from a client.
enum Admitted {
    /// It may go to its server; with the size of the largest UDP answer.
    Query(Query, u16),
    /// It gets this answer of the proxy's own.
    Answer(Vec<u8>),
    /// It is no query.
    Ignored,
}

impl Shared {
    /// Reads a client's message and asks the policy about it.
    fn admit(&self, bytes: &[u8], client: SocketAddr, server: SocketAddr, protocol: Protocol) -> Admitted {
        let question = match message::question(bytes) {
            Ok(question) => question,
            Err(InvalidQuery::Short | InvalidQuery::Response) => return Admitted::Ignored,
            Err(InvalidQuery::Question) => return refuse(bytes, Rcode::SERVFAIL),
        };
        let query = Query { client, server, protocol, name: question.name, qtype: question.qtype };
        if self.policy.judge(&query) {
            return Admitted::Query(query, question.udp_size);
        }
        self.policy.refused(&query);
        refuse(bytes, Rcode::REFUSED)
    }

    /// The answer that a query's client gets; `None` when its server kept silent.
    async fn forward(&self, query: &Query, bytes: &[u8], udp_size: u16) -> Option<Vec<u8>> {
        let Ok(_permit) = self.in_flight.try_acquire() else {
            return message::refusal(bytes, Rcode::SERVFAIL);
        };
        match upstream::ask(self.path, self.policy.asks_as(query), query, bytes, udp_size).await {
            Asked::Answer(bytes, answer) => {
                self.policy.answered(query, &answer);
                Some(bytes)
            }
            Asked::Silence => None,
            Asked::Failed => message::refusal(bytes, Rcode::SERVFAIL),
        }
    }
}

fn refuse(query: &[u8], rcode: Rcode) -> Admitted {
    message::refusal(query, rcode).map_or(Admitted::Ignored, Admitted::Answer)
}
