//! Why a flow gets its verdict: the chain from parties to the deciding line, told so that a person can follow.
//!
//! The verdict and its authors are what the compiled path recorded. What is added here is a comparison, condition
//! by condition, of the rules that could have decided: which matched, and which one condition kept another from it.
//!
//! | part | module |
//! | --- | --- |
//! | conditions of rules against a flow | `condition` |
//! | one direction: who selects, who matched, who nearly did | `side` |
//! | conditions in words | `words` |
//! | one change, made | `edit` |
//! | changes that turn the verdict over | `flip` |
//! | the chain as text | `text` |

mod condition;
mod edit;
mod flip;
mod side;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub(crate) use words::{is_named, requirement, service};

use egret_core::Protocol;
use egret_core::fqdn::Names;
use egret_core::identity::LabelSet;
use egret_core::judge::{self, Answer, End, Question, Unanswerable};
use egret_shared::Direction;
use serde::Serialize;

use crate::cluster::Cluster;
use crate::verdict::answer::Rendered;
use side::Side;

/// Everything that leads to one verdict.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The question: `default/a -> default/b:80/TCP`.
    question: String,
    /// The verdict, as `egret verdict` gives it.
    #[serde(flatten)]
    verdict: Rendered,
    /// The party that opens the connection.
    from: Party,
    /// The party that it is for, after service translation.
    to: Party,
    /// At the endpoint that opens the connection.
    #[serde(rename = "egressRules")]
    egress: Side,
    /// At the endpoint that it is for.
    #[serde(rename = "ingressRules")]
    ingress: Side,
    /// Changes each of which turns the verdict over; every one was made, and the cluster judged again. `None`: nobody
    /// asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    flips: Option<Vec<String>>,
}

/// A party as policies see it.
#[derive(Debug, Serialize)]
struct Party {
    /// `pod default/a`, `node node-1`, `192.0.2.1`.
    name: String,
    /// Number of its identity.
    identity: u32,
    /// Labels of the identity.
    labels: Vec<String>,
    /// Node, where it is a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// A flow after service translation.
struct Flow {
    protocol: Protocol,
    port: u16,
}

/// One answer with both of its ends looked at.
struct Looked {
    answer: Answer,
    from: End,
    to: End,
    flow: Flow,
    egress: Side,
    ingress: Side,
}

/// Explains one answer, without the changes that would turn it over, which take as many compilations.
///
/// # Errors
/// A party is not in the world, or a service has no such port.
pub fn explain(
    cluster: &Cluster,
    compiled: &judge::Cluster,
    question: &Question,
) -> Result<Explanation, Unanswerable> {
    Ok(look(cluster, compiled, question)?.explanation(cluster, compiled, question))
}

/// Explains one answer, and tries what would turn it over.
///
/// # Errors
/// As for [`explain`].
pub fn explain_with_flips(
    cluster: &Cluster,
    compiled: &judge::Cluster,
    names: &Names,
    question: &Question,
) -> Result<Explanation, Unanswerable> {
    let looked = look(cluster, compiled, question)?;
    let flips = looked.edits(cluster, names, question).iter().map(ToString::to_string).collect();
    Ok(Explanation { flips: Some(flips), ..looked.explanation(cluster, compiled, question) })
}

/// The changes that turn a verdict over.
#[cfg(test)]
fn edits(
    cluster: &Cluster,
    compiled: &judge::Cluster,
    names: &Names,
    question: &Question,
) -> Result<Vec<edit::Edit>, Unanswerable> {
    Ok(look(cluster, compiled, question)?.edits(cluster, names, question))
}

fn look(cluster: &Cluster, compiled: &judge::Cluster, question: &Question) -> Result<Looked, Unanswerable> {
    let answer = compiled.ask(question)?;
    let chosen = answer.service.as_ref().and_then(|service| service.chosen);
    let (to, port) = match chosen {
        Some((address, port)) => (judge::Party::Address(address), port),
        None => (question.to.clone(), question.port),
    };
    let from = match &answer.egress.endpoint {
        Some(pod) => judge::Party::Pod(pod.clone()),
        None => question.from.clone(),
    };
    let (from, to) = (compiled.find(&from)?, compiled.find(&to)?);
    let flow = Flow { protocol: question.protocol, port };
    let egress = Side::new(cluster, compiled, (&from, &to), &answer.egress, Direction::Egress, &flow);
    let ingress = Side::new(cluster, compiled, (&to, &from), &answer.ingress, Direction::Ingress, &flow);
    Ok(Looked { answer, from, to, flow, egress, ingress })
}

// === impl Looked ===

impl Looked {
    fn explanation(self, cluster: &Cluster, compiled: &judge::Cluster, question: &Question) -> Explanation {
        let Self { answer, from, to, flow: _, egress, ingress } = self;
        let Question { from: asking, to: asked, protocol, port, layer7: _ } = question;
        Explanation {
            question: format!("{asking} -> {asked}:{port}/{protocol}"),
            verdict: Rendered::new(&answer, &cluster.policies),
            from: Party::new(cluster, compiled, &from, answer.ingress.peer),
            to: Party::new(cluster, compiled, &to, answer.egress.peer),
            egress,
            ingress,
            flips: None,
        }
    }

    fn edits(&self, cluster: &Cluster, names: &Names, question: &Question) -> Vec<edit::Edit> {
        let Self { answer, from, to, flow, egress, ingress } = self;
        let around = flip::Around {
            desired: &cluster.desired,
            names,
            question,
            answer,
            ends: [from, to],
            sides: [egress, ingress],
            flow,
        };
        around.flips()
    }
}

// === impl Party ===

impl Party {
    fn new(
        cluster: &Cluster,
        compiled: &judge::Cluster,
        end: &End,
        identity: egret_shared::Identity,
    ) -> Self {
        let (name, node) = match end {
            End::Endpoint { pod, .. } => {
                let node = cluster.desired.world.pods.get(pod).map(|pod| pod.node.clone());
                (format!("pod {pod}"), node)
            }
            End::Node { .. } => ("a node".to_owned(), None),
            End::Reserved(identity) => (identity.reserved_name().unwrap_or("nobody").to_owned(), None),
            End::Outside { address, .. } => (address.to_string(), None),
            End::Frontend { address, name, .. } => (format!("{address} of service {name}"), None),
            End::Service(name) => (format!("service {name}"), None),
        };
        let state = compiled.state(end.node().unwrap_or(0));
        let labels =
            state.and_then(|state| state.labels.get(&identity)).map(LabelSet::texts).unwrap_or_default();
        Self { name, identity: identity.0, labels, node }
    }
}
