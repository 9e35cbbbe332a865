//! Changes of the world inside a step.

use std::sync::Arc;
use std::time::Duration;

use egret_core::{Labels, ObjectName};

use super::State;
use super::gather::gather;
use super::parts::{Given, Parts};
use super::piece::Piece;
use super::problems::Problems;
use super::target;
use crate::case::StepEvent;
use crate::case::schema::{AgentFile, ChangeFile, LabelFile, LinkFile, LinkWord, NodeRef, ObjectRef};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Source};
use crate::yaml::{Located, Short};

/// Units of a duration, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Makes one change; an event is returned where the change is not a state.
pub(super) fn make(
    change: &Located<ChangeFile>,
    source: &Arc<Source>,
    state: &mut State,
    problems: &mut Problems,
) -> Option<StepEvent> {
    let at = change.at.in_source(source);
    match &change.value {
        ChangeFile::Label(label) => relabel(label, &at, source, state, problems),
        ChangeFile::Add(world) => {
            let mut parts = Parts::default();
            gather(&mut parts, source, world, &state.files, problems);
            state.world.add(&parts, problems);
        }
        ChangeFile::Remove(object) => remove(object, source, state, problems),
        ChangeFile::Dns(records) => {
            let parts = records.0.iter().map(|(name, records)| {
                let key = name.value.trim_end_matches('.').to_lowercase();
                (key, Given::new(source, name.at, records.clone()))
            });
            state.world.replace_records(&parts.collect(), problems);
        }
        ChangeFile::Clock(duration) => {
            let at = duration.at.in_source(source);
            return duration_of(&duration.value, at, problems).map(StepEvent::Clock);
        }
        ChangeFile::Restart(Short::Word(word)) => {
            let agents = (word == "agent").then_some(StepEvent::Restart { node: None });
            return problems.expect(agents, || {
                Diagnostic::error(format!("`{word}` does not start again")).at(at).help(
                    "`restart: agent` for every node's, `restart: { agent: node-1 }` for one; a whole node: \
                         `stop: { node: node-1 }`, then `start: { node: node-1 }`",
                )
            });
        }
        ChangeFile::Restart(Short::Long(AgentFile { agent: node })) => {
            let node = running(node, source, state, problems);
            return node.map(|node| StepEvent::Restart { node: Some(node) });
        }
        ChangeFile::Link(LinkFile { node, state: word }) => {
            let up = match word {
                LinkWord::Up => true,
                LinkWord::Down => false,
            };
            return running(node, source, state, problems).map(|node| StepEvent::Link { node, up });
        }
        ChangeFile::Stop(NodeRef { node }) => {
            let node = running(node, source, state, problems)?;
            state.stopped.insert(node.clone());
            return Some(StepEvent::Stop { node });
        }
        ChangeFile::Start(NodeRef { node: named }) => {
            let node = existing(named, "node", state.world.world.nodes.keys(), source, problems)?;
            let started = state.stopped.remove(&node).then_some(StepEvent::Start { node });
            return problems.expect(started, || {
                Diagnostic::error(format!("node `{}` runs already", named.value))
                    .at(named.at.in_source(source))
                    .help("only a node that a `stop` has named before can start")
            });
        }
    }
    None
}

fn relabel(
    label: &LabelFile,
    at: &Location,
    source: &Arc<Source>,
    state: &mut State,
    problems: &mut Problems,
) {
    let LabelFile { pod, namespace, node, set, remove } = label;
    if set.is_empty() && remove.is_empty() {
        problems
            .add(Diagnostic::error("this changes no label").at(at.clone()).help("give `set` or `remove`"));
    }
    let world = &mut state.world.world;
    let labels: Option<&mut Labels> = match (pod, namespace, node) {
        (Some(name), None, None) => {
            let place = name.at.in_source(source);
            let pod = target::pod(&Piece::whole(&name.value, &place), world, problems);
            pod.and_then(|pod| world.pods.get_mut(&pod)).map(|pod| &mut pod.labels)
        }
        (None, Some(name), None) => existing(name, "namespace", world.namespaces.keys(), source, problems)
            .and_then(|name| world.namespaces.get_mut(&name)),
        (None, None, Some(name)) => existing(name, "node", world.nodes.keys(), source, problems)
            .and_then(|name| world.nodes.get_mut(&name))
            .map(|node| &mut node.labels),
        _ => {
            problems.add(
                Diagnostic::error("`label` names one `pod`, one `namespace` or one `node`").at(at.clone()),
            );
            None
        }
    };
    let Some(labels) = labels else { return };
    for key in remove {
        if labels.remove(&key.value).is_none() {
            let keys: Vec<_> = labels.keys().collect();
            problems.add(
                Diagnostic::error(format!("there is no label `{}` to remove", key.value))
                    .at(key.at.in_source(source))
                    .nearest(&key.value, &keys),
            );
        }
    }
    labels.extend(set.clone());
}

fn remove(object: &ObjectRef, source: &Arc<Source>, state: &mut State, problems: &mut Problems) {
    let world = &mut state.world.world;
    match object {
        ObjectRef::Pod(name) => {
            let place = name.at.in_source(source);
            if let Some(pod) = target::pod(&Piece::whole(&name.value, &place), world, problems) {
                world.pods.remove(&pod);
            }
        }
        ObjectRef::Service(name) => {
            let service = ObjectName::parse(&name.value);
            if world.services.remove(&service).is_none() {
                let names: Vec<_> = world.services.keys().map(target::short).collect();
                problems.add(missing("service", name, &names, source));
            }
        }
        ObjectRef::Namespace(name) => {
            let Some(namespace) = existing(name, "namespace", world.namespaces.keys(), source, problems)
            else {
                return;
            };
            world.namespaces.remove(&namespace);
            world.pods.retain(|pod, _| pod.namespace != namespace);
            world.services.retain(|service, _| service.namespace != namespace);
            state.policies.retain(|id, _| id.namespace.as_deref() != Some(&namespace));
        }
    }
}

/// A node that must be there and run.
fn running(
    name: &Located<String>,
    source: &Arc<Source>,
    state: &State,
    problems: &mut Problems,
) -> Option<String> {
    let node = existing(name, "node", state.world.world.nodes.keys(), source, problems)?;
    let runs = (!state.stopped.contains(&node)).then_some(node);
    problems.expect(runs, || {
        Diagnostic::error(format!("node `{}` is stopped", name.value))
            .at(name.at.in_source(source))
            .help(format!("it has neither agent nor link before `start: {{ node: {} }}`", name.value))
    })
}

/// A name that must be among these.
fn existing<'a>(
    name: &Located<String>,
    what: &str,
    mut names: impl Iterator<Item = &'a String> + Clone,
    source: &Arc<Source>,
    problems: &mut Problems,
) -> Option<String> {
    let all: Vec<_> = names.clone().collect();
    let found = names.find(|other| **other == name.value).cloned();
    problems.expect(found, || missing(what, name, &all, source))
}

fn missing<T: AsRef<str>>(
    what: &str,
    name: &Located<String>,
    names: &[T],
    source: &Arc<Source>,
) -> Diagnostic {
    Diagnostic::error(format!("there is no {what} `{}`", name.value))
        .at(name.at.in_source(source))
        .nearest(&name.value, names)
}

/// Reads `2h`, `90s` or `1h30m`.
fn duration_of(text: &str, at: Location, problems: &mut Problems) -> Option<Duration> {
    let mut rest = text;
    let mut total = Some(0u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let length = UNITS.iter().find(|(word, _)| *word == unit).map(|(_, length)| *length);
        total = length
            .zip(number.parse::<u64>().ok())
            .and_then(|(length, number)| length.checked_mul(number))
            .and_then(|part| total?.checked_add(part));
        if total.is_none() {
            break;
        }
        rest = behind;
    }
    let duration = total.filter(|total| *total > 0).map(Duration::from_millis);
    problems.expect(duration, || {
        Diagnostic::error(format!("`{text}` is not a duration"))
            .at(at)
            .help("for example `90s`, `2h` or `1h30m`")
    })
}
