//! Every outcome of talking to a peer, reached for real.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use egret_probe::Stage;
use rstest::rstest;

use super::*;

#[tokio::test]
async fn the_expected_peer_answers() {
    let port = free_port();
    let _tcp = start(port, Protocol::Tcp, "default/web");
    let _udp = start(port, Protocol::Udp, "default/web");
    let client = mk_client(None);
    for exchange in [tcp, udp].map(|exchange| exchange(Target::Address(server()), port, "default/web")) {
        let report = probe(&client, &exchange).await;
        assert_eq!(report.outcome, Outcome::Ok);
        assert_eq!(report.attempts.len(), 1);
        assert_eq!(report.attempts[0].remote, SocketAddr::new(server(), port));
        assert_eq!(report.attempts[0].stage, Stage::Talk);
    }
}

#[tokio::test]
async fn somebody_else_answers() {
    let port = free_port();
    let _tcp = start(port, Protocol::Tcp, "default/other");
    let _udp = start(port, Protocol::Udp, "default/other");
    for exchange in [tcp, udp].map(|exchange| exchange(Target::Address(server()), port, "default/web")) {
        let report = probe(&mk_client(None), &exchange).await;
        assert_eq!(report.outcome, Outcome::WrongPeer("default/other".into()));
    }
}

#[tokio::test]
async fn nobody_listens() {
    let port = free_port();
    for exchange in [tcp, udp].map(|exchange| exchange(Target::Address(server()), port, "default/web")) {
        assert_eq!(probe(&mk_client(None), &exchange).await.outcome, Outcome::Refused);
    }
}

#[tokio::test]
async fn a_stopped_server_has_closed_its_port() {
    let port = free_port();
    let running = start(port, Protocol::Tcp, "default/web");
    let exchange = tcp(Target::Address(server()), port, "default/web");
    assert_eq!(probe(&mk_client(None), &exchange).await.outcome, Outcome::Ok);
    running.stop().await;
    assert_eq!(probe(&mk_client(None), &exchange).await.outcome, Outcome::Refused);
    let _again = start(port, Protocol::Tcp, "default/web");
    assert_eq!(probe(&mk_client(None), &exchange).await.outcome, Outcome::Ok);
}

/// A listener on a thread of its own, which treats its first connection as told.
fn listener(treat: impl FnOnce(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind(SocketAddr::new(server(), 0)).expect("bind");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || treat(listener.accept().expect("a connection").0));
    port
}

fn read_request(stream: &mut std::net::TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        request.extend(byte);
    }
}

#[rstest]
#[case::reset_before_the_request(false)]
#[case::reset_after_the_request(true)]
#[tokio::test]
async fn the_connection_is_reset(#[case] read_first: bool) {
    let port = listener(move |mut stream| {
        if read_first {
            read_request(&mut stream);
        }
        // Closing with a linger time of zero sends RST.
        Socket::from(stream).set_linger(Some(Duration::ZERO)).expect("linger");
    });
    let report = probe(&mk_client(None), &tcp(Target::Address(server()), port, "default/web")).await;
    assert_eq!(report.outcome, Outcome::Reset);
}

#[rstest]
#[case::closed_without_answer("", Outcome::Reset)]
#[case::forbidden("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", Outcome::Http(403))]
#[case::another_success("HTTP/1.1 204 No Content\r\n\r\n", Outcome::Http(204))]
#[case::without_identity("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Outcome::WrongPeer("a server without identity".into()))]
#[case::not_http("220 mail.example.com\r\n\r\n", Outcome::WrongPeer("a server that does not speak HTTP".into()))]
#[tokio::test]
async fn another_server_answers(#[case] answer: &'static str, #[case] expected: Outcome) {
    let port = listener(move |mut stream| {
        read_request(&mut stream);
        stream.write_all(answer.as_bytes()).expect("answer");
    });
    let report = probe(&mk_client(None), &tcp(Target::Address(server()), port, "default/web")).await;
    assert_eq!(report.outcome, expected);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    // A listener that never accepts: the kernel completes the handshake, and nothing answers.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    silent.bind(&SocketAddr::new(server(), 0).into()).expect("bind");
    silent.listen(1).expect("listen");
    let port = silent.local_addr().expect("address").as_socket().expect("inet").port();
    let deaf = std::net::UdpSocket::bind(SocketAddr::new(server(), port)).expect("bind");

    for exchange in [tcp, udp].map(|exchange| exchange(Target::Address(server()), port, "default/web")) {
        let mut client = mk_client(None);
        let report = probe_until(&client, &exchange, ready(())).await;
        assert_eq!(report.outcome, Outcome::Timeout, "given up");
        assert_eq!(report.attempts.len(), 1, "what was tried is known");
        client.limits.answer = Duration::from_millis(20);
        assert_eq!(probe(&client, &exchange).await.outcome, Outcome::Timeout, "waited out");
    }
    drop((silent, deaf));
}

#[tokio::test]
async fn a_client_that_left_does_not_disturb_the_next() {
    let port = free_port();
    let _server = start(port, Protocol::Udp, "default/web");
    for _ in 0..10 {
        let left = std::net::UdpSocket::bind(SocketAddr::new(CLIENT, 0)).expect("bind");
        left.send_to(b"hello", SocketAddr::new(server(), port)).expect("send");
        drop(left);
        let report = probe(&mk_client(None), &udp(Target::Address(server()), port, "default/web")).await;
        assert_eq!(report.outcome, Outcome::Ok);
    }
}

#[tokio::test]
async fn no_way_there() {
    // TCP to a broadcast address is refused by routing on every machine.
    let broadcast = Target::Address(IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255)));
    let report = probe(&mk_client(None), &tcp(broadcast, 80, "default/web")).await;
    assert_eq!(report.outcome, Outcome::Unreachable);

    let ipv6 = Target::Address("2001:db8::1".parse().expect("an address"));
    let report = probe(&mk_client(None), &udp(ipv6, 80, "default/web")).await;
    assert_eq!(report.outcome, Outcome::Unreachable, "a client without IPv6 address");
}

#[tokio::test]
async fn the_request_arrives_as_written() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let port = listener(move |mut stream| {
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).expect("a request");
        request.truncate(length);
        sender.send(String::from_utf8(request).expect("text")).expect("the test waits");
        stream.write_all(b"HTTP/1.1 200 OK\r\nx-egret-peer: default/web\r\n\r\n").expect("answer");
    });
    let http = Http {
        method: "POST".into(),
        path: "/items?n=1".into(),
        headers: [("x-token".to_owned(), "42".to_owned())].into(),
        body: "hello".into(),
        tls: false,
    };
    let exchange =
        Exchange::Tcp { to: Target::Address(server()), port, http, expect_peer: Some("default/web".into()) };
    assert_eq!(probe(&mk_client(None), &exchange).await.outcome, Outcome::Ok);
    let request = receiver.recv().expect("the listener sends it");
    assert_eq!(
        request,
        format!(
            "POST /items?n=1 HTTP/1.1\r\nhost: {}:{port}\r\nconnection: close\r\nx-token: 42\r\ncontent-length: 5\r\n\r\nhello",
            server()
        )
    );
}

#[tokio::test]
async fn an_echo_request_is_answered() {
    if let Err(error) = ThisNetwork.socket(Domain::IPV4, Type::RAW, Some(socket2::Protocol::ICMPV4)) {
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(std::env::var_os("CI").is_none(), "continuous integration runs this test as root");
        eprintln!("skipped: raw sockets need root");
        return;
    }
    let report = probe(&mk_client(None), &Exchange::Ping { to: Target::Address(server()) }).await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.attempts[0].protocol, Protocol::Icmp);
    assert_eq!(report.attempts[0].remote, SocketAddr::new(server(), 0));
}

/// A network that cannot make sockets.
struct Broken;

impl Network for Broken {
    fn socket(&self, _: Domain, _: Type, _: Option<socket2::Protocol>) -> std::io::Result<Socket> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

#[tokio::test]
async fn a_client_that_cannot_run_is_an_error() {
    let broken = Client { network: &Broken, addresses: vec![], resolver: None, limits: LONG };
    let to = Target::Address(server());
    for exchange in [
        tcp(to.clone(), 80, "default/web"),
        udp(to.clone(), 80, "default/web"),
        Exchange::Ping { to: to.clone() },
    ] {
        let error = run(&broken, &exchange, &mut |_| {}, pending()).await.expect_err("no socket");
        assert!(matches!(error, ProbeError::Socket { .. }), "{error}");
    }
    let error = run(&mk_client(None), &Exchange::Sctp { to, port: 80 }, &mut |_| {}, pending()).await;
    assert!(matches!(error, Err(ProbeError::Unsupported { what: "SCTP" })));
    let error = serve(
        &Broken,
        &[(server(), mk_serve(80, Protocol::Tcp, Application::Identity))],
        "x",
        &Zones::default(),
    );
    assert!(matches!(error, Err(ProbeError::Socket { action: "listen on", .. })));
}
