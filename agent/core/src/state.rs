//! The compiled state of one node's datapath: what its maps hold, and what its numbers mean.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egret_shared::{Author as Number, Direction, Identity, ServiceEntry, ServiceKey};
use ipnet::IpNet;

use crate::author::PolicyId;
use crate::http::Request;
use crate::identity::LabelSet;
use crate::rule::Inspection;
use crate::selector::NamePattern;
use crate::{Author, ObjectName, Protocol};

pub use crate::policymap::rows::PolicyRows;

/// Everything that one node's agent writes into maps or asks when it reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatapathState {
    /// The node's pods that have a network of their own.
    pub endpoints: BTreeMap<Arc<ObjectName>, EndpointState>,
    /// Who has which prefix.
    pub ipcache: BTreeMap<IpNet, Identity>,
    /// Policies by number, one for each direction and content.
    pub policies: BTreeMap<u32, PolicyRows>,
    /// Services by frontend.
    pub services: BTreeMap<ServiceKey, ServiceEntry>,
    /// Numbers of the policies in force for the node itself per [`Direction`]; 0: not enforced.
    pub host: [u32; 2],
    /// What the DNS proxy lets pass.
    pub dns_rules: BTreeMap<DnsFilter, Arc<[DnsRule]>>,
    /// What the proxies for HTTP and TLS let pass, where any rule sends traffic to them.
    pub proxy_rules: BTreeMap<ProxyFilter, Arc<[ProxyRule]>>,
    /// Rules by number.
    pub rules: BTreeMap<u32, RuleName>,
    /// By policy number, the policies that switch default deny on, ordered.
    pub enforced_by: BTreeMap<u32, Enforcers>,
    /// Labels by identity.
    pub labels: BTreeMap<Identity, LabelSet>,
}

/// Policies that switch default deny on, ordered.
pub type Enforcers = Arc<[Arc<PolicyId>]>;

/// What a policy tells the DNS proxy, by port and protocol.
pub(crate) type DnsFilterRules = Vec<((u16, Protocol), Arc<[DnsRule]>)>;

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// Its policy.
    pub policy: Arc<PolicyId>,
    /// As in [`Author::Rule`].
    pub path: Arc<str>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// Number on this node, never 0.
    pub id: u32,
    /// Identity of its labels.
    pub identity: Identity,
    /// Number of the policy in force per [`Direction`]; 0: not enforced.
    pub policy: [u32; 2],
    /// IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// Where a query arrives at the DNS proxy; exactly one port of one protocol (policy semantics 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsFilter {
    /// Number of the endpoint that asks.
    pub endpoint: u32,
    /// Port that it asks.
    pub port: u16,
    /// Transport protocol of the query.
    pub protocol: Protocol,
}

/// Names that an endpoint may ask certain servers for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DnsRule {
    /// The servers.
    pub peers: PeerSet,
    /// The names.
    pub names: Vec<NamePattern>,
    /// Number of the rule.
    pub rule: u32,
}

/// Whose connections arrive at the proxies for HTTP and TLS. They know every allow rule of the direction, since
/// a plain rule for the same peer and port lets everything pass (policy semantics 2.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyFilter {
    /// Number of the endpoint whose policy it is.
    pub endpoint: u32,
    /// Direction as seen from the endpoint.
    pub direction: Direction,
}

/// What an allow rule lets pass of TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRule {
    /// The other side.
    pub peers: PeerSet,
    /// First and last port.
    pub ports: (u16, u16),
    /// What must be seen inside; `None`: anything.
    pub inspect: Option<Inspection>,
    /// Number of the rule.
    pub rule: u32,
}

/// Identities that a rule's peers stand for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerSet {
    /// Every identity, also those that are not known yet.
    Any,
    /// These.
    // INVARIANT: ordered.
    Listed(Arc<[Identity]>),
}

impl PeerSet {
    /// Whether an identity is among them.
    #[must_use]
    pub fn contains(&self, identity: Identity) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(identities) => identities.binary_search(&identity).is_ok(),
        }
    }
}

impl EndpointState {
    /// Number of the policy in force for a direction; 0: not enforced.
    #[must_use]
    pub const fn policy(&self, direction: Direction) -> u32 {
        let [ingress, egress] = self.policy;
        match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        }
    }
}

impl DatapathState {
    /// What a rule number in a verdict under a policy stands for; `None` where no rule took part.
    #[must_use]
    pub fn author(&self, policy: u32, rule: u32) -> Option<Author> {
        match rule {
            Number::NONE => None,
            Number::DEFAULT_DENY => Some(Author::DefaultDeny {
                because: self
                    .enforced_by
                    .get(&policy)
                    .into_iter()
                    .flat_map(|all| all.iter())
                    .map(|id| (**id).clone())
                    .collect(),
            }),
            Number::KUBELET => Some(Author::Kubelet),
            ordinary => self.rules.get(&ordinary).map(|RuleName { policy, path }| Author::Rule {
                policy: (**policy).clone(),
                path: (**path).into(),
            }),
        }
    }

    /// Identity of the longest prefix over an address; outside all prefixes, the world's.
    #[must_use]
    pub fn identity_of(&self, ip: IpAddr) -> Identity {
        longest_prefix(&self.ipcache, IpNet::from(ip)).unwrap_or(Identity::WORLD)
    }

    /// The rule that lets an endpoint ask a server for a name; `None`: the proxy refuses.
    #[must_use]
    pub fn dns_allows(
        &self,
        endpoint: u32,
        port: u16,
        protocol: Protocol,
        server: Identity,
        name: &str,
    ) -> Option<u32> {
        self.dns_rules
            .get(&DnsFilter { endpoint, port, protocol })?
            .iter()
            .find(|rule| {
                rule.peers.contains(server) && rule.names.iter().any(|pattern| pattern.matches(name))
            })
            .map(|rule| rule.rule)
    }

    /// The rule that lets a request pass that policy sent to the HTTP proxy; `None`: the proxy answers 403.
    #[must_use]
    pub fn http_allows(
        &self,
        filter: ProxyFilter,
        port: u16,
        peer: Identity,
        request: &Request<'_>,
    ) -> Option<u32> {
        self.proxy_allows(filter, port, peer, |inspect| match inspect {
            Inspection::Http(rules) => rules.iter().any(|rule| rule.matches(request)),
            Inspection::Dns(_) | Inspection::Tls(_) => false,
        })
    }

    /// The rule that lets a TLS handshake pass; `None`: the proxy resets the connection. `server_name` is
    /// `None` where the client names no server, or speaks no TLS.
    #[must_use]
    pub fn tls_allows(
        &self,
        filter: ProxyFilter,
        port: u16,
        peer: Identity,
        server_name: Option<&str>,
    ) -> Option<u32> {
        self.proxy_allows(filter, port, peer, |inspect| match inspect {
            Inspection::Tls(names) => server_name.is_some_and(|name| names.iter().any(|n| n.matches(name))),
            Inspection::Dns(_) | Inspection::Http(_) => false,
        })
    }

    fn proxy_allows(
        &self,
        filter: ProxyFilter,
        port: u16,
        peer: Identity,
        lets_pass: impl Fn(&Inspection) -> bool,
    ) -> Option<u32> {
        let found = self.proxy_rules.get(&filter)?.iter().find(|rule| {
            let (first, last) = rule.ports;
            rule.peers.contains(peer)
                && (first..=last).contains(&port)
                && rule.inspect.as_ref().is_none_or(&lets_pass)
        });
        found.map(|rule| rule.rule)
    }
}

/// The value of the longest prefix in a table that covers `net`, which may itself be in the table.
pub(crate) fn longest_prefix<T: Copy>(table: &BTreeMap<IpNet, T>, net: IpNet) -> Option<T> {
    let mut candidate = Some(net.trunc());
    while let Some(prefix) = candidate {
        if let Some(value) = table.get(&prefix) {
            return Some(*value);
        }
        candidate = prefix.supernet();
    }
    None
}
