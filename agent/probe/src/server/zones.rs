//! What the DNS servers know: the cluster's services and the names of the simulated Internet.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use domain::base::iana::{Rcode, Rtype};
use egret_core::world::{DNS_AUTHORITY, ServicePort, TargetPort};
use egret_core::{ObjectName, Protocol, World};

use crate::ProbeError;
use crate::message::{Answer, Data, DnsName, Question, Record, parse_name};

/// The cluster's own domain.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Time to live of services, in seconds, as kubeadm configures CoreDNS.
const CLUSTER_TTL: u32 = 30;

/// Zones that servers answer from. Clones share them, so a change reaches running servers.
#[derive(Clone, Debug)]
pub struct Zones {
    /// Whom the cluster's DNS server asks for names outside the cluster.
    pub(super) authority: SocketAddr,
    tables: Arc<RwLock<Arc<Tables>>>,
}

impl Default for Zones {
    fn default() -> Self {
        Self::with_authority(DNS_AUTHORITY)
    }
}

/// Both zones at one moment.
#[derive(Debug, Default)]
pub(super) struct Tables {
    cluster: BTreeMap<DnsName, Entry>,
    internet: BTreeMap<DnsName, Entry>,
}

/// The records of one name.
#[derive(Debug, Default)]
struct Entry {
    ttl: u32,
    addresses: Vec<IpAddr>,
    cname: Option<DnsName>,
}

impl Zones {
    /// Empty zones, with the Internet's DNS server at another address than the usual one.
    #[must_use]
    pub fn with_authority(authority: SocketAddr) -> Self {
        Self { authority, tables: Arc::default() }
    }

    /// Replaces both zones with what is in `world`.
    ///
    /// # Errors
    /// A service or an Internet name is not a DNS name. The zones stay as they were.
    pub fn set(&self, world: &World) -> Result<(), ProbeError> {
        let tables = Arc::new(Tables::of(world)?);
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = tables;
        Ok(())
    }

    pub(super) fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tables {
    fn of(world: &World) -> Result<Self, ProbeError> {
        let mut tables = Self::default();
        for (name, service) in &world.services {
            let addresses = if service.cluster_ips.is_empty() {
                // A headless service's name leads to its backends, whatever its ports are.
                let any = ServicePort {
                    name: None,
                    port: 0,
                    protocol: Protocol::Tcp,
                    target: TargetPort::Number(0),
                };
                world.backends(name, service, &any).into_iter().map(|(address, _)| address).collect()
            } else {
                service.cluster_ips.clone()
            };
            let entry = Entry { ttl: CLUSTER_TTL, addresses, cname: None };
            tables.cluster.insert(service_name(name)?, entry);
        }
        for (name, zone) in &world.internet.names {
            let cname = zone.cname.as_deref().map(read).transpose()?;
            let entry = Entry { ttl: zone.ttl, addresses: zone.addresses.clone(), cname };
            tables.internet.insert(read(name)?, entry);
        }
        Ok(tables)
    }

    /// The answer from the cluster's zone; `None` for names outside it.
    pub(super) fn cluster(&self, question: &Question) -> Option<Answer> {
        let domain = parse_name(CLUSTER_DOMAIN).ok()?;
        question.name.ends_with(&domain).then(|| follow(&self.cluster, question))
    }

    /// The answer from the Internet's zone, which holds every name outside the cluster.
    pub(super) fn internet(&self, question: &Question) -> Answer {
        follow(&self.internet, question)
    }
}

/// The records for a question, following canonical names; NXDOMAIN says that the last name does not exist
/// (RFC 6604 section 3).
fn follow(zone: &BTreeMap<DnsName, Entry>, question: &Question) -> Answer {
    let mut answer = Answer::empty(Rcode::NOERROR);
    let mut owner = question.name.clone();
    // A chain visits each name of the zone at most once, or goes in a circle.
    for _ in 0..=zone.len() {
        let Some(entry) = zone.get(&owner) else {
            answer.rcode = Rcode::NXDOMAIN;
            return answer;
        };
        let Some(cname) = &entry.cname else {
            let asked = entry.addresses.iter().filter(|address| match address {
                IpAddr::V4(_) => question.rtype == Rtype::A,
                IpAddr::V6(_) => question.rtype == Rtype::AAAA,
            });
            answer.records.extend(asked.map(|address| Record {
                owner: owner.clone(),
                ttl: entry.ttl,
                data: Data::Address(*address),
            }));
            return answer;
        };
        answer.records.push(Record { owner, ttl: entry.ttl, data: Data::Cname(cname.clone()) });
        if question.rtype == Rtype::CNAME {
            return answer;
        }
        owner = cname.clone();
    }
    Answer::empty(Rcode::SERVFAIL)
}

fn service_name(name: &ObjectName) -> Result<DnsName, ProbeError> {
    read(&format!("{}.{}.svc.{CLUSTER_DOMAIN}", name.name, name.namespace))
}

fn read(name: &str) -> Result<DnsName, ProbeError> {
    parse_name(name)
        .map_err(|error| ProbeError::InvalidName { name: name.to_owned(), problem: error.to_string() })
}
