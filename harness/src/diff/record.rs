//! Flows that were recorded, as verdict lines or as Hubble exports them, asked again under both versions.

use std::io::BufRead;
use std::net::IpAddr;

use egret_core::judge::{Cluster, Party, Question};
use egret_core::{ObjectName, Protocol};
use serde::Deserialize;

use super::{Change, Collected, Count, Difference, Effect, Outcome, Version, workload_of};
use crate::case::PolicyLocations;
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

/// `hubble observe -o jsonpb`, or the flow inside it.
#[derive(Deserialize)]
struct Wrapped {
    flow: Flow,
}

#[derive(Deserialize)]
struct Flow {
    #[serde(rename = "IP")]
    ip: Option<Ip>,
    l4: Option<L4>,
    #[serde(default)]
    source: Endpoint,
    #[serde(default)]
    destination: Endpoint,
    is_reply: Option<bool>,
}

#[derive(Deserialize)]
struct Ip {
    source: IpAddr,
    destination: IpAddr,
}

/// One of them is there; another protocol has none of these.
#[derive(Default, Deserialize)]
#[serde(default)]
struct L4 {
    #[serde(rename = "TCP")]
    tcp: Option<Ports>,
    #[serde(rename = "UDP")]
    udp: Option<Ports>,
    #[serde(rename = "SCTP")]
    sctp: Option<Ports>,
    #[serde(rename = "ICMPv4")]
    icmpv4: Option<Icmp>,
    #[serde(rename = "ICMPv6")]
    icmpv6: Option<Icmp>,
}

#[derive(Deserialize)]
struct Ports {
    #[serde(default)]
    destination_port: u16,
}

#[derive(Deserialize)]
struct Icmp {
    #[serde(default, rename = "type")]
    kind: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    namespace: String,
    pod_name: String,
    labels: Vec<String>,
    workloads: Vec<WorkloadName>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadName {
    name: String,
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
    let flow = if is("flow") {
        Wrapped::deserialize(&value).map_err(|error| format!("not a Hubble flow: {error}"))?.flow
    } else if is("from") || is("to") {
        let line = OwnLine::deserialize(&value).map_err(|error| format!("not a flow: {error}"))?;
        return own(&line).map(Recorded::Flow);
    } else if is("id") && is("error") {
        return Ok(Recorded::Skipped);
    } else if is("IP") {
        Flow::deserialize(&value).map_err(|error| format!("not a Hubble flow: {error}"))?
    } else {
        return Err("neither `from` and `to`, nor a Hubble `flow`".to_owned());
    };
    Ok(hubble(flow).map_or(Recorded::Skipped, Recorded::Flow))
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
fn hubble(flow: Flow) -> Option<Seen> {
    if flow.is_reply == Some(true) {
        return None;
    }
    let ip = flow.ip?;
    let L4 { tcp, udp, sctp, icmpv4, icmpv6 } = flow.l4?;
    let ports = [(Protocol::Tcp, tcp), (Protocol::Udp, udp), (Protocol::Sctp, sctp)];
    let ports = ports.into_iter().map(|(protocol, ports)| Some((protocol, ports?.destination_port)));
    let types = [(Protocol::Icmp, icmpv4), (Protocol::Icmpv6, icmpv6)];
    let types = types.into_iter().map(|(protocol, icmp)| Some((protocol, icmp?.kind)));
    let (protocol, port) = ports.chain(types).flatten().next()?;
    Some(Seen {
        from: flow.source.named(ip.source),
        to: flow.destination.named(ip.destination),
        protocol,
        port,
    })
}

impl Endpoint {
    fn named(&self, address: IpAddr) -> Named {
        let has = |label: &str| self.labels.iter().any(|found| found == label);
        let party = if !self.pod_name.is_empty() {
            Party::Pod(ObjectName::new(&self.namespace, &self.pod_name))
        } else if has("reserved:host") {
            Party::Host
        } else if has("reserved:kube-apiserver") {
            Party::KubeApiserver
        } else if has("reserved:remote-node") {
            Party::RemoteNode
        } else {
            Party::Address(address)
        };
        Named { party, workload: self.workloads.first().map(|workload| workload.name.clone()) }
    }
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
