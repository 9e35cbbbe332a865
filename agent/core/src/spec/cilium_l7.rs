//! What a `toPorts` item looks at inside the traffic: HTTP, DNS, TLS (policy semantics 2.11, 2.12 and 3.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::check::Check;
use super::cilium_network_policy::{HeaderMatch, HttpRule, L7Rules, Listener, PortRule, SecretName};
use super::cilium_peer;
use super::cilium_port::Place;
use crate::http::{self, HeaderValue, Mismatch, Pattern};
use crate::protocol::Protocol;
use crate::rule::{Effect, Inspection, PortMatch};
use crate::selector::NamePattern;

/// What the item looks at; `None`: nothing.
pub(super) fn inspection(check: &mut Check, path: &str, item: &PortRule, place: Place) -> Option<Inspection> {
    let PortRule { ports: _, rules, terminating_tls, originating_tls, server_names, listener } = item;
    if place.effect == Effect::Deny {
        let fields = [
            ("rules", rules.is_some()),
            ("terminatingTLS", terminating_tls.is_some()),
            ("originatingTLS", originating_tls.is_some()),
            ("serverNames", server_names.is_some()),
            ("listener", listener.is_some()),
        ];
        for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
            check.problem_with(
                &format!("{path}.{field}"),
                format!("a deny rule cannot have `{field}`: what it matches is dropped unseen"),
                format!("take `{field}` out, or allow only the requests that are wanted"),
            );
        }
        return None;
    }
    for (field, given) in
        [("terminatingTLS", terminating_tls.is_some()), ("originatingTLS", originating_tls.is_some())]
    {
        if given {
            let what = "certificates are not checked: requests are judged as if the handshake had succeeded";
            check.not_simulated(&format!("{path}.{field}"), what);
        }
    }
    let names = server_names.as_ref().map(|names| self::server_names(check, path, names));
    let rules = rules.as_ref().and_then(|rules| self::rules(check, &format!("{path}.rules"), rules, place));
    if let Some(listener) = listener {
        self::listener(check, &format!("{path}.listener"), listener, place, rules.is_some());
    }
    match (rules, names) {
        (None, names) => names.map(Inspection::Tls),
        (rules, None) => rules,
        (rules, Some(_)) => {
            let at = format!("{path}.serverNames");
            if terminating_tls.is_none() {
                check.problem_with(
                    &at,
                    "`serverNames` may not stand beside `rules` without `terminatingTLS`",
                    "the requests inside TLS cannot be seen unless it ends at the proxy",
                );
            } else {
                check.not_simulated(&at, "only the requests are judged, not the server name");
            }
            rules
        }
    }
}

/// Checks an inspection against one of its ports.
pub(super) fn check_port(
    check: &mut Check,
    path: &str,
    inspect: &Inspection,
    matched: &PortMatch,
    protocols: &[Protocol],
) {
    let words = match inspect {
        Inspection::Dns(_) => "DNS",
        Inspection::Http(_) => "HTTP",
        Inspection::Tls(_) => return,
    };
    let is_dns = matches!(inspect, Inspection::Dns(_));
    match matched {
        PortMatch::Every => {
            check.problem(&format!("{path}.port"), format!("{words} rules cannot be used with port 0"));
        }
        PortMatch::Range(first, last) if first < last && is_dns => {
            check.problem(&format!("{path}.endPort"), "DNS rules do not support port ranges");
        }
        PortMatch::Range(..) | PortMatch::Named(_) => {}
    }
    let at = format!("{path}.protocol");
    if is_dns && *protocols == [Protocol::Sctp] {
        check.problem(&at, "DNS rules apply to `TCP`, `UDP` or `ANY`");
    } else if !is_dns && *protocols != [Protocol::Tcp] {
        check.problem_with(&at, "HTTP rules apply to `TCP` alone", "write `protocol: TCP`");
    }
}

fn rules(check: &mut Check, path: &str, rules: &L7Rules, place: Place) -> Option<Inspection> {
    let L7Rules { http, dns, kafka, l7proto, l7 } = rules;
    let kinds = [http.is_some(), dns.is_some(), kafka.is_some(), l7proto.is_some() || l7.is_some()];
    match kinds.into_iter().filter(|kind| *kind).count() {
        0 => check.problem(path, "`rules` needs `http` or `dns`"),
        1 => {}
        _ => check.problem(path, "only one kind of `rules` may stand in one item"),
    }
    for (field, given) in [("kafka", kafka.is_some()), ("l7proto", l7proto.is_some()), ("l7", l7.is_some())] {
        if given {
            check.problem(&format!("{path}.{field}"), format!("`{field}` was removed from Cilium 1.20"));
        }
    }
    if place.host && place.direction == Direction::Ingress && kinds.contains(&true) {
        check.problem(path, "`rules` are not supported at a node's ingress");
    }
    if let Some(items) = http.as_deref().filter(|items| !items.is_empty()) {
        if place.host && place.direction == Direction::Egress {
            check.problem(&format!("{path}.http"), "HTTP rules are not supported at a node's egress");
        }
        let one = |(index, item)| self::http(check, &format!("{path}.http[{index}]"), item);
        return Some(Inspection::Http(items.iter().enumerate().map(one).collect()));
    }
    let items = dns.as_deref().filter(|items| !items.is_empty())?;
    if place.direction == Direction::Ingress {
        check.problem(&format!("{path}.dns"), "DNS rules are not supported at ingress");
    }
    if place.host {
        check
            .not_simulated(&format!("{path}.dns"), "nodes ask for names past the proxy: every name resolves");
    }
    let mut names = Vec::new();
    for (index, item) in items.iter().enumerate() {
        names.extend(cilium_peer::name_pattern(check, &format!("{path}.dns[{index}]"), item));
    }
    Some(Inspection::Dns(names))
}

fn http(check: &mut Check, path: &str, rule: &HttpRule) -> http::HttpRule {
    let HttpRule { method, path: request_path, host, headers, header_matches } = rule;
    let mut pattern = |field: &str, written: &Option<String>| {
        let text = written.as_deref().filter(|text| !text.is_empty())?;
        match Pattern::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                check.problem(&format!("{path}.{field}"), format!("`{text}` {error}"));
                None
            }
        }
    };
    let (method, request_path) = (pattern("method", method), pattern("path", request_path));
    let host = pattern("host", host);
    let mut wanted = Vec::new();
    for (index, text) in headers.iter().flatten().enumerate() {
        let (name, value) = match text.split_once(' ') {
            Some((name, value)) => (name, HeaderValue::Exactly(value.into())),
            None => (text.as_str(), HeaderValue::Present),
        };
        let name = name.trim_end_matches(':');
        check_header(check, &format!("{path}.headers[{index}]"), name);
        wanted.push(http::HeaderMatch { name: name.into(), value, mismatch: None });
    }
    for (index, item) in header_matches.iter().flatten().enumerate() {
        wanted.push(header_match(check, &format!("{path}.headerMatches[{index}]"), item));
    }
    http::HttpRule { method, path: request_path, host, headers: wanted }
}

fn header_match(check: &mut Check, path: &str, item: &HeaderMatch) -> http::HeaderMatch {
    let HeaderMatch { name, value, secret, mismatch } = item;
    check_header(check, &format!("{path}.name"), name);
    if let Some(SecretName { namespace: _, name }) = secret {
        if name.is_empty() {
            check.problem(&format!("{path}.secret.name"), "the secret's name is missing");
        }
        check.not_simulated(&format!("{path}.secret"), "secrets are not read: the secret counts as missing");
    }
    let mismatch = mismatch.as_deref().filter(|word| !word.is_empty()).and_then(|word| {
        let action = Mismatch::parse(word);
        if action.is_none() {
            check.problem_with(
                &format!("{path}.mismatch"),
                format!("`{word}` is not an action"),
                format!("write one of {}", Mismatch::ALL.map(Mismatch::word).join(", ")),
            );
        }
        action
    });
    // A value beside a secret is what counts while the secret is missing.
    let value = match (value.as_deref().filter(|value| !value.is_empty()), secret) {
        (Some(value), _) => HeaderValue::Exactly(value.into()),
        (None, Some(_)) => HeaderValue::Secret,
        (None, None) => HeaderValue::Present,
    };
    http::HeaderMatch { name: name.clone(), value, mismatch }
}

/// A header's name is a token (RFC 9110 section 5.6.2), perhaps with the colon of a pseudo-header before it.
fn check_header(check: &mut Check, path: &str, name: &str) {
    let token = name.strip_prefix(':').unwrap_or(name);
    if token.is_empty() {
        check.problem(path, "the header's name is missing");
    } else if !token.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        check.problem_with(
            path,
            format!("`{name}` is not the name of a header"),
            "write `Name`, or `Name: value` with a blank after the colon",
        );
    }
}

fn server_names(check: &mut Check, path: &str, written: &[String]) -> Vec<NamePattern> {
    let path = format!("{path}.serverNames");
    if written.is_empty() {
        check.problem(&path, "`serverNames` needs at least one name");
    }
    check.set(&path, written);
    let mut names = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match NamePattern::pattern(text) {
            Ok(pattern) => names.push(pattern),
            Err(error) => check.problem(&format!("{path}[{index}]"), format!("`{text}` {error}")),
        }
    }
    names
}

fn listener(check: &mut Check, path: &str, listener: &Listener, place: Place, has_rules: bool) {
    let Listener { envoy_config, name, priority } = listener;
    if place.direction == Direction::Ingress {
        check.problem(path, format!("listener `{name}` is not allowed at ingress"));
    }
    if has_rules {
        check.problem(path, format!("listener `{name}` may not stand beside `rules`"));
    }
    if name.is_empty() || envoy_config.name.is_empty() {
        check.problem(path, "the listener and its configuration need names");
    }
    match envoy_config.kind.as_deref() {
        None | Some("CiliumClusterwideEnvoyConfig") => {}
        Some("CiliumEnvoyConfig") if !place.clusterwide => {}
        Some("CiliumEnvoyConfig") => check.problem(
            &format!("{path}.envoyConfig.kind"),
            "a cluster-wide policy cannot refer to a `CiliumEnvoyConfig`, which has a namespace",
        ),
        Some(other) => check.problem_with(
            &format!("{path}.envoyConfig.kind"),
            format!("`{other}` is not a kind of configuration"),
            "write `CiliumEnvoyConfig` or `CiliumClusterwideEnvoyConfig`",
        ),
    }
    if priority.is_some_and(|priority| !(1..=100).contains(&priority)) {
        check.problem(&format!("{path}.priority"), "a listener's priority is between 1 and 100");
    }
    check.not_simulated(path, "what the listener does is unknown: the traffic is judged as allowed");
}
