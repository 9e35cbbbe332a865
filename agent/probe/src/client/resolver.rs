//! Resolves names as glibc does: search list, two tries, TCP for what UDP cannot carry.
//!
//! The steps of [`lookup`] are the ones that the model predicts by.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use domain::base::iana::Rcode;
use egret_core::Protocol;
use egret_core::probe::{Outcome, Record};
use serde::{Deserialize, Serialize};

use super::{Client, Log, Stop, datagram, http, within};
use crate::ProbeError;
use crate::message::{self, Answer, DnsName, Question};

/// Tries for each query (resolv.conf(5), `attempts`).
const TRIES: usize = 2;

/// A client's resolver settings, as in a pod's `/etc/resolv.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// The DNS server.
    pub server: SocketAddr,
    /// Domains that are tried behind a name, in order.
    pub search: Vec<String>,
    /// A name with at least this many dots is tried as it is first.
    pub ndots: usize,
}

impl Resolver {
    /// The same settings as a resolv.conf(5) file, which cannot say another port than 53.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        let mut text = format!("nameserver {}\n", self.server.ip());
        if !self.search.is_empty() {
            // Writing to a string does not fail.
            let _: std::fmt::Result = writeln!(text, "search {}", self.search.join(" "));
        }
        let _: std::fmt::Result = writeln!(text, "options ndots:{}", self.ndots);
        text
    }

    /// The names to ask for in order, and which of them is the name as written.
    fn candidates(&self, name: &str) -> Result<Candidates, ProbeError> {
        let as_written = message::parse_name(name)
            .map_err(|error| ProbeError::InvalidName { name: name.to_owned(), problem: error.to_string() })?;
        if name.ends_with('.') {
            return Ok(Candidates { names: vec![as_written], as_written: 0 });
        }
        // A name that grows too long with a domain is not asked for, as in glibc.
        let mut names: Vec<DnsName> = self
            .search
            .iter()
            .filter_map(|domain| message::parse_name(&format!("{name}.{domain}")).ok())
            .collect();
        let first = name.bytes().filter(|byte| *byte == b'.').count() >= self.ndots;
        let as_written_at = if first { 0 } else { names.len() };
        names.insert(as_written_at, as_written);
        Ok(Candidates { names, as_written: as_written_at })
    }
}

/// The names that one lookup may ask for.
struct Candidates {
    names: Vec<DnsName>,
    as_written: usize,
}

/// Looks a name up; the answer's addresses go to the log, where there is one at least in the end.
///
/// 1. The candidates are asked in order. Addresses end the search; NXDOMAIN and answers without address go on.
/// 2. REFUSED, SERVFAIL and other errors end the search list: only the name as written is asked after them.
/// 3. Silence ends the lookup.
/// 4. Without addresses, the last answer's code is the outcome.
pub(super) async fn lookup(
    client: &Client<'_>,
    name: &str,
    records: &[Record],
    log: &mut Log<'_>,
) -> Result<(), Stop> {
    let Some(resolver) = &client.resolver else {
        return Err(ProbeError::NoResolver { name: name.to_owned() }.into());
    };
    let candidates = resolver.candidates(name)?;
    let mut outcome = Outcome::NxDomain;
    let mut list_ended = false;
    for (index, candidate) in candidates.names.iter().enumerate() {
        if list_ended && index != candidates.as_written {
            continue;
        }
        let rcode = ask_all(client, resolver, candidate, records, log).await?;
        if !log.addresses.is_empty() {
            return Ok(());
        }
        outcome = match rcode {
            Rcode::NOERROR | Rcode::NXDOMAIN => Outcome::NxDomain,
            Rcode::REFUSED => Outcome::DnsRefused,
            _ => Outcome::ServFail,
        };
        list_ended |= outcome != Outcome::NxDomain;
    }
    Err(Stop::Saw(outcome))
}

/// Asks for each record type in turn; addresses go to the log.
async fn ask_all(
    client: &Client<'_>,
    resolver: &Resolver,
    name: &DnsName,
    records: &[Record],
    log: &mut Log<'_>,
) -> Result<Rcode, Stop> {
    let mut rcode = Rcode::NOERROR;
    log.addresses.clear();
    for record in records {
        let question = Question { name: name.clone(), rtype: message::rtype_of(*record) };
        let answer = ask(client, resolver.server, &question, log).await?;
        rcode = answer.rcode;
        if rcode != Rcode::NOERROR {
            break;
        }
        log.addresses.extend(answer.addresses());
    }
    Ok(rcode)
}

/// Asks one question: over UDP with a second try, then over TCP when the answer was truncated.
async fn ask(
    client: &Client<'_>,
    server: SocketAddr,
    question: &Question,
    log: &mut Log<'_>,
) -> Result<Answer, Stop> {
    let id = message::random_id();
    let query = message::query(id, question, None).map_err(|error| ProbeError::InvalidName {
        name: question.name.to_string(),
        problem: error.to_string(),
    })?;
    let answer = ask_udp(client, server, id, question, &query, log).await?;
    if !answer.truncated {
        return Ok(answer);
    }
    let tcp = ask_tcp(client, server, id, question, &query, log);
    within(client.limits.resolve, Outcome::DnsTimeout, tcp).await
}

async fn ask_udp(
    client: &Client<'_>,
    server: SocketAddr,
    id: u16,
    question: &Question,
    query: &[u8],
    log: &mut Log<'_>,
) -> Result<Answer, Stop> {
    let (socket, local) = datagram::connect(client, server)?;
    log.start(Protocol::Udp, local, server);
    let mut buffer = [0; 4096];
    for _ in 0..TRIES {
        let talk = async {
            socket.send(query).await?;
            loop {
                let length = socket.recv(&mut buffer).await?;
                let bytes = buffer.get(..length).unwrap_or_default();
                if let Some(answer) = message::read_answer(id, question, bytes) {
                    return Ok(answer);
                }
            }
        };
        match tokio::time::timeout(client.limits.resolve, talk).await {
            Ok(answer) => return answer.map_err(|error| Stop::from_io("ask", server, error)),
            Err(_silence) => {}
        }
    }
    Err(Stop::Saw(Outcome::DnsTimeout))
}

async fn ask_tcp(
    client: &Client<'_>,
    server: SocketAddr,
    id: u16,
    question: &Question,
    query: &[u8],
    log: &mut Log<'_>,
) -> Result<Answer, Stop> {
    let mut stream = http::connect(client, server, log).await?;
    let talk = async {
        message::write_frame(&mut stream, query).await?;
        let mut buffer = Vec::new();
        message::read_frame(&mut stream, &mut buffer).await?;
        io::Result::Ok(message::read_answer(id, question, &buffer))
    };
    let answer = talk.await.map_err(|error| Stop::from_io("ask", server, error))?;
    // An answer to something else leaves the question without one.
    answer.ok_or(Stop::Saw(Outcome::ServFail))
}
