//! The DNS messages that clients and servers exchange, composed and read through the `domain` crate.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{PushError, StaticCompressor};
use domain::base::name::FromStrError;
use domain::base::{Message, MessageBuilder, Name, ToName};
use domain::rdata::{A, Aaaa, AllRecordData, Cname};
use egret_core::probe::Record as RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest answer over UDP to a client that names no other size (RFC 1035 section 4.2.1).
const PLAIN_UDP_SIZE: usize = 512;

/// UDP size that our own servers offer and ask for; fits every link without fragments.
pub(crate) const UDP_SIZE: u16 = 1232;

/// A DNS name with its own bytes; compares without regard to case.
pub type DnsName = Name<Vec<u8>>;

/// Reads a name; a trailing dot changes nothing.
///
/// # Errors
/// It is no name.
pub fn parse_name(text: &str) -> Result<DnsName, FromStrError> {
    Name::vec_from_str(text)
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Name asked for.
    pub name: DnsName,
    /// Type asked for.
    pub rtype: Rtype,
}

/// An answer as far as this crate reads or gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its code.
    pub rcode: Rcode,
    /// More stands in the answer over TCP.
    pub truncated: bool,
    /// What it holds, in its order.
    pub records: Vec<Record>,
}

/// One record of the answer section.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Whose record it is.
    pub owner: DnsName,
    /// Seconds for which it holds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// The record types that clients and servers know.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// An address of either family.
    Address(IpAddr),
    /// Another name for the same thing.
    Cname(DnsName),
}

impl Answer {
    /// An answer that holds nothing but its code.
    #[must_use]
    pub const fn empty(rcode: Rcode) -> Self {
        Self { rcode, truncated: false, records: Vec::new() }
    }

    /// The addresses in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.records.iter().filter_map(|record| match record.data {
            Data::Address(address) => Some(address),
            Data::Cname(_) => None,
        })
    }
}

/// The type that asks for this record.
pub(crate) const fn rtype_of(record: RecordType) -> Rtype {
    match record {
        RecordType::A => Rtype::A,
        RecordType::Aaaa => Rtype::AAAA,
    }
}

/// A message number that nobody can foresee.
pub(crate) fn random_id() -> u16 {
    // `RandomState` is seeded by the operating system.
    RandomState::new().build_hasher().finish() as u16
}

/// A query with recursion desired; with `udp_size` it takes UDP answers up to that size.
///
/// # Errors
/// It is longer than a message may be.
pub fn query(id: u16, question: &Question, udp_size: Option<u16>) -> Result<Vec<u8>, PushError> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((&question.name, question.rtype))?;
    let mut builder = builder.additional();
    if let Some(size) = udp_size {
        builder.opt(|opt| {
            opt.set_udp_payload_size(size);
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

/// Reads the answer to `question`; `None` for anything else, which a client has to ignore (RFC 5452 section 9.1).
#[must_use]
pub fn read_answer(id: u16, question: &Question, bytes: &[u8]) -> Option<Answer> {
    let message = Message::from_slice(bytes).ok()?;
    let header = message.header();
    if header.id() != id || !header.qr() || header.opcode() != Opcode::QUERY {
        return None;
    }
    let asked = message.sole_question().ok()?;
    if *asked.qname() != question.name || asked.qtype() != question.rtype || asked.qclass() != Class::IN {
        return None;
    }
    let mut records = Vec::new();
    for record in message.answer().ok()?.limit_to_in::<AllRecordData<_, _>>() {
        let record = record.ok()?;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other record type is of no use to a client"
        )]
        let data = match record.data() {
            AllRecordData::A(a) => Data::Address(IpAddr::V4(a.addr())),
            AllRecordData::Aaaa(aaaa) => Data::Address(IpAddr::V6(aaaa.addr())),
            AllRecordData::Cname(cname) => Data::Cname(cname.cname().to_vec()),
            _ => continue,
        };
        records.push(Record { owner: record.owner().to_vec(), ttl: record.ttl().as_secs(), data });
    }
    Some(Answer { rcode: header.rcode(), truncated: header.tc(), records })
}

/// The question of a query; otherwise the code with which a server refuses the message.
///
/// # Errors
/// FORMERR for a message without exactly one question, NOTIMP for other operations than a query.
pub fn read_question(message: &Message<[u8]>) -> Result<Question, Rcode> {
    if message.header().opcode() != Opcode::QUERY {
        return Err(Rcode::NOTIMP);
    }
    let question = message.sole_question().map_err(|_| Rcode::FORMERR)?;
    if question.qclass() != Class::IN {
        return Err(Rcode::REFUSED);
    }
    Ok(Question { name: question.qname().to_vec(), rtype: question.qtype() })
}

/// How an answer travels, which limits its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram, as long as the client takes.
    Udp,
    /// A stream, in which a message has 64 KiB.
    Tcp,
}

/// The answer to a query as bytes; without records and marked truncated when it is too long for the transport.
#[must_use]
pub fn answer(query: &Message<[u8]>, answer: &Answer, transport: Transport) -> Vec<u8> {
    let opt = query.opt();
    let limit = match transport {
        Transport::Tcp => usize::from(u16::MAX),
        Transport::Udp => {
            opt.as_ref().map_or(PLAIN_UDP_SIZE, |opt| usize::from(opt.udp_payload_size()).max(PLAIN_UDP_SIZE))
        }
    };
    let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new()))
        .unwrap_or_else(|never: std::convert::Infallible| match never {});
    builder.set_push_limit(limit);
    builder.header_mut().set_ra(true);
    let mut builder = builder.start_error(query, answer.rcode);
    builder.header_mut().set_tc(answer.truncated);
    let whole = answer.records.iter().try_for_each(|record| {
        let owner = &record.owner;
        match &record.data {
            Data::Address(IpAddr::V4(address)) => builder.push((owner, record.ttl, A::new(*address))),
            Data::Address(IpAddr::V6(address)) => builder.push((owner, record.ttl, Aaaa::new(*address))),
            Data::Cname(name) => builder.push((owner, record.ttl, Cname::new(name))),
        }
    });
    if whole.is_err() {
        builder = builder.tc_rewind_into();
    }
    let mut builder = builder.additional();
    if opt.is_some() {
        // There is room: an answer that filled the message was taken out again, or leaves without this offer.
        let _: Result<(), PushError> = builder.opt(|opt| {
            opt.set_udp_payload_size(UDP_SIZE);
            Ok(())
        });
    }
    builder.finish().into_target()
}

/// Reads one message from a stream into `buffer` (RFC 1035 section 4.2.2).
pub(crate) async fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    buffer.resize(usize::from(length), 0);
    stream.read_exact(buffer).await?;
    Ok(())
}

/// Writes one message to a stream.
pub(crate) async fn write_frame(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // One write, so that length and message leave in one segment.
    let mut frame = Vec::with_capacity(message.len().saturating_add(2));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    stream.write_all(&frame).await
}
