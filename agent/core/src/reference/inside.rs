//! What a proxy lets pass of a flow that policy sends to it, read from the rules that match the flow.
//!
//! Sources: policy semantics 2.12 and 2.14 (HTTP, TLS), 4.2 to 4.4 (DNS), 2.4 (nothing is refused where nothing is
//! denied by default).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::named::Named;
use super::{Item, Passing, name};
use crate::judge::Layer7;
use crate::spec::cilium_network_policy::{HeaderMatch, HttpRule, NameRule, PortRule};

/// What an item looks at.
#[derive(Clone, Copy, Default)]
pub(super) enum Inside<'a> {
    /// Nothing: all of the traffic passes.
    #[default]
    Nothing,
    Http(&'a [HttpRule]),
    Dns(&'a [NameRule]),
    Tls(&'a [String]),
}

/// The proxies, in the order in which they take a connection that several rules want looked at (listener
/// priorities 101, 116 and 121 in Cilium).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Http,
    Tls,
    Dns,
}

impl<'a> Inside<'a> {
    /// What is written; requests count before the server name, which only stands beside them where TLS ends at
    /// the proxy.
    pub(super) fn of(item: &'a PortRule) -> Self {
        let rules = item.rules.as_ref();
        let filled = |list: Option<&'a Vec<_>>| list.filter(|items| !items.is_empty());
        let http = filled(rules.and_then(|rules| rules.http.as_ref()));
        let dns = rules.and_then(|rules| rules.dns.as_ref()).filter(|names| !names.is_empty());
        let names = item.server_names.as_ref().filter(|names| !names.is_empty());
        match (http, dns, names) {
            (Some(requests), _, _) => Self::Http(requests),
            (None, Some(names), _) => Self::Dns(names),
            (None, None, Some(names)) => Self::Tls(names),
            (None, None, None) => Self::Nothing,
        }
    }

    /// Whether a proxy is needed for it.
    pub(super) const fn looks(&self) -> bool {
        self.proxy().is_some()
    }

    const fn proxy(&self) -> Option<Proxy> {
        match self {
            Self::Nothing => None,
            Self::Http(_) => Some(Proxy::Http),
            Self::Tls(_) => Some(Proxy::Tls),
            Self::Dns(_) => Some(Proxy::Dns),
        }
    }
}

/// What the proxy says that takes the flow.
pub(super) fn passing(rules: &[Named<'_>], seen: &Layer7, default_deny: bool) -> Passing {
    let allowing: Vec<_> = rules.iter().filter(|rule| rule.allows()).collect();
    let takes = |proxy| allowing.iter().any(|rule| rule.item.inside.proxy() == Some(proxy));
    let proxy = [Proxy::Http, Proxy::Tls, Proxy::Dns].into_iter().find(|proxy| takes(*proxy));
    let lets = |rule: &&Named<'_>| -> bool {
        let is_shadowed = default_deny && is_opened(rules, &rule.item);
        let is_plain = !(rule.item.inside.looks() || is_shadowed);
        match (proxy, seen, &rule.item.inside) {
            (Some(Proxy::Http), Layer7::Http { method, path, host, headers }, inside) => match inside {
                Inside::Http(wanted) => {
                    !default_deny
                        || wanted.iter().any(|wanted| {
                            fits(&wanted.method, method)
                                && fits(&wanted.path, path)
                                && fits(&wanted.host, host)
                                && has_headers(wanted, headers)
                        })
                }
                Inside::Nothing | Inside::Dns(_) | Inside::Tls(_) => is_plain || !default_deny,
            },
            // Without a handshake there is no name.
            (Some(Proxy::Tls), Layer7::Http { .. }, _) => is_plain || !default_deny,
            (Some(Proxy::Tls), Layer7::ServerName(asked), inside) => match inside {
                Inside::Tls(wanted) => {
                    !default_deny || wanted.iter().any(|wanted| name::fits_pattern(wanted, asked))
                }
                Inside::Nothing | Inside::Dns(_) | Inside::Http(_) => is_plain || !default_deny,
            },
            // The filter of exactly this port is consulted and no other (4.4).
            (Some(Proxy::Dns), Layer7::Dns(asked), inside) => {
                let is_exact = rule.item.ports.is_some_and(|(first, last)| first == last);
                is_exact
                    && match inside {
                        Inside::Nothing => true,
                        Inside::Dns(wanted) => {
                            !default_deny || wanted.iter().any(|wanted| name::matches(wanted, asked))
                        }
                        Inside::Http(_) | Inside::Tls(_) => false,
                    }
            }
            // A proxy refuses what it does not understand.
            (Some(Proxy::Http), Layer7::Dns(_) | Layer7::ServerName(_), _)
            | (Some(Proxy::Tls), Layer7::Dns(_), _)
            | (Some(Proxy::Dns), Layer7::Http { .. } | Layer7::ServerName(_), _)
            | (None, _, _) => false,
        }
    };
    let letting: Vec<_> = allowing.iter().filter(|rule| lets(rule)).map(|rule| rule.author.clone()).collect();
    if letting.is_empty() { Passing::Refused } else { Passing::Passes(letting) }
}

/// Whether a plain item became one rule with server names, so that all of its traffic must be TLS (2.12): one
/// for the same peers and ports.
fn is_opened(rules: &[Named<'_>], plain: &Item<'_>) -> bool {
    plain.peers.is_some()
        && rules.iter().any(|rule| {
            rule.allows()
                && matches!(rule.item.inside, Inside::Tls(_))
                && rule.item.peers == plain.peers
                && rule.item.ports == plain.ports
        })
}

/// An expression that must match the whole text; absent or empty, all do.
fn fits(written: &Option<String>, text: &str) -> bool {
    let Some(written) = written.as_ref().filter(|written| !written.is_empty()) else { return true };
    regex::Regex::new(&format!("^(?:{written})$")).is_ok_and(|expression| expression.is_match(text))
}

fn has_headers(wanted: &HttpRule, headers: &[(String, String)]) -> bool {
    let value_of = |name: &str| {
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let plain = wanted.headers.iter().flatten().all(|text| match text.split_once(' ') {
        Some((name, value)) => value_of(name.trim_end_matches(':')) == Some(value),
        None => value_of(text.trim_end_matches(':')).is_some(),
    });
    let matched = wanted.header_matches.iter().flatten().all(|item| {
        let HeaderMatch { name, value, secret, mismatch } = item;
        // A request whose header is another one passes where something is done about it.
        mismatch.as_ref().is_some_and(|action| !action.is_empty())
            || match (value.as_deref().filter(|value| !value.is_empty()), secret) {
                (Some(value), _) => value_of(name) == Some(value),
                // No secret is there, and one that is missing matches nothing.
                (None, Some(_)) => false,
                (None, None) => value_of(name).is_some(),
            }
    });
    plain && matched
}
