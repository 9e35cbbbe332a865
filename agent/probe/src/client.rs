//! One probe's client: resolves, talks, and says what it saw.

mod datagram;
mod forged;
mod http;
mod kept;
mod ping;
mod resolver;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use egret_core::probe::{Http, Outcome, Record};
use egret_core::{Protocol, destination};
use serde::{Deserialize, Serialize};

pub use self::kept::{Kept, keep};
pub use self::resolver::Resolver;
use crate::network::outcome_of;
use crate::{Network, ProbeError};

/// Who asks.
pub struct Client<'a> {
    /// Where its sockets are made.
    pub network: &'a dyn Network,
    /// Addresses to send from, the first of each family; none leaves the choice to the kernel.
    pub addresses: Vec<IpAddr>,
    /// How it resolves names.
    pub resolver: Option<Resolver>,
    /// How long it waits.
    pub limits: Limits,
}

/// How long a client waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For the peer, from the first packet to the end of its answer.
    pub answer: Duration,
    /// For the DNS server, for each of two tries.
    pub resolve: Duration,
}

impl Default for Limits {
    /// The tutorial's `--max-time 5`, and resolv.conf(5)'s `timeout:5`.
    fn default() -> Self {
        Self { answer: Duration::from_secs(5), resolve: Duration::from_secs(5) }
    }
}

/// Whom a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A name, as written, which the client resolves first.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exchange {
    /// One HTTP request over TCP.
    Tcp {
        /// Whom.
        to: Target,
        /// Port.
        port: u16,
        /// The request.
        http: Http,
        /// The identity that the answer must carry; `None` takes any.
        expect_peer: Option<String>,
    },
    /// One datagram, answered by one datagram.
    Udp {
        /// Whom.
        to: Target,
        /// Port.
        port: u16,
        /// The identity that the answer must carry; `None` takes any.
        expect_peer: Option<String>,
    },
    /// One message over SCTP, which is refused as not simulated yet.
    Sctp {
        /// Whom.
        to: Target,
        /// Port.
        port: u16,
    },
    /// One echo request.
    Ping {
        /// Whom.
        to: Target,
    },
    /// One query through the resolver, search list included.
    Dns {
        /// Name as written.
        name: String,
        /// Record type.
        record: Record,
    },
    /// A line over a connection that stays open; done by [`keep`], with the connection at hand.
    Keep {
        /// Name of the connection.
        connection: String,
        /// Where to open it first, and the identity that must be there; `None` takes any.
        open: Option<(SocketAddr, Option<String>)>,
    },
    /// The first packet of a connection, or a datagram, from an address that is not the client's own.
    Forged {
        /// The packet's source.
        source: IpAddr,
        /// Whom.
        to: IpAddr,
        /// Port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
    },
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// To ask the DNS server.
    Resolve,
    /// To talk to the peer.
    Talk,
}

/// One connection or query, by which its packets are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Transport protocol.
    pub protocol: Protocol,
    /// The client's side; for an echo request the port is the identifier.
    pub local: SocketAddr,
    /// The other side, before service translation; port 0 for an echo request.
    pub remote: SocketAddr,
    /// What it is for.
    pub stage: Stage,
}

/// What a client saw, and how it came there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the client saw.
    pub outcome: Outcome,
    /// Addresses in the last DNS answer, in its order.
    pub addresses: Vec<IpAddr>,
    /// Every connection and query, in order.
    pub attempts: Vec<Attempt>,
}

/// Runs one probe.
///
/// `started` learns of each attempt before its first packet leaves. `give_up` resolves when the caller knows that
/// the packets of the current attempt were dropped; the outcome is then the one that waiting would have had. An
/// answer that is there at the same moment wins.
///
/// A name with several addresses is tried at one only, the first by [`destination::first`], so that a probe has one connection to judge.
///
/// # Errors
/// The client could not run. What the network or the peer did is an outcome.
pub async fn run(
    client: &Client<'_>,
    exchange: &Exchange,
    started: &mut dyn FnMut(&Attempt),
    give_up: impl Future<Output = ()>,
) -> Result<Report, ProbeError> {
    let mut log = Log { started, stage: Stage::Resolve, addresses: Vec::new(), attempts: Vec::new() };
    let ended = tokio::select! {
        biased;
        ended = perform(client, exchange, &mut log) => Some(ended),
        () = give_up => None,
    };
    let outcome = match ended {
        Some(Ok(outcome) | Err(Stop::Saw(outcome))) => outcome,
        Some(Err(Stop::Failed(error))) => return Err(error),
        None => match log.stage {
            Stage::Resolve => Outcome::DnsTimeout,
            Stage::Talk => Outcome::Timeout,
        },
    };
    Ok(Report { outcome, addresses: log.addresses, attempts: log.attempts })
}

/// Resolves the target, then talks to it.
async fn perform(client: &Client<'_>, exchange: &Exchange, log: &mut Log<'_>) -> Result<Outcome, Stop> {
    match exchange {
        Exchange::Dns { name, record } => {
            resolver::lookup(client, name, &[*record], log).await?;
            Ok(Outcome::Ok)
        }
        Exchange::Tcp { to, port, http, expect_peer } => {
            let remote = SocketAddr::new(find(client, to, log).await?, *port);
            let request = http::request(http, to, *port)?;
            let talk = http::exchange(client, remote, request, expect_peer.as_deref(), log);
            within(client.limits.answer, Outcome::Timeout, talk).await
        }
        Exchange::Udp { to, port, expect_peer } => {
            let remote = SocketAddr::new(find(client, to, log).await?, *port);
            let talk = datagram::exchange(client, remote, expect_peer.as_deref(), log);
            within(client.limits.answer, Outcome::Timeout, talk).await
        }
        Exchange::Ping { to } => {
            let remote = find(client, to, log).await?;
            within(client.limits.answer, Outcome::Timeout, ping::exchange(client, remote, log)).await
        }
        Exchange::Sctp { .. } => Err(ProbeError::Unsupported { what: "SCTP" }.into()),
        Exchange::Keep { .. } => Err(ProbeError::Unsupported { what: "a connection that stays open" }.into()),
        Exchange::Forged { source, to, port, protocol } => {
            let (IpAddr::V4(source), IpAddr::V4(to)) = (*source, *to) else {
                return Err(ProbeError::Unsupported { what: "a forged source over IPv6" }.into());
            };
            log.stage = Stage::Talk;
            let talk = forged::exchange(client, (source, SocketAddrV4::new(to, *port)), *protocol, log);
            within(client.limits.answer, Outcome::Timeout, talk).await
        }
    }
}

/// The target's address; from here on the client talks to it.
async fn find(client: &Client<'_>, to: &Target, log: &mut Log<'_>) -> Result<IpAddr, Stop> {
    let address = match to {
        Target::Address(address) => *address,
        Target::Name(name) => {
            // As getaddrinfo(3) with AI_ADDRCONFIG: no IPv6 address, no question for one.
            let ipv6 = client.addresses.iter().any(IpAddr::is_ipv6);
            let records: &[Record] = if ipv6 { &[Record::A, Record::Aaaa] } else { &[Record::A] };
            resolver::lookup(client, name, records, log).await?;
            let found = destination::first(&log.addresses, &client.addresses);
            found.ok_or(Stop::Saw(Outcome::NxDomain))?
        }
    };
    log.stage = Stage::Talk;
    Ok(address)
}

/// The result of `talk`, or `silence` when it takes longer than `limit`.
async fn within<T>(
    limit: Duration,
    silence: Outcome,
    talk: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    tokio::time::timeout(limit, talk).await.unwrap_or(Err(Stop::Saw(silence)))
}

/// The outcome of an answer from `peer`.
fn judge_peer(peer: &str, expected: Option<&str>) -> Outcome {
    match expected {
        Some(expected) if expected != peer => Outcome::WrongPeer(peer.to_owned()),
        Some(_) | None => Outcome::Ok,
    }
}

// === impl Client ===

impl Client<'_> {
    /// The address and port 0 to send from to `remote`; a client that has none of that family cannot get there.
    fn source(&self, remote: IpAddr) -> Result<SocketAddr, Stop> {
        let any = match remote {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        if self.addresses.is_empty() {
            return Ok(SocketAddr::new(any, 0));
        }
        let own = self.addresses.iter().find(|address| address.is_ipv4() == remote.is_ipv4());
        own.map(|address| SocketAddr::new(*address, 0)).ok_or(Stop::Saw(Outcome::Unreachable))
    }
}

/// Why a client stopped early.
enum Stop {
    /// It saw how the probe ends.
    Saw(Outcome),
    /// It could not run.
    Failed(ProbeError),
}

impl Stop {
    /// Sorts an error of the kernel into what the client saw and what kept it from running.
    fn from_io(action: &'static str, address: SocketAddr, source: io::Error) -> Self {
        match outcome_of(&source) {
            Some(outcome) => Self::Saw(outcome),
            None => Self::Failed(ProbeError::Socket { action, address, source }),
        }
    }
}

impl From<ProbeError> for Stop {
    fn from(error: ProbeError) -> Self {
        Self::Failed(error)
    }
}

/// What has happened so far; outlives a client that is given up.
struct Log<'a> {
    started: &'a mut dyn FnMut(&Attempt),
    stage: Stage,
    addresses: Vec<IpAddr>,
    attempts: Vec<Attempt>,
}

impl Log<'_> {
    /// Tells the caller of an attempt whose first packet leaves next.
    fn start(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) {
        let attempt = Attempt { protocol, local, remote, stage: self.stage };
        (self.started)(&attempt);
        self.attempts.push(attempt);
    }
}
