//! ICMP types by family, number and name (policy semantics 2.13).

use alloc::format;
use alloc::vec::Vec;

use super::check::{Check, rule_path};
use super::cilium_network_policy::{IcmpField, IcmpRule};
use super::cilium_port::MAX_ITEMS;
use super::network_policy::IntOrString;
use crate::protocol::Protocol;
use crate::rule::{PortMatch, PortRule};

/// Names of ICMP types (Cilium `pkg/policy/api/icmp.go`).
const V4: [(&str, u16); 14] = [
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

/// Names of ICMPv6 types (Cilium `pkg/policy/api/icmp.go`).
const V6: [(&str, u16); 25] = [
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
];

/// The types of `icmps`, in the place of ports.
pub(super) fn ports(check: &mut Check, path: &str, rules: &[IcmpRule]) -> Vec<PortRule> {
    let mut listed = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.icmps[{index}]");
        let fields = rule.fields.as_deref().unwrap_or_default();
        if fields.len() > MAX_ITEMS {
            check.problem(
                &format!("{path}.fields"),
                format!("{} types: at most {MAX_ITEMS} are allowed", fields.len()),
            );
        }
        for (index, field) in fields.iter().enumerate() {
            let at = format!("{path}.fields[{index}]");
            let Some((protocol, number)) = kind(check, &at, field) else { continue };
            // Type 0 takes the place of "every port" in Cilium's keys and matches every type (15 row 13).
            let port = if number == 0 { PortMatch::Every } else { PortMatch::Range(number, number) };
            listed.push(PortRule { path: rule_path(&path), protocol, port, inspect: None });
        }
    }
    listed
}

fn kind(check: &mut Check, path: &str, field: &IcmpField) -> Option<(Protocol, u16)> {
    let IcmpField { family, kind } = field;
    let (protocol, names): (_, &[(&str, u16)]) = match family.as_deref() {
        None | Some("IPv4") => (Protocol::Icmp, &V4),
        Some("IPv6") => (Protocol::Icmpv6, &V6),
        Some(other) => {
            check.problem_with(
                &format!("{path}.family"),
                format!("`{other}` is not an address family"),
                "write `IPv4` or `IPv6`",
            );
            return None;
        }
    };
    let number = match kind {
        IntOrString::Int(number) => u8::try_from(*number).ok().map(u16::from),
        IntOrString::String(text) => match text.parse::<u8>() {
            Ok(number) => Some(u16::from(number)),
            Err(_) => names.iter().find(|(name, _)| name == text).map(|(_, number)| *number),
        },
    };
    let Some(number) = number else {
        let shown = match kind {
            IntOrString::Int(number) => format!("{number}"),
            IntOrString::String(text) => text.clone(),
        };
        check.problem_with(
            &format!("{path}.type"),
            format!("`{shown}` is not a type of {protocol}"),
            "write a number from 0 to 255, or a name such as `EchoRequest`",
        );
        return None;
    };
    Some((protocol, number))
}
