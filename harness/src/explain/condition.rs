//! The conditions of a rule against a flow: none fails, and the rule matches; one fails, and it nearly did.

use egret_core::identity::LabelSet;
use egret_core::judge::End;
use egret_core::rule::{Peers, PortMatch, PortRule, Ports, Rule};
use egret_core::selector::Selector;
use egret_core::world::{Pod, Service, World};
use egret_core::{ObjectName, Protocol};

use super::{Flow, words};

/// What the conditions are compared with.
pub(super) struct Around<'a> {
    pub(super) world: &'a World,
    pub(super) flow: &'a Flow,
    /// Labels of the other side.
    pub(super) peer: &'a LabelSet,
    /// The other side.
    pub(super) other: &'a End,
    /// Whoever receives the traffic, whose named ports count.
    pub(super) receiver: Option<&'a Pod>,
}

/// A rule's closest item: its path, and how its conditions fare.
pub(super) struct Closest {
    pub(super) path: String,
    pub(super) fared: Fared,
}

/// How conditions fare.
#[derive(Default)]
pub(super) struct Fared {
    /// How many hold.
    pub(super) held: usize,
    /// Those that fail, in words.
    pub(super) failed: Vec<String>,
}

impl Around<'_> {
    /// Compares a rule, and gives what comes closest of its peers and ports.
    pub(super) fn compare(&self, rule: &Rule) -> Closest {
        let peers = self.peers(&rule.peers);
        let (path, ports) = match &rule.ports {
            Ports::Any => (rule.path.clone(), Fared::default()),
            Ports::Listed(ports) => {
                let compared = ports.iter().map(|port| (port.path.clone(), self.port(port)));
                compared
                    .min_by_key(|(_, fared)| fared.failed.len())
                    .unwrap_or_else(|| (rule.path.clone(), Fared::failing("its ports match nothing")))
            }
        };
        Closest { path, fared: peers.and(ports) }
    }

    /// How the peer fares that comes closest.
    fn peers(&self, peers: &Peers) -> Fared {
        match peers {
            Peers::Any => Fared::default(),
            Peers::Selected(selectors) => selectors
                .iter()
                .map(|selector| self.selector(selector))
                .min_by_key(|fared| fared.failed.len())
                .unwrap_or_else(|| Fared::failing("its peers match nobody")),
            Peers::Services(references) => {
                let named = |(name, service): &(&ObjectName, &Service)| {
                    references.iter().any(|reference| words::is_named(reference, name, service))
                };
                let mut services = self.world.services.iter().filter(named).peekable();
                if services.peek().is_none() {
                    return Fared::failing("its services do not exist");
                }
                let behind = services.any(|(name, service)| self.is_behind(name, service));
                Fared::of(behind, || "the peer is behind none of its services".to_owned())
            }
        }
    }

    /// Whether the other side is a backend of a service.
    fn is_behind(&self, name: &ObjectName, service: &Service) -> bool {
        let own = match self.other {
            End::Endpoint { pod, .. } => self.world.pods.get(pod).map(|pod| pod.addresses.as_slice()),
            End::Outside { address, .. } => Some(std::slice::from_ref(address)),
            End::Node { .. } | End::Reserved(_) | End::Frontend { .. } | End::Service(_) => None,
        };
        let mut backends = service.ports.iter().flat_map(|port| self.world.backends(name, service, port));
        own.is_some_and(|own| backends.any(|(address, _)| own.contains(&address)))
    }

    fn selector(&self, selector: &Selector) -> Fared {
        let holds = selector.selects(self.peer);
        match selector {
            Selector::Labels(labels) => labels
                .requirements
                .iter()
                .map(|requirement| {
                    Fared::of(requirement.holds(self.peer), || {
                        let mut values = self.peer.values(requirement.source, &requirement.key);
                        let has = match values.next() {
                            None => "has no such label".to_owned(),
                            Some(value) => format!("has `{value}`"),
                        };
                        format!("the peer must have `{}` and {has}", words::requirement(requirement))
                    })
                })
                .fold(Fared::default(), Fared::and),
            Selector::Prefix { prefix, except } => {
                Fared::of(holds, || match except.iter().find(|cut| self.peer.has_prefix(cut)) {
                    Some(cut) => format!("the peer is in the exception `{cut}` of `{prefix}`"),
                    None => format!("the peer is not in `{prefix}`"),
                })
            }
            Selector::Entity(entity) => {
                Fared::of(holds, || format!("the peer is not of the entity `{}`", entity.word()))
            }
            Selector::Group { which, except } => {
                Fared::of(holds, || match except.iter().find(|cut| self.peer.has_prefix(cut)) {
                    Some(cut) => format!("the peer is in the exception `{cut}`"),
                    None => format!("the peer is in no group of prefixes {}", words::group(which)),
                })
            }
            Selector::Name(pattern) => {
                Fared::of(holds, || format!("the peer is no address learned for `{}`", pattern.text()))
            }
        }
    }

    /// How one port fares.
    fn port(&self, port: &PortRule) -> Fared {
        let Flow { protocol, port: number } = self.flow;
        let transport = Fared::of(port.protocol == *protocol, || {
            format!("the protocol must be {} and is {protocol}", port.protocol)
        });
        let word = match protocol {
            Protocol::Icmp | Protocol::Icmpv6 => "type",
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::Other(_) => "port",
        };
        transport.and(match &port.port {
            PortMatch::Every => Fared::default(),
            PortMatch::Range(first, last) => Fared::of((first..=last).contains(&number), || {
                if first == last {
                    format!("the {word} must be {first} and is {number}")
                } else {
                    format!("the {word} must lie between {first} and {last} and is {number}")
                }
            }),
            PortMatch::Named(name) => {
                let has = self.receiver.is_some_and(|pod| {
                    pod.serves.iter().any(|serve| {
                        serve.name.as_ref() == Some(name)
                            && serve.protocol == port.protocol
                            && serve.port == *number
                    })
                });
                Fared::of(has, || format!("the receiver does not call its port {number} `{name}`"))
            }
        })
    }
}

// === impl Fared ===

impl Fared {
    /// One condition.
    fn of(holds: bool, failure: impl FnOnce() -> String) -> Self {
        if holds { Self { held: 1, failed: Vec::new() } } else { Self { held: 0, failed: vec![failure()] } }
    }

    /// A condition that nothing meets.
    fn failing(failure: &str) -> Self {
        Self::of(false, || failure.to_owned())
    }

    /// Both.
    fn and(mut self, other: Self) -> Self {
        self.held += other.held;
        self.failed.extend(other.failed);
        self
    }
}
