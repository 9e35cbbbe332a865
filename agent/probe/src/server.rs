//! What pods and hosts serve: their identity over HTTP or as a datagram, and DNS.

mod datagram;
mod dns;
mod forward;
mod http;
mod zones;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use egret_core::Protocol;
use egret_core::world::{Application, Serve};
use socket2::Type;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use self::dns::Answers;
use self::forward::Forward;
pub(crate) use self::http::STAY;
pub use self::zones::Zones;
use crate::network::{bind, listen, report_icmp_errors};
use crate::{Network, ProbeError};

/// The HTTP header that carries the server's identity.
pub const PEER_HEADER: &str = "x-egret-peer";

/// Running servers. Dropping it stops them; their sockets close when the runtime next turns to them.
#[derive(Debug, Default)]
pub struct Server {
    tasks: JoinSet<()>,
}

impl Server {
    /// Stops the servers; their sockets, and those of their clients, are closed on return.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts everything that one pod or host serves. Each port accepts connections on return.
///
/// Has to be called inside a tokio runtime with IO and time.
///
/// # Errors
/// A port cannot be served, or its application or protocol is not simulated yet. Nothing runs then.
pub fn serve(
    network: &dyn Network,
    served: &[(IpAddr, Serve)],
    identity: &str,
    zones: &Zones,
) -> Result<Server, ProbeError> {
    let page = http::Page::new(identity)?;
    let mut server = Server::default();
    let mut taken = BTreeSet::new();
    for (address, serve) in served {
        let at = SocketAddr::new(*address, serve.port);
        // A port with several names is served once.
        if !taken.insert((at, serve.protocol)) {
            continue;
        }
        match (serve.application, serve.protocol) {
            (Application::Identity, Protocol::Tcp) => {
                server.tasks.spawn(http::run(tcp(network, at)?, page.clone()));
            }
            (Application::Identity, Protocol::Udp) => {
                server.tasks.spawn(datagram::run(udp(network, at)?, identity.as_bytes().into()));
            }
            (Application::ClusterDns, Protocol::Tcp | Protocol::Udp) => {
                // Whichever address it is asked at: it asks from one that gets there, if it has one.
                let mut own = served.iter().map(|(address, _)| *address);
                let gets_there = own.find(|address| address.is_ipv4() == zones.authority.is_ipv4());
                let local = SocketAddr::new(gets_there.unwrap_or(*address), 0);
                let upstream = udp(network, local)?;
                report_icmp_errors(&upstream, local).map_err(|source| ProbeError::Socket {
                    action: "receive on",
                    address: local,
                    source,
                })?;
                let (forward, receive) = Forward::new(upstream, zones.authority);
                server.tasks.spawn(receive);
                let answers = Arc::new(Answers::Cluster(zones.clone(), forward));
                spawn_dns(&mut server, network, at, serve.protocol, answers)?;
            }
            (Application::Https, _) => return Err(ProbeError::Unsupported { what: "HTTPS" }),
            (Application::Identity | Application::ClusterDns, _) => {
                return Err(ProbeError::Unsupported { what: "a protocol other than TCP and UDP" });
            }
        }
    }
    Ok(server)
}

/// Starts the DNS server that has authority over every name of the simulated Internet, on UDP and TCP.
///
/// # Errors
/// The port cannot be served.
pub fn serve_authority(
    network: &dyn Network,
    address: SocketAddr,
    zones: &Zones,
) -> Result<Server, ProbeError> {
    let mut server = Server::default();
    let answers = Arc::new(Answers::Internet(zones.clone()));
    spawn_dns(&mut server, network, address, Protocol::Udp, Arc::clone(&answers))?;
    spawn_dns(&mut server, network, address, Protocol::Tcp, answers)?;
    Ok(server)
}

fn spawn_dns(
    server: &mut Server,
    network: &dyn Network,
    at: SocketAddr,
    protocol: Protocol,
    answers: Arc<Answers>,
) -> Result<(), ProbeError> {
    if protocol == Protocol::Tcp {
        server.tasks.spawn(dns::run_tcp(tcp(network, at)?, answers));
    } else {
        server.tasks.spawn(dns::run_udp(udp(network, at)?, answers));
    }
    Ok(())
}

fn tcp(network: &dyn Network, address: SocketAddr) -> Result<TcpListener, ProbeError> {
    listen(network, address)
        .and_then(|socket| TcpListener::from_std(socket.into()))
        .map_err(|source| ProbeError::Socket { action: "listen on", address, source })
}

fn udp(network: &dyn Network, address: SocketAddr) -> Result<UdpSocket, ProbeError> {
    bind(network, Type::DGRAM, None, address)
        .and_then(|socket| UdpSocket::from_std(socket.into()))
        .map_err(|source| ProbeError::Socket { action: "receive on", address, source })
}

/// Whether a server goes on after this error: it is about one peer, not about the server's socket.
fn is_about_peer(error: &io::Error) -> bool {
    crate::network::outcome_of(error).is_some() || error.kind() == io::ErrorKind::ConnectionAborted
}
