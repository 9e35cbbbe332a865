//! Captures in pcapng: one interface per endpoint side, and on each packet that a policy judged a comment with
//! the verdict, the reason and the deciding rule.
//!
//! The subset written here (draft-ietf-opsawg-pcapng): section header, interface description, enhanced packet.

use std::collections::BTreeMap;
use std::io::{self, Write};

use egret_core::Author;
use egret_core::flow::{Event, Flow, Packet};
use egret_shared::{Direction, Verdict};

use super::is_judged;
use crate::case::PolicyLocations;

/// Block types.
mod block {
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// Option codes; those from 2 on mean something else in each block type.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const INTERFACE_NAME: u16 = 2;
    pub(super) const INTERFACE_DESCRIPTION: u16 = 3;
    pub(super) const INTERFACE_RESOLUTION: u16 = 9;
    pub(super) const PACKET_FLAGS: u16 = 2;
}

/// Tells readers the byte order of the section; ours is little-endian.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;
/// Timestamps are in units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// Writes the packets among the flows; flows of proxies have no packet and are left out.
///
/// # Errors
/// The writer's.
pub fn write(flows: &[Flow], policies: &PolicyLocations, out: &mut dyn Write) -> io::Result<()> {
    let mut section = Vec::new();
    section.extend(BYTE_ORDER_MAGIC.to_le_bytes());
    section.extend(1_u16.to_le_bytes()); // major version
    section.extend(0_u16.to_le_bytes()); // minor version
    section.extend(u64::MAX.to_le_bytes()); // length of the section: not given
    push_option(&mut section, option::SECTION_APPLICATION, b"egret");
    push_option(&mut section, option::END, &[]);
    write_block(out, block::SECTION_HEADER, &section)?;

    let interfaces = interfaces(flows);
    for (name, node) in interfaces.keys() {
        write_block(out, block::INTERFACE_DESCRIPTION, &interface(name, node))?;
    }
    for (flow, packet) in packets(flows) {
        let Some(number) = interfaces.get(&interface_of(flow, packet)) else { continue };
        write_block(out, block::ENHANCED_PACKET, &enhanced_packet(flow, packet, *number, policies))?;
    }
    Ok(())
}

fn packets(flows: &[Flow]) -> impl Iterator<Item = (&Flow, &Packet)> {
    flows.iter().filter_map(|flow| match &flow.event {
        Event::Packet(packet) => Some((flow, packet)),
        Event::Dns(_) => None,
    })
}

/// Name and node of the interface on which the packet was seen: the pod's, or the number of a foreign one.
fn interface_of(flow: &Flow, packet: &Packet) -> (String, String) {
    let name = match &flow.endpoint {
        Some(endpoint) => endpoint.pod.to_string(),
        None => format!("interface {}", packet.ifindex),
    };
    (name, flow.node.clone())
}

/// Interfaces in order of name, with the numbers that packets refer to.
fn interfaces(flows: &[Flow]) -> BTreeMap<(String, String), u32> {
    let mut numbers: BTreeMap<(String, String), u32> =
        packets(flows).map(|(flow, packet)| (interface_of(flow, packet), 0)).collect();
    for (number, value) in (0..).zip(numbers.values_mut()) {
        *value = number;
    }
    numbers
}

fn interface(name: &str, node: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(ETHERNET.to_le_bytes());
    body.extend(0_u16.to_le_bytes()); // reserved
    body.extend(0_u32.to_le_bytes()); // capture length: no limit given, packets state their own
    push_option(&mut body, option::INTERFACE_NAME, name.as_bytes());
    push_option(&mut body, option::INTERFACE_DESCRIPTION, format!("endpoint on {node}").as_bytes());
    push_option(&mut body, option::INTERFACE_RESOLUTION, &[NANOSECONDS]);
    push_option(&mut body, option::END, &[]);
    body
}

fn enhanced_packet(flow: &Flow, packet: &Packet, interface: u32, policies: &PolicyLocations) -> Vec<u8> {
    let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    let mut body = Vec::new();
    body.extend(interface.to_le_bytes());
    body.extend(((flow.time >> 32) as u32).to_le_bytes());
    body.extend((flow.time as u32).to_le_bytes());
    body.extend(captured.to_le_bytes());
    body.extend(packet.length.max(captured).to_le_bytes());
    push_padded(&mut body, &packet.bytes);
    if let Some(comment) = comment(flow, policies) {
        push_option(&mut body, option::COMMENT, comment.as_bytes());
    }
    // Bits 0 and 1: 1 inbound, 2 outbound, as seen from the pod that owns the interface.
    let direction: u32 = match flow.direction {
        Direction::Ingress => 1,
        Direction::Egress => 2,
    };
    push_option(&mut body, option::PACKET_FLAGS, &direction.to_le_bytes());
    push_option(&mut body, option::END, &[]);
    body
}

/// `verdict=dropped reason=Policy denied by=default deny (cases/a.yaml:3)`; nothing where nobody judged.
fn comment(flow: &Flow, policies: &PolicyLocations) -> Option<String> {
    let (verdict, reason) = match flow.verdict {
        Verdict::Forwarded => ("forwarded", None),
        Verdict::Redirected(_) => ("redirected", None),
        Verdict::Dropped(reason) => ("dropped", Some(reason)),
    };
    if !is_judged(flow) && reason.is_none() {
        return None;
    }
    let mut text = format!("verdict={verdict}");
    if let Some(reason) = reason {
        text += &format!(" reason={}", reason.text());
    }
    if let Some(by) = &flow.by {
        text += &format!(" by={by}{}", places(by, policies));
    }
    Some(text)
}

fn places(by: &Author, policies: &PolicyLocations) -> String {
    let places: Vec<String> = policies
        .of(by)
        .iter()
        .map(|place| format!("{}:{}", place.source.path.display(), place.line))
        .collect();
    if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) }
}

/// Code, length and padded value; [`option::END`] has no value.
fn push_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    // An option's length has 16 bits; a longer text is cut rather than written with a wrong length.
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    push_padded(body, value);
}

/// The bytes, padded with zeros to a multiple of four.
fn push_padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A block: type, length, body, and the length again, so that readers can go backwards.
fn write_block(out: &mut dyn Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 12).map_err(io::Error::other)?.to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length)?;
    out.write_all(body)?;
    out.write_all(&length)
}

#[cfg(test)]
mod tests;
