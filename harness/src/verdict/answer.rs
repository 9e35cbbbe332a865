//! A verdict as JSON. The fields are part of the command's contract.

use egret_core::Author;
use egret_core::author::PolicyId;
use egret_core::judge::{Answer, Layer7Answer, SideAnswer};
use egret_shared::Direction;
use serde::Serialize;

use crate::case::PolicyLocations;

/// A verdict with files and lines.
#[derive(Debug, Serialize)]
pub struct Rendered {
    /// `forwarded` or `dropped`.
    verdict: &'static str,
    /// Why it is dropped, as Hubble calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    egress: Side,
    ingress: Side,
    /// What a proxy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    l7: Option<Layer7>,
    /// What a service stood for.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
}

#[derive(Debug, Serialize)]
struct Side {
    verdict: &'static str,
    explicit: bool,
    by: Vec<By>,
}

#[derive(Debug, Serialize)]
struct Layer7 {
    verdict: &'static str,
    direction: &'static str,
    by: Vec<By>,
}

#[derive(Debug, Serialize)]
struct Service {
    namespace: String,
    name: String,
    /// Backend that the verdict is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    /// Every backend.
    backends: Vec<String>,
    /// All of them get this verdict.
    agree: bool,
}

/// Who decided. Of a default deny, each policy that switches it on, without `rule`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct By {
    /// Kind of the policy; `kubelet` for the rule that lets a pod's own node in.
    pub kind: String,
    /// Namespace of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of the rule below `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// File that the policy was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of the rule, or of the policy's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

// === impl Rendered ===

impl Rendered {
    /// Finds files and lines.
    #[must_use]
    pub fn new(answer: &Answer, locations: &PolicyLocations) -> Self {
        let dropped = answer.dropped();
        Self {
            verdict: if dropped.is_some() { "dropped" } else { "forwarded" },
            reason: dropped.map(|reason| reason.hubble()),
            egress: Side::new(&answer.egress, locations),
            ingress: Side::new(&answer.ingress, locations),
            l7: answer.layer7.as_ref().map(|layer7| Layer7::new(layer7, locations)),
            service: answer.service.as_ref().map(|service| {
                let text = |(address, port): &(std::net::IpAddr, u16)| {
                    std::net::SocketAddr::new(*address, *port).to_string()
                };
                Service {
                    namespace: service.name.namespace.clone(),
                    name: service.name.name.clone(),
                    backend: service.chosen.as_ref().map(text),
                    backends: service.backends.iter().map(text).collect(),
                    agree: service.agree,
                }
            }),
        }
    }

    /// The verdict and its reason in words.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.reason {
            Some(reason) => format!("{}, {reason}", self.verdict),
            None => self.verdict.to_owned(),
        }
    }

    /// Verdict at the endpoint that opens the connection.
    #[must_use]
    pub fn egress_word(&self) -> String {
        self.egress.word()
    }

    /// Verdict at the endpoint that the connection is for.
    #[must_use]
    pub fn ingress_word(&self) -> String {
        self.ingress.word()
    }

    /// What a service stood for.
    #[must_use]
    pub fn service_line(&self) -> Option<String> {
        let Service { namespace, name, backend, backends, agree } = self.service.as_ref()?;
        let Some(backend) = backend else {
            return Some(format!("service {namespace}/{name} has no backend"));
        };
        let others = match (backends.len(), agree) {
            (1, _) => "its only backend".to_owned(),
            (number, true) => format!("one of {number} backends, which all get this verdict"),
            (number, false) => format!("one of {number} backends, which get different verdicts"),
        };
        Some(format!("service {namespace}/{name} leads to {backend}, {others}"))
    }

    /// What a proxy says.
    #[must_use]
    pub fn layer7_line(&self) -> Option<String> {
        let Layer7 { verdict, direction, by } = self.l7.as_ref()?;
        let by: Vec<_> = by
            .iter()
            .map(|by| {
                let name = by.name.as_deref().unwrap_or_default();
                format!("{} {name} {}", by.kind, by.rule.as_deref().unwrap_or_default())
            })
            .collect();
        Some(format!("the {direction} proxy: {verdict} by {}", by.join(", ")))
    }

    /// Ends a line that a question began.
    pub(super) fn write_behind_question(&self, out: &mut Vec<u8>) {
        let start = out.len();
        serde_json::to_writer(&mut *out, self).expect("plain structs of text always serialise");
        // The object's own brace is the comma behind the question.
        out[start] = b',';
        out.push(b'\n');
    }
}

impl Side {
    /// The verdict, and whether a default gave it.
    fn word(&self) -> String {
        match (self.explicit, self.by.is_empty()) {
            (false, false) => format!("{} by default", self.verdict),
            (true, _) | (false, true) => self.verdict.to_owned(),
        }
    }

    fn new(side: &SideAnswer, locations: &PolicyLocations) -> Self {
        Self { verdict: side.verdict.word(), explicit: side.explicit, by: all_by(&side.by, locations) }
    }
}

impl Layer7 {
    fn new(layer7: &Layer7Answer, locations: &PolicyLocations) -> Self {
        Self {
            verdict: if layer7.allowed { "allowed" } else { "denied" },
            direction: match layer7.direction {
                Direction::Ingress => "ingress",
                Direction::Egress => "egress",
            },
            by: all_by(&layer7.by, locations),
        }
    }
}

/// Everybody who decided, with files and lines.
fn all_by(authors: &[Author], locations: &PolicyLocations) -> Vec<By> {
    authors.iter().flat_map(|author| By::of(author, locations)).collect()
}

// === impl By ===

impl By {
    /// An author, with files and lines; several for a default deny that several policies switch on.
    #[must_use]
    pub fn of(author: &Author, locations: &PolicyLocations) -> Vec<Self> {
        let places = locations.of(author);
        let of_policy = |policy: &PolicyId, rule: Option<&String>, place: usize| Self {
            kind: policy.kind.clone(),
            namespace: policy.namespace.clone(),
            name: Some(policy.name.clone()),
            rule: rule.cloned(),
            file: places.get(place).map(|at| at.source.path.display().to_string()),
            line: places.get(place).map(|at| at.line),
        };
        match author {
            Author::Kubelet => vec![Self {
                kind: "kubelet".to_owned(),
                namespace: None,
                name: None,
                rule: None,
                file: None,
                line: None,
            }],
            Author::Rule { policy, path } => vec![of_policy(policy, Some(path), 0)],
            Author::DefaultDeny { because } => {
                because.iter().enumerate().map(|(place, policy)| of_policy(policy, None, place)).collect()
            }
        }
    }
}

/// A key's bytes and a number behind them.
pub(super) fn write_number(key: &[u8], number: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    serde_json::to_writer(out, &number).expect("numbers always serialise");
}

/// A text as JSON.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text always serialises");
}
