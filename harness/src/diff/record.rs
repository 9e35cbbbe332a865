//! Flows that were recorded, as verdict lines or as Hubble exports them, asked again under both versions.

use std::io::BufRead;
use std::net::IpAddr;

use egret_core::judge::{Cluster, Party, Question};
use egret_core::{ObjectName, Protocol};
use serde::Deserialize;

use super::{Change, Collected, Count, Difference, Effect, Outcome, Version, workload_of};
use crate::case::PolicyLocations;
use crate::flows::hubble::read as hubble;
use crate::input::{LONGEST_LINE, LineRead, read_line};
use crate::matrix::{Decision, traffic_text};
use crate::workload::workload;

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Somebody opened a connection.
    Flow(Seen),
    /// A reply, what has no protocol that policies judge, or a line that `egret verdict` could not answer.
    Skipped,
}

/// One connection that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    from: Named,
    to: Named,
    protocol: Protocol,
    port: u16,
}

/// A party as a record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    party: Party,
    /// The workload, for pods whose names come and go.
    workload: Option<String>,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// A line that is no flow.
    #[error("line {line}: {problem}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] std::io::Error),
}

/// A line of `egret verdict`, as it goes in or with the answer beside it.
#[derive(Deserialize)]
struct OwnLine {
    from: String,
    to: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    icmp_type: Option<u16>,
}

/// Reads a record, one JSON object a line; empty lines count for nothing. Only what is compared is kept, so that a
/// record may be larger than memory.
///
/// # Errors
/// The first line that is neither form.
pub fn read(mut input: impl BufRead) -> Result<Vec<Recorded>, InvalidRecord> {
    let (mut record, mut bytes) = (Vec::new(), Vec::new());
    for number in 1.. {
        let is_cut = match read_line(&mut input, &mut bytes)? {
            LineRead::None => break,
            LineRead::Whole => false,
            LineRead::Cut => true,
        };
        let read = match std::str::from_utf8(&bytes) {
            _ if is_cut => Err(format!("longer than {} MiB", LONGEST_LINE >> 20)),
            Err(_) => Err("not UTF-8".to_owned()),
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => line(text),
        };
        record.push(read.map_err(|problem| InvalidRecord::Line { line: number, problem })?);
    }
    Ok(record)
}

fn line(text: &str) -> Result<Recorded, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let is = |key: &str| value.get(key).is_some();
    if is("flow") || (is("IP") && !is("from") && !is("to")) {
        let flow = hubble::flow(&value).map_err(|error| format!("not a Hubble flow: {error}"))?;
        return Ok(of_hubble(flow).map_or(Recorded::Skipped, Recorded::Flow));
    }
    if is("from") || is("to") {
        let line = OwnLine::deserialize(&value).map_err(|error| format!("not a flow: {error}"))?;
        return own(&line).map(Recorded::Flow);
    }
    if is("id") && is("error") {
        return Ok(Recorded::Skipped);
    }
    Err("neither `from` and `to`, nor a Hubble `flow`".to_owned())
}

fn own(line: &OwnLine) -> Result<Seen, String> {
    let party = |text: &str| {
        let party = Party::parse(text).ok_or_else(|| format!("`{text}` is no party"))?;
        Ok::<_, String>(Named { party, workload: None })
    };
    let word = line.protocol.as_deref().unwrap_or("TCP");
    Ok(Seen {
        from: party(&line.from)?,
        to: party(&line.to)?,
        protocol: Protocol::parse(word)
            .or_else(|| Protocol::parse_extended(word))
            .ok_or_else(|| format!("`{word}` is no protocol"))?,
        port: line.icmp_type.unwrap_or(line.port),
    })
}

/// `None`: a reply, or no protocol that policies judge.
fn of_hubble(flow: hubble::Flow) -> Option<Seen> {
    if flow.is_reply == Some(true) {
        return None;
    }
    let ip = flow.ip?;
    let (protocol, _, port) = flow.l4?.ports()?;
    Some(Seen {
        from: named(&flow.source, ip.source),
        to: named(&flow.destination, ip.destination),
        protocol,
        port,
    })
}

fn named(endpoint: &hubble::Endpoint, address: IpAddr) -> Named {
    let has = |label: &str| endpoint.labels.iter().any(|found| found == label);
    let party = if !endpoint.pod_name.is_empty() {
        Party::Pod(ObjectName::new(&endpoint.namespace, &endpoint.pod_name))
    } else if has("reserved:host") {
        Party::Host
    } else if has("reserved:kube-apiserver") {
        Party::KubeApiserver
    } else if has("reserved:remote-node") {
        Party::RemoteNode
    } else {
        Party::Address(address)
    };
    Named { party, workload: endpoint.workloads.first().map(|workload| workload.name.clone()) }
}

/// Judges each recorded flow under both versions.
pub(super) fn compare(old: Version<'_>, new: Version<'_>, record: &[Recorded]) -> Difference {
    let mut count = Count::default();
    let mut collected = Collected::default();
    for recorded in record {
        let Recorded::Flow(seen) = recorded else {
            count.skipped += 1;
            continue;
        };
        let (Some(was), Some(is)) = (outcome(old, seen), outcome(new, seen)) else {
            count.unknown += 1;
            continue;
        };
        count.judged += 1;
        let Some(effect) = Effect::between(was.verdict, is.verdict) else { continue };
        let (from, to) = (name(old.cluster, &seen.from), name(old.cluster, &seen.to));
        let change = Change {
            effect,
            from: from.clone(),
            to: to.clone(),
            traffic: vec![traffic_text(&(seen.protocol, seen.port))],
            old: was,
            new: is,
            flows: Some(1),
        };
        collected.add([&from, &to], change);
    }
    Difference { workloads: collected.finish(), recorded: Some(count), ..Difference::default() }
}

fn outcome(version: Version<'_>, seen: &Seen) -> Option<Outcome> {
    let Version { cluster, places } = version;
    let question = Question {
        from: found(cluster, &seen.from)?,
        to: found(cluster, &seen.to)?,
        protocol: seen.protocol,
        port: seen.port,
        layer7: None,
    };
    let answer = cluster.ask(&question).ok()?;
    let decision = |side: &egret_core::judge::SideAnswer, places: &PolicyLocations| {
        Decision::new(side.verdict, &side.by, places)
    };
    let (egress, ingress) = (decision(&answer.egress, places), decision(&answer.ingress, places));
    let is_redirected = [&egress, &ingress].iter().any(|side| side.verdict == "redirected");
    let verdict = match answer.dropped() {
        Some(_) => "dropped",
        None if is_redirected => "redirected",
        None => "forwarded",
    };
    Some(Outcome { verdict, egress, ingress })
}

/// The party in a cluster; in the place of a pod that is not there, any pod of its workload.
fn found(cluster: &Cluster, named: &Named) -> Option<Party> {
    let Party::Pod(name) = &named.party else { return Some(named.party.clone()) };
    let pods = &cluster.desired().world.pods;
    if pods.contains_key(name) {
        return Some(named.party.clone());
    }
    let wanted = ObjectName::new(&name.namespace, named.workload.as_deref()?);
    let mut of_workload = pods.iter().filter(|(name, pod)| workload(name, Some(pod)) == wanted);
    of_workload.next().map(|(name, _)| Party::Pod((**name).clone()))
}

/// The name under which changes are collected.
fn name(cluster: &Cluster, named: &Named) -> String {
    match (&named.party, &named.workload) {
        (Party::Pod(pod), Some(workload)) => ObjectName::new(&pod.namespace, workload).to_string(),
        (Party::Pod(pod), None) => workload_of(cluster, pod),
        (other, _) => other.to_string(),
    }
}
