//! Connections that policy sends through the proxies for HTTP and TLS, at the client's node or at the server's.

use alloc::format;
use alloc::string::String;
use core::net::IpAddr;

use egret_shared::{Direction, Proxy};

use super::Model;
use super::client::Client;
use super::route::{Arrival, Journey};
use crate::Protocol;
use crate::http::Request;
use crate::probe::{Http, Outcome, Peer};
use crate::state::ProxyFilter;

/// What a client says over its connection.
pub(super) struct Said<'a> {
    pub(super) protocol: Protocol,
    pub(super) http: &'a Http,
    /// Whom it believes to talk to.
    pub(super) to: &'a Peer,
    /// The address and port that it turns to, before a backend takes a service's place.
    pub(super) at: (IpAddr, u16),
}

impl Said<'_> {
    /// The server name of a TLS handshake: clients name a server only when they know it by name.
    fn server_name(&self) -> Option<&str> {
        match self.to {
            Peer::Name(name) if self.http.tls => Some(name.trim_end_matches('.')),
            Peer::Name(_) | Peer::Pod(_) | Peer::Service(_) | Peer::Node(_) | Peer::Address(_) => None,
        }
    }

    /// The `Host` header; the port belongs to it unless it is that of HTTP.
    fn host(&self) -> String {
        let (address, port) = self.at;
        let host = match (self.to, address) {
            (Peer::Name(name), _) => name.trim_end_matches('.').into(),
            (_, IpAddr::V4(v4)) => format!("{v4}"),
            (_, IpAddr::V6(v6)) => format!("[{v6}]"),
        };
        if port == 80 { host } else { format!("{host}:{port}") }
    }
}

impl Model {
    /// Takes a connection through every proxy on its way; `Err`: a proxy ends it with this outcome. Gives the
    /// proxy that the client talks to.
    pub(super) fn through_proxies(
        &mut self,
        client: &Client,
        journey: &mut Journey,
        said: &Said<'_>,
    ) -> Result<Option<Proxy>, Outcome> {
        let mut through = None;
        while let Arrival::Proxied { address, port, proxy, direction } = journey.arrival {
            let outcome = self.proxied(client, (address, port), (proxy, direction), said);
            if let Some(outcome) = outcome {
                return Err(outcome);
            }
            through = through.or(Some(proxy));
            match direction {
                Direction::Egress => self.send_upstream(journey),
                Direction::Ingress => journey.arrival = Arrival::At { address, port },
            }
        }
        Ok(through)
    }

    /// How a proxy ends a connection; `None`: it lets it pass.
    fn proxied(
        &self,
        client: &Client,
        (address, port): (IpAddr, u16),
        (proxy, direction): (Proxy, Direction),
        said: &Said<'_>,
    ) -> Option<Outcome> {
        if said.protocol != Protocol::Tcp {
            return Some(Outcome::Timeout);
        }
        let (state, endpoint, peer) = match direction {
            Direction::Egress => {
                let state = self.nodes.get(client.node.as_ref()?)?.state();
                (state, state.endpoints.get(client.pod.as_ref()?)?.id, state.identity_of(address))
            }
            Direction::Ingress => {
                let (node, endpoint) = self.endpoint_at(address)?;
                let state = self.nodes.get(&node)?.state();
                (state, endpoint.id, state.identity_of(client.address(address)?))
            }
        };
        let filter = ProxyFilter { endpoint, direction };
        match proxy {
            // It finds no query in what the client says, and hangs up.
            Proxy::Dns => Some(Outcome::Reset),
            Proxy::Http => {
                let Http { method, path, headers, body: _, tls } = said.http;
                let host = said.host();
                let request = Request { method, path, host: &host, headers };
                if state.http_allows(filter, port, peer, &request).is_none() {
                    // What is no HTTP is answered with nothing.
                    return Some(if *tls { Outcome::Reset } else { Outcome::Http(403) });
                }
                tls.then_some(Outcome::Reset)
            }
            Proxy::Tls => {
                let allowed = state.tls_allows(filter, port, peer, said.server_name());
                allowed.is_none().then_some(Outcome::Reset)
            }
        }
    }
}

/// What a client sees of its connection's end. A proxy has taken the connection before it looks for the server,
/// so what fails behind it becomes its answer.
pub(super) fn seen_through(proxy: Option<Proxy>, outcome: Outcome) -> Outcome {
    match (proxy, &outcome) {
        (None, _) | (_, Outcome::Ok | Outcome::Http(_)) => outcome,
        (Some(Proxy::Http), _) => Outcome::Http(503),
        (Some(Proxy::Tls | Proxy::Dns), _) => Outcome::Reset,
    }
}
