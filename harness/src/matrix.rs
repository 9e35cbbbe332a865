//! Who can talk to whom, as a page: parties with their names, and for each pair what passes and who decides.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | build | the core's matrix -> named parties and pairs, filtered | this one |
//! | render | those -> bytes | `text`, `data`, `html` |

mod data;
mod html;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use std::collections::BTreeMap;

use egret_core::judge::{Cluster, SideVerdict};
use egret_core::matrix::{Cell, Matrix, Side, Traffic, Who, traffic_of};
use egret_core::{Author, ObjectName, Protocol};
use serde::Serialize;

use crate::case::PolicyLocations;
use crate::verdict::answer::By;
use crate::workload::workload;

/// What a person asks to see.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Protocols and ports; when empty, what pods serve and policies name.
    pub traffic: Vec<Traffic>,
    /// Parties that open connections; when empty, all.
    pub from: Vec<Filter>,
    /// Parties that are asked; when empty, all.
    pub to: Vec<Filter>,
}

/// A pattern of parties: `ns/pod` with `*` for any characters, a namespace, a prefix, or `world`, `host`,
/// `remote-node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

/// The whole page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// What was asked about, as `80/TCP`.
    pub traffic: Vec<String>,
    /// The parties, in the order in which they are numbered from 1.
    pub parties: Vec<Party>,
    /// Every pair, by sender and then by receiver.
    pub pairs: Vec<Pair>,
}

/// One party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Number on this page.
    pub number: usize,
    /// Its workloads, or the word for what is no pod.
    pub name: String,
    /// Its pods, which nobody can tell apart.
    pub pods: Vec<String>,
    /// It opens connections on this page.
    #[serde(skip)]
    pub sends: bool,
    /// It is asked on this page.
    #[serde(skip)]
    pub receives: bool,
}

/// One pair of parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Number of the party that opens the connection.
    pub from: usize,
    /// Number of the party that is asked.
    pub to: usize,
    /// One for each traffic of the page, in its order.
    pub flows: Vec<Flow>,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// As `80/TCP`.
    pub traffic: String,
    /// `forwarded`, `redirected` or `dropped`.
    pub verdict: &'static str,
    /// At the sender.
    pub egress: Decision,
    /// At the receiver.
    pub ingress: Decision,
}

/// One direction of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// `allowed`, `denied`, `redirected` or `unenforced`.
    pub verdict: &'static str,
    /// Who decided; empty where no rule took part.
    pub by: Vec<By>,
}

/// Builds the page of a compiled cluster.
#[must_use]
pub fn page(cluster: &Cluster, places: &PolicyLocations, wanted: &Wanted) -> Page {
    let traffic =
        if wanted.traffic.is_empty() { traffic_of(cluster.desired()) } else { wanted.traffic.clone() };
    let matrix = Matrix::new(cluster, &traffic);
    let mut shown = Vec::new();
    let mut parties = Vec::new();
    for (place, who) in matrix.parties().enumerate() {
        for ((sends, receives), pods) in roles(who, wanted) {
            shown.push(place);
            parties.push(Party {
                number: shown.len(),
                name: name(who, &pods, cluster),
                pods: pods.iter().map(ToString::to_string).collect(),
                sends,
                receives,
            });
        }
    }
    let names = Names { matrix: &matrix, places };
    let mut pairs = Vec::new();
    for (from, source) in shown.iter().zip(&parties).filter(|(_, party)| party.sends) {
        for (to, target) in shown.iter().zip(&parties).filter(|(_, party)| party.receives) {
            // A pod that is left alone of a party is not asked about itself.
            if source.number == target.number && source.pods.len() == 1 {
                continue;
            }
            let cells =
                (0..traffic.len()).filter_map(|at| Some((traffic.get(at)?, matrix.cell(*from, *to, at)?)));
            let flows: Vec<Flow> = cells.map(|(traffic, cell)| names.flow(traffic, cell)).collect();
            if !flows.is_empty() {
                pairs.push(Pair { from: source.number, to: target.number, flows });
            }
        }
    }
    Page { traffic: traffic.iter().map(traffic_text).collect(), parties, pairs }
}

/// `80/TCP`.
#[must_use]
pub fn traffic_text((protocol, port): &Traffic) -> String {
    format!("{port}/{protocol}")
}

/// Reads `80`, which is TCP, `53/UDP` or `8/ICMP`.
///
/// # Errors
/// What is wrong, for a command line.
pub fn parse_traffic(text: &str) -> Result<Traffic, String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
    let protocol = Protocol::parse(protocol)
        .ok_or_else(|| format!("`{protocol}` is not one of TCP, UDP, SCTP, ICMP, ICMPv6"))?;
    Ok((protocol, port))
}

/// A party's pods by what the filters make of them, whether they send and whether they receive; those that do
/// neither are left out. What is no pod is one part without pods.
fn roles<'a>(who: &'a Who, wanted: &Wanted) -> Vec<((bool, bool), Vec<&'a ObjectName>)> {
    let takes =
        |filters: &[Filter], takes: &dyn Fn(&Filter) -> bool| filters.is_empty() || filters.iter().any(takes);
    let role = |is: &dyn Fn(&Filter) -> bool| (takes(&wanted.from, is), takes(&wanted.to, is));
    let mut parts: BTreeMap<(bool, bool), Vec<&ObjectName>> = BTreeMap::new();
    for pod in who.pods() {
        parts.entry(role(&|filter| filter.takes_pod(pod))).or_default().push(pod);
    }
    if who.pods().is_empty() {
        let word = who.to_string();
        parts.insert(role(&|filter| filter.0 == word), Vec::new());
    }
    parts.remove(&(false, false));
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by(|(_, one), (_, other)| one.cmp(other));
    parts
}

/// The workloads of a party's pods, or the word for what is no pod.
fn name(who: &Who, pods: &[&ObjectName], cluster: &Cluster) -> String {
    let mut workloads: BTreeMap<ObjectName, usize> = BTreeMap::new();
    for pod in pods.iter().copied() {
        *workloads.entry(workload(pod, cluster.desired().world.pods.get(pod))).or_default() += 1;
    }
    if workloads.is_empty() {
        return who.to_string();
    }
    let names: Vec<String> = workloads
        .iter()
        .map(|(name, count)| if *count == 1 { name.to_string() } else { format!("{name} ×{count}") })
        .collect();
    names.join(", ")
}

/// Names for a matrix's numbers.
pub(crate) struct Names<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) places: &'a PolicyLocations,
}

impl Names<'_> {
    /// A cell in words.
    pub(crate) fn flow(&self, traffic: &Traffic, cell: Cell) -> Flow {
        Flow {
            traffic: traffic_text(traffic),
            verdict: verdict(&cell),
            egress: self.decision(cell.egress),
            ingress: self.decision(cell.ingress),
        }
    }

    fn decision(&self, side: Side) -> Decision {
        Decision::new(side.verdict, self.matrix.author(side), self.places)
    }
}

/// The word for both directions together.
fn verdict(cell: &Cell) -> &'static str {
    match (cell.passes(), cell.is_redirected()) {
        (true, true) => "redirected",
        (true, false) => "forwarded",
        (false, _) => "dropped",
    }
}

// === impl Filter ===

impl Filter {
    /// Understands a pattern; any text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn takes_pod(&self, pod: &ObjectName) -> bool {
        if self.0.contains('/') { fits(&self.0, &pod.to_string()) } else { fits(&self.0, &pod.namespace) }
    }
}

/// Whether a text fits a pattern whose stars stand for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(begin) else { return false };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().any(|at| text.get(at..).is_some_and(|left| fits(rest, left)))
}

/// `NetworkPolicy a/deny default deny (policies.yaml:3)`.
fn by_text(by: &By) -> String {
    let By { kind, namespace, name, rule, file, line } = by;
    let mut text = kind.clone();
    if let Some(name) = name {
        text += &match namespace {
            Some(namespace) => format!(" {namespace}/{name}"),
            None => format!(" {name}"),
        };
        text += &format!(" {}", rule.as_deref().unwrap_or("default deny"));
    }
    if let (Some(file), Some(line)) = (file, line) {
        text += &format!(" ({file}:{line})");
    }
    text
}

// === impl Decision ===

impl Decision {
    /// A verdict and its authors, with the places of what they wrote.
    pub(crate) fn new<'a>(
        verdict: SideVerdict,
        by: impl IntoIterator<Item = &'a Author>,
        places: &PolicyLocations,
    ) -> Self {
        let by = by.into_iter().flat_map(|author| By::of(author, places)).collect();
        Self { verdict: verdict.word(), by }
    }
}

/// `allowed by …`.
impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.verdict)?;
        for (at, by) in self.by.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { " by " } else { ", " }, by_text(by))?;
        }
        Ok(())
    }
}

// === impl Flow ===

impl Flow {
    /// Whether it passes both ends, perhaps through a proxy.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.verdict != "dropped"
    }

    /// Whether any policy was asked about it.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        [&self.egress, &self.ingress].iter().any(|side| side.verdict != SideVerdict::Unenforced.word())
    }
}

// === impl Page ===

impl Page {
    /// The pair of two parties, by their numbers.
    #[must_use]
    pub fn pair(&self, from: usize, to: usize) -> Option<&Pair> {
        self.pairs
            .binary_search_by_key(&(from, to), |pair| (pair.from, pair.to))
            .ok()
            .and_then(|at| self.pairs.get(at))
    }

    /// The page for people: a table, and with `why` the deciders below it.
    #[must_use]
    pub fn text(&self, why: bool) -> String {
        text::terminal(self, why)
    }

    /// A table in GitHub's Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        text::markdown(self)
    }

    /// One line for each flow.
    #[must_use]
    pub fn csv(&self) -> String {
        data::csv(self)
    }

    /// A graph for Graphviz: an edge for each pair of which something passes.
    #[must_use]
    pub fn dot(&self) -> String {
        data::dot(self)
    }

    /// One file for a browser, which loads nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        html::render(self)
    }
}

// === impl Pair ===

impl Pair {
    /// What passes, in few words: `all`, `-`, `80/TCP 443/TCP`, or `all but 22/TCP`. A star marks what a proxy
    /// has the last word about.
    #[must_use]
    pub fn summary(&self) -> String {
        let word = |flow: &Flow| {
            let star = if flow.verdict == "redirected" { "*" } else { "" };
            format!("{}{star}", flow.traffic)
        };
        let list = |passing: bool| -> Vec<String> {
            self.flows.iter().filter(|flow| flow.passes() == passing).map(word).collect()
        };
        let (passing, dropped) = (list(true), list(false));
        let plain = passing.iter().all(|word| !word.ends_with('*'));
        match (passing.len(), dropped.len()) {
            (_, 0) if plain => "all".to_owned(),
            (0, _) => "-".to_owned(),
            (many, few) if plain && few * 2 < many => format!("all but {}", dropped.join(" ")),
            _ => passing.join(" "),
        }
    }
}
