//! Connections that stay open: what their clients say, hear and see of their end.

use std::net::SocketAddr;

use egret_probe::{Kept, keep};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// One exchange that is not given up.
async fn exchange(kept: &mut Kept, open: Option<(u16, &str)>) -> Report {
    let open = open.map(|(port, peer)| (SocketAddr::new(server(), port), Some(peer)));
    keep(&mk_client(None), kept, open, &mut |_| (), pending()).await.expect("the client runs")
}

#[tokio::test]
async fn a_connection_is_open_until_its_server_ends() {
    let port = free_port();
    let running = start(port, Protocol::Tcp, "default/web");
    let mut kept = Kept::default();
    let opened = exchange(&mut kept, Some((port, "default/web"))).await;
    assert_eq!(opened.outcome, Outcome::Open);
    let later = exchange(&mut kept, None).await;
    assert_eq!(later, opened, "the same connection");
    // Other clients go on beside it.
    let other = probe(&mk_client(None), &tcp(Target::Address(server()), port, "default/web")).await;
    assert_eq!(other.outcome, Outcome::Ok);
    running.stop().await;
    for _ in 0..2 {
        assert_eq!(exchange(&mut kept, None).await.outcome, Outcome::Closed);
    }
}

#[tokio::test]
async fn a_connection_that_does_not_open_keeps_the_outcome() {
    let port = free_port();
    let mut kept = Kept::default();
    assert_eq!(exchange(&mut kept, Some((port, "default/web"))).await.outcome, Outcome::Reset);
    let running = start(port, Protocol::Tcp, "default/other");
    assert_eq!(exchange(&mut kept, None).await.outcome, Outcome::Reset);
    let wrong = exchange(&mut kept, Some((port, "default/web"))).await.outcome;
    assert_eq!(wrong, Outcome::WrongPeer("default/other".into()));
    running.stop().await;
}

#[tokio::test]
async fn a_silence_stalls_until_the_answer_comes() {
    let port = free_port();
    let listener = TcpListener::bind((server(), port)).await.expect("listens");
    let client = async {
        let mut kept = Kept::default();
        let open = (SocketAddr::new(server(), port), Some("default/slow"));
        let opened =
            keep(&mk_client(None), &mut kept, Some(open), &mut |_| (), pending()).await.expect("runs");
        let given_up = keep(&mk_client(None), &mut kept, None, &mut |_| (), ready(())).await.expect("runs");
        let later = exchange(&mut kept, None).await;
        let last = exchange(&mut kept, None).await;
        [opened, given_up, later, last].map(|report| report.outcome)
    };
    let peer = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let head = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: egret-echo\r\n\
                     x-egret-peer: default/slow\r\n\r\negret 1\n";
        stream.write_all(head).await.expect("sent");
        hears(&mut stream, b"egret 3\n").await;
        // What was said before comes first, and is not what is waited for.
        stream.write_all(b"egret 2\negret 3\n").await.expect("sent");
        hears(&mut stream, b"egret 4\n").await;
        stream.set_zero_linger().expect("set");
    };
    let (outcomes, ()) = tokio::join!(client, peer);
    assert_eq!(outcomes, [Outcome::Open, Outcome::Stalled, Outcome::Open, Outcome::Reset]);
}

async fn hears(stream: &mut TcpStream, line: &[u8]) {
    let mut heard = Vec::new();
    while !heard.ends_with(line) {
        stream.read_buf(&mut heard).await.expect("heard");
    }
}
