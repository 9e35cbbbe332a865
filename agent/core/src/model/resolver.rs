//! Names: the client's resolver with its search list, the DNS proxy, the cluster's server, the Internet's.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::IpAddr;

use egret_shared::Proxy;

use super::client::Client;
use super::route::{Arrival, Journey};
use super::{Model, dns_service};
use crate::compile::Changed;
use crate::probe::{Judgement, Observation, Outcome, Record, Source};
use crate::selector::name::normalise;
use crate::world::{Application, DNS_AUTHORITY, World};
use crate::{ObjectName, Protocol};

/// Names with fewer dots go through the search list first (Kubernetes' `ndots` for pods).
const NDOTS: usize = 5;
/// The port of DNS.
const DNS_PORT: u16 = 53;
/// Seconds that CoreDNS gives its own names (Kubernetes' configuration of CoreDNS).
const CLUSTER_TTL: u32 = 30;
/// Canonical names that a server follows before it gives up.
const MAX_CNAMES: usize = 8;

/// How a name was resolved.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    /// The addresses, at least one, or how it ended.
    pub(super) outcome: Result<Vec<IpAddr>, Outcome>,
    egress: Option<Judgement>,
    ingress: Option<Judgement>,
}

impl Lookup {
    /// What a client sees whose way ended at the resolver.
    pub(super) fn observation(self, client: Outcome) -> Observation {
        let addresses = self.outcome.unwrap_or_default();
        Observation { client, egress: self.egress, ingress: self.ingress, addresses }
    }
}

/// What came back for one query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Addresses {
        addresses: Vec<IpAddr>,
        ttl: u32,
    },
    /// The name is not there, or has no address of the kind asked for.
    NoSuchName,
    Refused,
    ServFail,
    Silence,
}

impl Model {
    /// Resolves a name as glibc does for the client.
    ///
    /// 1. Each candidate of the search list is one query for each record type; "no such name" leads to the next. The
    ///    addresses of all types count.
    /// 2. A refusal or a server's failure ends the list, and the name is tried as it is.
    /// 3. Silence ends it all; otherwise the last answer counts.
    pub(super) fn resolve(&mut self, client: &Client, name: &str, records: &[Record]) -> Lookup {
        let as_is = normalise(name);
        let mut candidates = Vec::new();
        let is_rooted = name.ends_with('.');
        let search = match &client.pod {
            Some(pod) if !is_rooted => search_list(&pod.namespace),
            Some(_) | None => Vec::new(),
        };
        candidates.extend(search.iter().map(|domain| format!("{as_is}.{domain}")));
        let dots = as_is.matches('.').count();
        candidates.insert(if dots < NDOTS { candidates.len() } else { 0 }, as_is.clone());

        let mut lookup = Lookup { outcome: Err(Outcome::DnsTimeout), egress: None, ingress: None };
        let mut ended = false;
        for candidate in candidates {
            if ended && candidate != as_is {
                continue;
            }
            let mut found = Vec::new();
            lookup.outcome = Err(Outcome::NxDomain);
            for record in records {
                let (answer, journey) = self.query(client, &candidate, *record);
                lookup.egress = journey.egress;
                lookup.ingress = journey.ingress;
                lookup.outcome = Err(match answer {
                    Answer::Addresses { addresses, .. } => {
                        found.extend(addresses);
                        continue;
                    }
                    Answer::NoSuchName => Outcome::NxDomain,
                    Answer::Refused => Outcome::DnsRefused,
                    Answer::ServFail => Outcome::ServFail,
                    Answer::Silence => Outcome::DnsTimeout,
                });
                if lookup.outcome != Err(Outcome::NxDomain) {
                    break;
                }
            }
            if lookup.outcome != Err(Outcome::DnsTimeout) && !found.is_empty() {
                lookup.outcome = Ok(found);
            }
            match lookup.outcome {
                Ok(_) | Err(Outcome::DnsTimeout) => return lookup,
                Err(Outcome::NxDomain) => {}
                Err(_) => ended = true,
            }
        }
        lookup
    }

    /// One query. Pods ask the cluster's server; whoever has no endpoint asks the Internet's.
    fn query(&mut self, client: &Client, name: &str, record: Record) -> (Answer, Journey) {
        if client.pod.is_none() {
            return (authority(&self.desired.world, name, record), Journey::none());
        }
        let services = &self.desired.world.services;
        let server = services
            .get(&dns_service())
            .and_then(|service| service.cluster_ips.iter().find(|ip| client.address(**ip).is_some()));
        match server.copied() {
            Some(server) => self.ask(client, server, name, record),
            None => (Answer::Silence, Journey::none()),
        }
    }

    /// One query to one server, through the client's DNS proxy if policy says so.
    fn ask(&mut self, client: &Client, server: IpAddr, name: &str, record: Record) -> (Answer, Journey) {
        let mut journey = self.send(client, server, Protocol::Udp, DNS_PORT);
        let proxied = match journey.arrival {
            Arrival::Dropped | Arrival::Nowhere => return (Answer::Silence, journey),
            Arrival::At { .. } => false,
            // A query is no handshake: every other proxy drops it.
            Arrival::Proxied { proxy: Proxy::Http | Proxy::Tls, .. } => return (Answer::Silence, journey),
            Arrival::Proxied { address, port, proxy: Proxy::Dns, direction: _ } => {
                if !self.proxy_allows(client, address, port, name) {
                    return (Answer::Refused, journey);
                }
                self.send_upstream(&mut journey);
                true
            }
        };
        let Arrival::At { address, port } = journey.arrival else { return (Answer::Silence, journey) };
        let answer = self.answer(address, port, name, record);
        if !self.reply(client, &journey) {
            return (Answer::Silence, journey);
        }
        if let (true, Answer::Addresses { addresses, ttl }) = (proxied, &answer) {
            self.learn(client, name, addresses, *ttl);
        }
        (answer, journey)
    }

    fn proxy_allows(&self, client: &Client, server: IpAddr, port: u16, name: &str) -> bool {
        let node = client.node.as_ref().and_then(|node| self.nodes.get(node));
        let allowed = node.and_then(|node| {
            let endpoint = node.state().endpoints.get(client.pod.as_ref()?)?.id;
            let identity = node.state().identity_of(server);
            node.state().dns_allows(endpoint, port, Protocol::Udp, identity, name)
        });
        allowed.is_some()
    }

    /// The proxy notes an answer's addresses before the client sees it.
    fn learn(&mut self, client: &Client, name: &str, addresses: &[IpAddr], ttl: u32) {
        let Some(node_name) = &client.node else { return };
        if let Some(node) = self.nodes.get_mut(node_name) {
            let addresses = node.names.learn(name, addresses, ttl, self.now);
            node.compile(&self.desired, node_name, &Changed { addresses, ..Changed::default() });
        }
    }

    /// What the server at an address says.
    fn answer(&mut self, address: IpAddr, port: u16, name: &str, record: Record) -> Answer {
        let world = &self.desired.world;
        if world.authorities().any(|authority| authority.ip() == address) {
            return authority(world, name, record);
        }
        let mut servers = world.pods.iter().filter(|(_, pod)| pod.addresses.contains(&address));
        let server = servers.find(|(_, pod)| {
            pod.serves.iter().any(|serve| {
                serve.port == port
                    && serve.protocol == Protocol::Udp
                    && serve.application == Application::ClusterDns
            })
        });
        let Some((server, _)) = server else { return Answer::Silence };
        if name == CLUSTER_DOMAIN || name.ends_with(&format!(".{CLUSTER_DOMAIN}")) {
            return cluster_name(world, name, record);
        }
        // Every other name the server asks for itself, under the policies of its own pod.
        let Some(client) = Client::of(world, &Source::Pod((**server).clone())) else {
            return Answer::Silence;
        };
        match self.ask(&client, DNS_AUTHORITY.ip(), name, record).0 {
            Answer::Silence => Answer::ServFail,
            answer @ (Answer::Addresses { .. } | Answer::NoSuchName | Answer::Refused | Answer::ServFail) => {
                answer
            }
        }
    }
}

/// The domain of the cluster's own names.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The domains that a pod's resolver appends, in order.
fn search_list(namespace: &str) -> Vec<String> {
    vec![format!("{namespace}.svc.{CLUSTER_DOMAIN}"), format!("svc.{CLUSTER_DOMAIN}"), CLUSTER_DOMAIN.into()]
}

/// `<service>.<namespace>.svc.cluster.local`: the cluster address, or the backends when it is headless.
fn cluster_name(world: &World, name: &str, record: Record) -> Answer {
    let labels: Vec<&str> = name.split('.').collect();
    let [service, namespace, "svc", "cluster", "local"] = labels.as_slice() else {
        return Answer::NoSuchName;
    };
    let service_name = ObjectName::new(namespace, service);
    let Some(service) = world.services.get(&service_name) else { return Answer::NoSuchName };
    let mut addresses = service.cluster_ips.clone();
    if addresses.is_empty() {
        let backends = service.ports.iter().flat_map(|port| world.backends(&service_name, service, port));
        addresses = backends.map(|(address, _)| address).collect();
        addresses.sort_unstable();
        addresses.dedup();
    }
    of_record(addresses, record, CLUSTER_TTL)
}

/// What the Internet's server says: names with their canonical names followed.
fn authority(world: &World, name: &str, record: Record) -> Answer {
    let mut name = normalise(name);
    let mut ttl = u32::MAX;
    for _ in 0..=MAX_CNAMES {
        let Some(zone) = world.internet.names.get(&name) else { return Answer::NoSuchName };
        ttl = ttl.min(zone.ttl);
        match &zone.cname {
            Some(canonical) => name.clone_from(canonical),
            None => return of_record(zone.addresses.clone(), record, ttl),
        }
    }
    Answer::ServFail
}

fn of_record(mut addresses: Vec<IpAddr>, record: Record, ttl: u32) -> Answer {
    addresses.retain(|address| match record {
        Record::A => address.is_ipv4(),
        Record::Aaaa => address.is_ipv6(),
    });
    if addresses.is_empty() { Answer::NoSuchName } else { Answer::Addresses { addresses, ttl } }
}
