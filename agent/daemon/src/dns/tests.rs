//! The proxy between real sockets on loopback: who sees what, in which order.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::A;
use rstest::rstest;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::upstream::{read_frame, write_frame};
use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// An address of this process' own on a port that nothing else here has.
fn mk_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let ip = IpAddr::V4(Ipv4Addr::new(127, 78, high, low));
    SocketAddr::new(ip, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Lets every name through but those under `forbidden.`, and records what it is told.
#[derive(Default)]
struct Recorder {
    told: Mutex<Vec<String>>,
}

impl Recorder {
    fn tell(&self, what: String) {
        self.told.lock().expect("not poisoned").push(what);
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().expect("not poisoned").clone()
    }
}

impl DnsPolicy for Recorder {
    fn judge(&self, query: &Query) -> bool {
        !query.name.ends_with("forbidden.")
    }

    fn answered(&self, query: &Query, answer: &DnsAnswer) {
        let Query { protocol, name, qtype, .. } = query;
        let DnsAnswer { rcode, addresses, ttl, .. } = answer;
        self.tell(format!("{protocol} {name} {qtype}: {rcode} {addresses:?} {ttl}"));
    }

    fn refused(&self, query: &Query) {
        self.tell(format!("refused {}", query.name));
    }
}

fn mk_query(id: u16, name: &str) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    let mut builder = builder.question();
    builder.push((name.parse::<Name<Vec<u8>>>().expect("a name"), Rtype::A)).expect("room");
    builder.finish()
}

/// The server's answer: an address, but NXDOMAIN under `nowhere.`, nothing under `silent.`, and something about
/// another name under `nonsense.`.
fn mk_answer(query: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_slice(query).expect("a message");
    let name = message.sole_question().expect("a question").into_qname();
    let rcode = match name.last_label().as_str() {
        "nowhere" => Rcode::NXDOMAIN,
        "silent" => return None,
        "nonsense" => return mk_answer(&mk_query(message.header().id(), "else.test")),
        _ => Rcode::NOERROR,
    };
    let mut builder = MessageBuilder::new_vec().start_answer(message, rcode).expect("room");
    if rcode == Rcode::NOERROR {
        builder.push((name, 30, A::new(ADDRESS))).expect("room");
    }
    Some(builder.finish())
}

trait LastLabel {
    fn last_label(&self) -> String;
}

impl<N: std::fmt::Display> LastLabel for N {
    fn last_label(&self) -> String {
        self.to_string().rsplit('.').next().unwrap_or_default().to_owned()
    }
}

/// A running proxy in front of a running server.
struct Setup {
    proxy: SocketAddr,
    policy: Arc<Recorder>,
    /// Queries that reached the server.
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Setup {
    async fn start() -> Self {
        let (address, server) = (mk_address(), mk_address());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let udp = UdpSocket::bind(server).await.expect("bind");
        let tcp = TcpListener::bind(server).await.expect("listen");
        tokio::spawn(serve_udp(udp, Arc::clone(&asked)));
        tokio::spawn(serve_tcp(tcp, Arc::clone(&asked)));
        let proxy = DnsProxy::forwarding(address, server).expect("bind");
        assert_eq!(proxy.port(), address.port());
        let policy = Arc::new(Recorder::default());
        let told: Arc<dyn DnsPolicy> = Arc::<Recorder>::clone(&policy);
        tokio::spawn(proxy.run(told));
        Self { proxy: address, policy, asked }
    }

    async fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind(SocketAddr::new(self.proxy.ip(), 0)).await.expect("bind");
        client.connect(self.proxy).await.expect("connect");
        client
    }

    /// One query over UDP or TCP, and its answer.
    async fn ask(&self, protocol: Protocol, query: &[u8]) -> Vec<u8> {
        let mut answer = vec![0; 512];
        if protocol == Protocol::Tcp {
            let mut stream = TcpStream::connect(self.proxy).await.expect("connect");
            write_frame(&mut stream, query).await.expect("send");
            read_frame(&mut stream, &mut answer).await.expect("an answer");
        } else {
            let client = self.client().await;
            client.send(query).await.expect("send");
            let length = client.recv(&mut answer).await.expect("an answer");
            answer.truncate(length);
        }
        answer
    }
}

async fn serve_udp(socket: UdpSocket, asked: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut buffer = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.expect("receive");
        asked.lock().expect("not poisoned").push(buffer[..length].to_vec());
        if let Some(answer) = mk_answer(&buffer[..length]) {
            // What is not the answer must not pass for it.
            socket.send_to(b"garbage that is no answer", client).await.expect("send");
            socket.send_to(&answer, client).await.expect("send");
        }
    }
}

async fn serve_tcp(listener: TcpListener, asked: Arc<Mutex<Vec<Vec<u8>>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut query = Vec::new();
        read_frame(&mut stream, &mut query).await.expect("a query");
        asked.lock().expect("not poisoned").push(query.clone());
        if let Some(answer) = mk_answer(&query) {
            write_frame(&mut stream, &answer).await.expect("send");
        }
    }
}

fn rcode(answer: &[u8]) -> Rcode {
    Message::from_slice(answer).expect("a message").header().rcode()
}

#[rstest]
#[case(Protocol::Udp)]
#[case(Protocol::Tcp)]
#[tokio::test]
async fn an_allowed_query_passes_byte_for_byte(#[case] protocol: Protocol) {
    let setup = Setup::start().await;
    let query = mk_query(7, "API.test");
    let answer = setup.ask(protocol, &query).await;
    assert_eq!(setup.asked.lock().expect("not poisoned").as_slice(), std::slice::from_ref(&query));
    assert_eq!(Some(answer), mk_answer(&query));
    assert_eq!(
        setup.policy.told(),
        [format!("{protocol} api.test. A: 0 [{ADDRESS}] 30")],
        "before the answer"
    );
}

#[rstest]
#[case(Protocol::Udp)]
#[case(Protocol::Tcp)]
#[tokio::test]
async fn a_refused_query_never_reaches_the_server(#[case] protocol: Protocol) {
    let setup = Setup::start().await;
    let answer = setup.ask(protocol, &mk_query(7, "x.forbidden")).await;
    assert_eq!(rcode(&answer), Rcode::REFUSED);
    assert_eq!(setup.policy.told(), ["refused x.forbidden."]);
    assert!(setup.asked.lock().expect("not poisoned").is_empty());
}

#[rstest]
#[case(Protocol::Udp)]
#[case(Protocol::Tcp)]
#[tokio::test]
async fn errors_of_the_server_pass_and_teach_nothing(#[case] protocol: Protocol) {
    let setup = Setup::start().await;
    assert_eq!(rcode(&setup.ask(protocol, &mk_query(7, "x.nowhere")).await), Rcode::NXDOMAIN);
    assert_eq!(setup.policy.told(), [format!("{protocol} x.nowhere. A: 3 [] 0")]);
}

#[rstest]
#[case(Protocol::Udp)]
#[case(Protocol::Tcp)]
#[tokio::test]
async fn what_cannot_be_read_is_servfail(#[case] protocol: Protocol) {
    let setup = Setup::start().await;
    let query = mk_query(7, "api.test");
    let answer = setup.ask(protocol, &query[..query.len() - 1]).await;
    assert_eq!((rcode(&answer), &answer[..2]), (Rcode::SERVFAIL, &[0, 7][..]));
    assert!(setup.policy.told().is_empty());
}

#[tokio::test]
async fn an_answer_to_something_else_is_servfail_over_tcp() {
    let setup = Setup::start().await;
    assert_eq!(rcode(&setup.ask(Protocol::Tcp, &mk_query(7, "x.nonsense")).await), Rcode::SERVFAIL);
    assert!(setup.policy.told().is_empty());
}

#[rstest]
#[case(Protocol::Udp)]
#[case(Protocol::Tcp)]
#[tokio::test]
async fn a_server_that_is_not_there_is_servfail(#[case] protocol: Protocol) {
    let (address, nobody) = (mk_address(), mk_address());
    let policy = Arc::new(Recorder::default());
    let told: Arc<dyn DnsPolicy> = Arc::<Recorder>::clone(&policy);
    tokio::spawn(DnsProxy::forwarding(address, nobody).expect("bind").run(told));
    let setup = Setup { proxy: address, policy, asked: Arc::default() };
    assert_eq!(rcode(&setup.ask(protocol, &mk_query(7, "api.test")).await), Rcode::SERVFAIL);
}

#[tokio::test]
async fn a_silent_server_holds_nobody_else_up() {
    let setup = Setup::start().await;
    let client = setup.client().await;
    client.send(&mk_query(1, "x.silent")).await.expect("send");
    client.send(&mk_query(2, "api.test")).await.expect("send");
    let mut answer = [0; 512];
    let length = client.recv(&mut answer).await.expect("an answer");
    assert_eq!(Some(answer[..length].to_vec()), mk_answer(&mk_query(2, "api.test")));
}

#[tokio::test]
async fn answers_are_not_answered() {
    let setup = Setup::start().await;
    let client = setup.client().await;
    client.send(&mk_answer(&mk_query(1, "api.test")).expect("an answer")).await.expect("send");
    client.send(b"short").await.expect("send");
    client.send(&mk_query(2, "api.test")).await.expect("send");
    let mut answer = [0; 512];
    client.recv(&mut answer).await.expect("an answer");
    assert_eq!(answer[..2], [0, 2], "the first answer is the query's");
}

#[tokio::test]
async fn one_connection_carries_several_queries() {
    let setup = Setup::start().await;
    let mut stream = TcpStream::connect(setup.proxy).await.expect("connect");
    let queries = [mk_query(1, "api.test"), mk_query(2, "x.forbidden"), mk_query(3, "x.nowhere")];
    for query in &queries {
        write_frame(&mut stream, query).await.expect("send");
    }
    let mut codes = Vec::new();
    for _ in &queries {
        let mut answer = Vec::new();
        read_frame(&mut stream, &mut answer).await.expect("an answer");
        codes.push((answer[1], rcode(&answer)));
    }
    assert_eq!(codes, [(1, Rcode::NOERROR), (2, Rcode::REFUSED), (3, Rcode::NXDOMAIN)]);
}
