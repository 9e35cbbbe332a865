//! What the proxy reads in queries and answers, and the few messages that it writes itself.
//!
//! Everything it lets through goes on byte for byte.

use std::net::IpAddr;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, ParsedRecord, ToName, Ttl};
use domain::rdata::{A, Aaaa, Cname};
use egret_core::flow::DnsAnswer;

#[cfg(test)]
mod tests;

/// Largest UDP answer to a client that names no other size (RFC 1035 section 4.2.1).
const PLAIN_UDP_SIZE: u16 = 512;

/// What a query asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name, lower-case, with trailing dot; bytes that are no part of a host name are escaped.
    pub name: String,
    /// Record type as text, for example `A`.
    pub qtype: String,
    /// Size in bytes of the largest answer that the client takes over UDP.
    pub udp_size: u16,
}

/// Why a message is not taken as a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// It has no whole header, so there is nothing that could be answered.
    #[error("the message is shorter than a header")]
    Short,
    /// It is an answer. Answering it might never end.
    #[error("the message is an answer")]
    Response,
    /// It does not hold exactly one question that can be read.
    ///
    /// Cilium judges by the first of several questions. Servers answer none or only one of them, and an answer to
    /// the second would be learned under the first one's name, so several questions are refused here.
    #[error("the message does not hold exactly one question")]
    Question,
}

/// Reads the question of a query without copying the message.
///
/// # Errors
/// The message is not a query with one question.
pub fn question(bytes: &[u8]) -> Result<Question, InvalidQuery> {
    let message = Message::from_slice(bytes).map_err(|_| InvalidQuery::Short)?;
    if message.header().qr() {
        return Err(InvalidQuery::Response);
    }
    let question = message.sole_question().map_err(|_| InvalidQuery::Question)?;
    Ok(Question {
        name: text(question.qname()),
        qtype: question.qtype().to_string(),
        udp_size: message.opt().map_or(PLAIN_UDP_SIZE, |opt| opt.udp_payload_size().max(PLAIN_UDP_SIZE)),
    })
}

/// What an answer says, as far as names are learned from it.
///
/// All addresses of the answer section belong to the name that was asked for, whoever their owner is; the time to
/// live is the smallest of the addresses and canonical names (policy-semantics 4.5). Only an answer without error
/// has addresses.
///
/// Returns `None` when the bytes are not the answer to `query`: another number or question, or a broken message.
#[must_use]
pub fn answer(query: &[u8], bytes: &[u8]) -> Option<DnsAnswer> {
    let query = Message::from_slice(query).ok()?;
    let message = Message::from_slice(bytes).ok()?;
    if !message.is_answer(query) {
        return None;
    }
    let rcode = message.header().rcode();
    let mut answer = DnsAnswer { rcode: rcode.to_int(), addresses: Vec::new(), cnames: Vec::new(), ttl: 0 };
    if rcode != Rcode::NOERROR {
        return Some(answer);
    }
    let mut ttl: Option<Ttl> = None;
    for record in message.answer().ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN {
            continue;
        }
        match record.rtype() {
            Rtype::A => answer.addresses.push(IpAddr::V4(data::<A>(&record)?.addr())),
            Rtype::AAAA => answer.addresses.push(IpAddr::V6(data::<Aaaa>(&record)?.addr())),
            Rtype::CNAME => answer.cnames.push(text(data::<Cname<_>>(&record)?.cname())),
            _ => continue,
        }
        ttl = Some(ttl.map_or(record.ttl(), |least| least.min(record.ttl())));
    }
    answer.ttl = ttl.map_or(0, |ttl| ttl.as_secs());
    Some(answer)
}

/// An answer of the proxy's own: the query's number and question, a code, no records, not authoritative.
///
/// Returns `None` when the query has no header to answer to.
#[must_use]
pub fn refusal(query: &[u8], rcode: Rcode) -> Option<Vec<u8>> {
    let query = Message::from_slice(query).ok()?;
    Some(MessageBuilder::new_vec().start_error(query, rcode).finish())
}

/// A record's data, of a type that its type field names.
fn data<'a, D: domain::base::ParseRecordData<'a, [u8]>>(record: &ParsedRecord<'a, [u8]>) -> Option<D> {
    record.to_record::<D>().ok()?.map(domain::base::Record::into_data)
}

/// A name as policies write it.
fn text(name: &impl ToName) -> String {
    let mut text = name.fmt_with_dot().to_string();
    text.make_ascii_lowercase();
    text
}
