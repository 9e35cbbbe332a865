//! Clients and servers against each other, and clients against misbehaving peers, over the loopback interface.

use std::future::{Future, pending, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use egret_core::Protocol;
use egret_core::probe::{Http, Outcome};
use egret_core::world::{Application, Serve};
use egret_probe::{
    Attempt, Client, Exchange, Limits, Network, ProbeError, Report, Resolver, Server, Target, ThisNetwork,
    Zones, run, serve,
};
use socket2::{Domain, Socket, Type};

#[path = "loopback/cluster.rs"]
mod cluster;
#[path = "loopback/kept.rs"]
mod kept;
#[path = "loopback/outcome.rs"]
mod outcome;
#[path = "loopback/recorder.rs"]
mod recorder;
#[path = "loopback/resolver.rs"]
mod resolver;

/// Longer than anything here takes, so that only a real answer or `give_up` ends a probe.
const LONG: Limits = Limits { answer: Duration::from_secs(30), resolve: Duration::from_secs(30) };

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The servers' address: another one for every process, because runners may start a process for each test.
fn server() -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 77, high, low))
}

fn mk_client(resolver: Option<Resolver>) -> Client<'static> {
    Client { network: &ThisNetwork, addresses: vec![CLIENT], resolver, limits: LONG }
}

/// A port that nobody else has on `server()`: below those that the kernel gives out, and never twice.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn mk_serve(port: u16, protocol: Protocol, application: Application) -> Serve {
    Serve { name: None, port, protocol, application }
}

fn start(port: u16, protocol: Protocol, identity: &str) -> Server {
    let serves = [(server(), mk_serve(port, protocol, Application::Identity))];
    serve(&ThisNetwork, &serves, identity, &Zones::default()).expect("serve")
}

fn tcp(to: Target, port: u16, expect_peer: &str) -> Exchange {
    Exchange::Tcp { to, port, http: Http::default(), expect_peer: Some(expect_peer.to_owned()) }
}

fn udp(to: Target, port: u16, expect_peer: &str) -> Exchange {
    Exchange::Udp { to, port, expect_peer: Some(expect_peer.to_owned()) }
}

/// Runs a probe that is not given up.
async fn probe(client: &Client<'_>, exchange: &Exchange) -> Report {
    probe_until(client, exchange, pending()).await
}

/// Runs a probe and checks that the attempts were told while they started.
async fn probe_until(client: &Client<'_>, exchange: &Exchange, give_up: impl Future<Output = ()>) -> Report {
    let mut told: Vec<Attempt> = Vec::new();
    let report =
        run(client, exchange, &mut |attempt| told.push(*attempt), give_up).await.expect("the probe runs");
    assert_eq!(told, report.attempts);
    for attempt in &told {
        assert_eq!(attempt.local.ip(), client.addresses[0]);
        assert_ne!(attempt.local.port(), 0, "the port is known before the first packet");
    }
    report
}
