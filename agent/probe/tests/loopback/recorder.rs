//! A DNS server that records what it is asked and answers as told.

use std::sync::{Arc, Mutex};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder};
use domain::rdata::A;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

/// What the recorder does with a query over UDP.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// An answer without records.
    Code(Rcode),
    /// These addresses.
    Addresses(Vec<Ipv4Addr>),
    /// An answer to something else first, then these addresses.
    ForgedFirst(Vec<Ipv4Addr>),
    /// Nothing, the first time; these addresses, the second.
    SecondTime(Vec<Ipv4Addr>),
    /// Nothing.
    Silence,
    /// Marked as truncated; over TCP these addresses.
    Truncated(Vec<Ipv4Addr>),
}

/// The running server.
pub(super) struct Recorder {
    /// Where it answers.
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Starts it; `reply` is asked with the name, without trailing dot, and the type.
    pub(super) async fn start(reply: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let address = SocketAddr::new(server(), free_port());
        let udp = UdpSocket::bind(address).await.expect("bind");
        let tcp = TcpListener::bind(address).await.expect("listen");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(reply);
        tokio::spawn(answer_udp(udp, Arc::clone(&reply), Arc::clone(&asked)));
        tokio::spawn(answer_tcp(tcp, reply, Arc::clone(&asked)));
        Self { address, asked }
    }

    /// What was asked so far, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn question(query: &[u8]) -> (String, String) {
    let question = Message::from_slice(query).expect("a message").sole_question().expect("one question");
    (question.qname().to_string(), question.qtype().to_string())
}

fn mk_answer(query: &[u8], rcode: Rcode, truncated: bool, addresses: &[Ipv4Addr]) -> Vec<u8> {
    let query = Message::from_slice(query).expect("a message");
    let name = query.sole_question().expect("one question").into_qname();
    let mut answer = MessageBuilder::new_vec().start_answer(query, rcode).expect("room");
    answer.header_mut().set_tc(truncated);
    for address in addresses {
        answer.push((&name, 60, A::new(*address))).expect("room");
    }
    answer.finish()
}

async fn answer_udp(
    socket: UdpSocket,
    reply: Arc<impl Fn(&str, &str) -> Reply>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.expect("receive");
        let query = &buffer[..length];
        let (name, rtype) = question(query);
        let asking = format!("{name} {rtype}");
        let again = {
            let mut asked = asked.lock().expect("not poisoned");
            let again = asked.contains(&asking);
            asked.push(asking);
            again
        };
        let mut answers = Vec::new();
        match reply(&name, &rtype) {
            Reply::Code(rcode) => answers.push(mk_answer(query, rcode, false, &[])),
            Reply::Addresses(addresses) => answers.push(mk_answer(query, Rcode::NOERROR, false, &addresses)),
            Reply::ForgedFirst(addresses) => {
                let mut forged = mk_answer(query, Rcode::NXDOMAIN, false, &[]);
                forged[0] ^= 0xff;
                answers.push(forged);
                answers.push(b"garbage".to_vec());
                answers.push(mk_answer(query, Rcode::NOERROR, false, &addresses));
            }
            Reply::SecondTime(addresses) if again => {
                answers.push(mk_answer(query, Rcode::NOERROR, false, &addresses));
            }
            Reply::SecondTime(_) | Reply::Silence => {}
            Reply::Truncated(_) => answers.push(mk_answer(query, Rcode::NOERROR, true, &[])),
        }
        for answer in answers {
            socket.send_to(&answer, client).await.expect("send");
        }
    }
}

async fn answer_tcp(
    listener: TcpListener,
    reply: Arc<impl Fn(&str, &str) -> Reply>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut query = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut query).await.expect("a query");
        let (name, rtype) = question(&query);
        asked.lock().expect("not poisoned").push(format!("{name} {rtype} over TCP"));
        let Reply::Truncated(addresses) = reply(&name, &rtype) else { panic!("asked over TCP without need") };
        let answer = mk_answer(&query, Rcode::NOERROR, false, &addresses);
        stream.write_u16(u16::try_from(answer.len()).expect("short")).await.expect("send");
        stream.write_all(&answer).await.expect("send");
    }
}
