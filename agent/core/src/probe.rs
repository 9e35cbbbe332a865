//! One attempt of one client: what is asked, and what was predicted or observed.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use egret_shared::DropReason;
use serde::{Deserialize, Serialize};

use crate::{Author, ObjectName, Protocol};

/// Who asks whom for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The client.
    pub from: Source,
    /// What it does.
    pub request: Request,
}

/// Where a probe's client runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// In a pod.
    Pod(ObjectName),
    /// In a node's own network.
    Node(String),
    /// On a host of the Internet.
    Address(IpAddr),
}

/// What the client does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Connect to `to` and ask for the server's identity: an HTTP request on TCP, one datagram on UDP.
    Connect {
        /// Whom.
        to: Peer,
        /// Port.
        port: Port,
        /// TCP, UDP or SCTP.
        protocol: Protocol,
        /// The request sent over TCP.
        http: Http,
    },
    /// One echo request.
    Ping {
        /// Whom.
        to: Peer,
    },
    /// One query through the client's resolver, search list included.
    Dns {
        /// Name as written, with or without trailing dot.
        name: String,
        /// A, AAAA.
        record: Record,
    },
    /// Say a line, and hear it again, over a TCP connection that stays open from step to step.
    Keep {
        /// Name of the connection, by which it is known.
        connection: String,
        /// Where to open it first; `None`: it was opened before.
        open: Option<Opening>,
    },
    /// Send the first packet of a connection, or one datagram, from an address that is not the client's own.
    Forge {
        /// The packet's source.
        source: IpAddr,
        /// Whom.
        to: Peer,
        /// Port.
        port: Port,
        /// TCP or UDP.
        protocol: Protocol,
    },
}

/// Where a connection is opened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Whom.
    pub to: Peer,
    /// Port.
    pub port: Port,
}

/// Whom a probe addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// A pod's own address.
    Pod(ObjectName),
    /// A service's cluster address.
    Service(ObjectName),
    /// A node's address.
    Node(String),
    /// An address.
    Address(IpAddr),
    /// A name that the client resolves first, as written.
    Name(String),
}

/// A port by number or by the pod's or service's name for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Port {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

/// The HTTP request that a TCP probe sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers beside `host`.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: String,
    /// Speak TLS first.
    pub tls: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            headers: BTreeMap::new(),
            body: String::new(),
            tls: false,
        }
    }
}

/// DNS record types that a probe can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Record {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// What the client saw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// The peer answered with its own identity (an HTTP 200 over TCP); for DNS, addresses came back.
    Ok,
    /// An HTTP status other than 200.
    Http(u16),
    /// Connected or sent, and nothing came back.
    Timeout,
    /// The peer refused the connection.
    Refused,
    /// The connection was reset.
    Reset,
    /// The network said that there is no way.
    Unreachable,
    /// No answer from the DNS server.
    DnsTimeout,
    /// The DNS answer was `REFUSED`.
    DnsRefused,
    /// The DNS answer was `NXDOMAIN`, or held no address.
    NxDomain,
    /// The DNS answer was `SERVFAIL`.
    ServFail,
    /// The TLS handshake ended with an alert.
    TlsAlert,
    /// Somebody else answered: the identity that came back.
    WrongPeer(String),
    /// A kept connection: what was said came back. Its other states are these two and [`Outcome::Reset`].
    Open,
    /// A kept connection: nothing came back, and it did not end.
    Stalled,
    /// A kept connection: its server has closed it.
    Closed,
}

impl Outcome {
    /// The states of a kept connection.
    pub const STATES: [Self; 4] = [Self::Open, Self::Stalled, Self::Reset, Self::Closed];

    /// The peer was not reached, as a silent drop looks to the client.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        matches!(self, Self::Timeout | Self::DnsTimeout)
    }

    /// Reads the word that case files and reports use; `wrong peer` cannot be expected, and the states of kept
    /// connections have a reader of their own.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ok" => Self::Ok,
            "timeout" => Self::Timeout,
            "refused" => Self::Refused,
            "reset" => Self::Reset,
            "unreachable" => Self::Unreachable,
            "dns timeout" => Self::DnsTimeout,
            "dns refused" => Self::DnsRefused,
            "nxdomain" => Self::NxDomain,
            "servfail" => Self::ServFail,
            "tls alert" => Self::TlsAlert,
            _ => Self::Http(
                text.strip_prefix("http ")?.parse().ok().filter(|code| (100..=599).contains(code))?,
            ),
        })
    }

    /// Reads the word for a state of a kept connection.
    #[must_use]
    pub fn parse_state(text: &str) -> Option<Self> {
        Some(match text {
            "open" => Self::Open,
            "stalled" => Self::Stalled,
            "reset" => Self::Reset,
            "closed" => Self::Closed,
            _ => return None,
        })
    }

    /// Whether a kept connection is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !matches!(self, Self::Open | Self::Stalled)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Http(code) => return write!(f, "http {code}"),
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::DnsTimeout => "dns timeout",
            Self::DnsRefused => "dns refused",
            Self::NxDomain => "nxdomain",
            Self::ServFail => "servfail",
            Self::TlsAlert => "tls alert",
            Self::WrongPeer(peer) => return write!(f, "answer from {peer}"),
            Self::Open => "open",
            Self::Stalled => "stalled",
            Self::Closed => "closed",
        })
    }
}

/// What the datapath said about one direction of a probe's last connection or query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: JudgedAs,
    /// Why it was dropped.
    pub reason: Option<DropReason>,
    /// Who decided; `None` where no policy is in force.
    pub by: Option<Author>,
}

/// The words that a case uses for a direction's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JudgedAs {
    /// A policy is in force and let it pass.
    Forwarded,
    /// It went to a proxy.
    Redirected,
    /// It ended here.
    Dropped,
    /// It would have been dropped.
    Audited,
    /// No policy is in force.
    None,
}

impl JudgedAs {
    /// The word in case files and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Redirected => "redirected",
            Self::Dropped => "dropped",
            Self::Audited => "audited",
            Self::None => "none",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Forwarded, Self::Redirected, Self::Dropped, Self::Audited, Self::None]
            .into_iter()
            .find(|verdict| verdict.word() == text)
    }
}

/// A probe's result: predicted by the model, or observed on a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What the client saw.
    pub client: Outcome,
    /// Egress of the client's endpoint; `None` when the client has no endpoint, or the subject cannot tell.
    pub egress: Option<Judgement>,
    /// Ingress of the server's endpoint; `None` when it was not reached, has no endpoint, or is not observable.
    pub ingress: Option<Judgement>,
    /// Addresses in the last DNS answer, in its order.
    pub addresses: Vec<IpAddr>,
}
