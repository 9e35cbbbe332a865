//! The conditions of a rule against a flow: none fails, and the rule matches; one fails, and it nearly did.

use egret_core::identity::LabelSet;
use egret_core::judge::End;
use egret_core::rule::{Peers, PortMatch, PortRule, Ports, Rule};
use egret_core::selector::{Requirement, Selector};
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

/// What would make a failed condition hold.
#[derive(Clone, Debug)]
pub(super) enum Fix {
    /// A requirement of one of the rule's selectors of labels, by their places.
    Label { requirement: Requirement, selector: usize, index: usize },
    /// The address among the rule's prefixes.
    Prefix,
    /// The peer's entity among the rule's.
    Entity,
    /// The port among the item's.
    Port,
}

/// A part of a rule: its path, and how its conditions fare.
pub(super) struct Closest {
    pub(super) path: String,
    pub(super) fared: Fared,
}

/// How conditions fare.
#[derive(Clone, Default)]
pub(super) struct Fared {
    /// How many hold.
    pub(super) held: usize,
    /// Those that fail, in words.
    pub(super) failed: Vec<String>,
    /// What would make those hold, where that is known.
    pub(super) fixes: Vec<Fix>,
}

impl Around<'_> {
    /// Compares a rule, and gives every item of it that matches, or what comes closest of its peers and ports.
    pub(super) fn compare(&self, rule: &Rule) -> Vec<Closest> {
        let peers = self.peers(&rule.peers);
        let Ports::Listed(ports) = &rule.ports else {
            return vec![Closest { path: rule.path.clone(), fared: peers }];
        };
        let mut items: Vec<Closest> = Vec::new();
        for port in ports {
            let fared = peers.clone().and(self.port(port));
            let worse = |known: &Closest| known.fared.failed.len() > fared.failed.len();
            match items.iter_mut().find(|known| known.path == port.path) {
                Some(known) if worse(known) => known.fared = fared,
                Some(_) => {}
                None => items.push(Closest { path: port.path.clone(), fared }),
            }
        }
        if items.iter().any(|item| item.fared.failed.is_empty()) {
            items.retain(|item| item.fared.failed.is_empty());
            return items;
        }
        let closest = items.into_iter().min_by_key(|item| item.fared.failed.len());
        vec![closest.unwrap_or_else(|| {
            let fared = peers.and(Fared::failing("its ports match nothing"));
            Closest { path: rule.path.clone(), fared }
        })]
    }

    /// How the peer fares that comes closest.
    fn peers(&self, peers: &Peers) -> Fared {
        match peers {
            Peers::Any => Fared::default(),
            Peers::Selected(selectors) => selectors
                .iter()
                .enumerate()
                .map(|(place, selector)| self.selector(selector, place, selectors))
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

    /// How a selector fares; a rule's other selectors say whether one more of another sort may stand beside them.
    fn selector(&self, selector: &Selector, place: usize, all: &[Selector]) -> Fared {
        let holds = selector.selects(self.peer);
        match selector {
            Selector::Labels(labels) => labels
                .requirements
                .iter()
                .enumerate()
                .map(|(index, requirement)| {
                    let fix = || Fix::Label { requirement: requirement.clone(), selector: place, index };
                    Fared::mending(requirement.holds(self.peer), fix, || {
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
                let failure = || match except.iter().find(|cut| self.peer.has_prefix(cut)) {
                    Some(cut) => format!("the peer is in the exception `{cut}` of `{prefix}`"),
                    None => format!("the peer is not in `{prefix}`"),
                };
                let alone = all.iter().all(|other| matches!(other, Selector::Prefix { .. }));
                if alone { Fared::mending(holds, || Fix::Prefix, failure) } else { Fared::of(holds, failure) }
            }
            Selector::Entity(entity) => {
                let fix = || Fix::Entity;
                Fared::mending(holds, fix, || format!("the peer is not of the entity `{}`", entity.word()))
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
            PortMatch::Range(first, last) => Fared::mending(
                (first..=last).contains(&number),
                || Fix::Port,
                || {
                    if first == last {
                        format!("the {word} must be {first} and is {number}")
                    } else {
                        format!("the {word} must lie between {first} and {last} and is {number}")
                    }
                },
            ),
            PortMatch::Named(name) => {
                let has = self.receiver.is_some_and(|pod| {
                    pod.serves.iter().any(|serve| {
                        serve.name.as_ref() == Some(name)
                            && serve.protocol == port.protocol
                            && serve.port == *number
                    })
                });
                Fared::mending(
                    has,
                    || Fix::Port,
                    || format!("the receiver does not call its port {number} `{name}`"),
                )
            }
        })
    }
}

// === impl Fared ===

impl Fared {
    /// One condition.
    fn of(holds: bool, failure: impl FnOnce() -> String) -> Self {
        if holds {
            Self { held: 1, ..Self::default() }
        } else {
            Self { failed: vec![failure()], ..Self::default() }
        }
    }

    /// One condition that something would make hold.
    fn mending(holds: bool, fix: impl FnOnce() -> Fix, failure: impl FnOnce() -> String) -> Self {
        let fixes = if holds { Vec::new() } else { vec![fix()] };
        Self { fixes, ..Self::of(holds, failure) }
    }

    /// A condition that nothing meets.
    fn failing(failure: &str) -> Self {
        Self::of(false, || failure.to_owned())
    }

    /// Both.
    fn and(mut self, other: Self) -> Self {
        self.held += other.held;
        self.failed.extend(other.failed);
        self.fixes.extend(other.fixes);
        self
    }
}
