//! A case file to a [`Case`]: references resolved, addresses assigned, each step's state complete.

mod address;
mod around;
mod change;
mod expect;
mod files;
mod forge;
mod gather;
mod internet;
mod keep;
mod matrix;
mod misread;
mod object;
mod parts;
mod piece;
mod policy;
mod problems;
mod serve;
mod target;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use egret_core::author::PolicyId;
use egret_core::probe::{Request, Source as From};
use egret_core::rule::{Dialect, Tier};
use egret_core::world::Application;
use egret_core::{Desired, Protocol};
use egret_shared::Proxy;

use super::schema::{CapabilityWord, CaseFile, DialectWord, StepFile};
use super::{Capability, Case, Expect, Expectation, PolicyLocations, Step, StepEvent};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Source};
use crate::yaml::{Document, Located, Manifest, Short, documents, manifests};
pub(crate) use address::Addresses;
use around::Around;
pub(super) use files::Files;
use gather::gather;
use keep::Keeps;
use parts::Parts;
use policy::Policies;
pub(super) use policy::check_policy;
pub(crate) use policy::read as read_policy;
pub(crate) use problems::Problems;
pub(crate) use serve::protocol;
use world::Worldly;
pub(crate) use world::{DEFAULT_NODE, NAMESPACES, namespace_labels, service_port};

/// What a step changes.
struct State {
    world: Worldly,
    policies: Policies,
    /// Nodes that a step has stopped and none has started again.
    stopped: BTreeSet<String>,
    files: Files,
}

/// Reads one case.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub(super) fn lower(name: &str, path: &Path, files: &Files) -> Result<Case, Vec<Diagnostic>> {
    lower_source(name, &files.read(path)?, files)
}

/// Reads one case from its text.
fn lower_source(name: &str, source: &Arc<Source>, files: &Files) -> Result<Case, Vec<Diagnostic>> {
    let documents = documents(source)?;
    let [document] = documents.as_slice() else {
        let at = documents.get(1).map_or_else(|| start_of(source), |second| second.root.at.in_source(source));
        return Err(vec![Diagnostic::error("a case is one YAML document").at(at)]);
    };
    let file: CaseFile = document.read()?;
    let mut problems = Problems::default();
    let mut parts = Parts::default();
    gather(&mut parts, source, &file.world, files, &mut problems);
    let ipv6 = file.requires.iter().any(|word| matches!(word, CapabilityWord::Ipv6));
    let world = Worldly::new(&parts, ipv6, &mut problems);
    let initial = world.world.clone();
    if file.title.value.trim().is_empty() {
        problems.add(Diagnostic::error("the title is empty").at(file.title.at.in_source(source)));
    }
    if file.steps.value.is_empty() {
        problems.add(Diagnostic::error("a case has at least one step").at(file.steps.at.in_source(source)));
    }
    let names: Vec<String> = file.steps.value.iter().enumerate().map(step_name).collect();
    let mut keeps = Keeps::new(source, &file.keep, &names, &mut problems);
    let openings = keeps.before(&initial, &mut problems);
    let mut state =
        State { world, policies: Policies::new(), stopped: BTreeSet::new(), files: files.clone() };
    let mut steps = Vec::new();
    let mut kinds = BTreeSet::new();
    for (index, step) in file.steps.value.iter().enumerate() {
        steps.push(lower_step((index, step), document, &mut state, &mut keeps, &mut problems));
        kinds.extend(state.policies.keys().map(|id| id.kind.clone()));
    }
    check_step_names(&steps, &mut problems);
    problems.finish()?;
    let dialect = match file.dialect {
        Some(DialectWord::Cilium) => Dialect::Cilium,
        Some(DialectWord::Cilium119) => Dialect::Cilium119,
        Some(DialectWord::Kubernetes) => Dialect::Kubernetes,
        None => Dialect::of_kinds(kinds.iter().map(String::as_str)),
    };
    for step in &mut steps {
        step.desired.dialect = dialect;
    }
    let mut locations = PolicyLocations::default();
    for step in &steps {
        locations.extend(&step.policies);
    }
    Ok(Case {
        name: name.to_owned(),
        title: file.title.value.clone(),
        requires: requires(&file, &steps),
        at: file.title.at.in_source(source),
        source: Arc::clone(source),
        world: initial,
        openings,
        steps,
        policies: locations,
    })
}

/// The name of a step, which a case need not give.
fn step_name((index, step): (usize, &Located<StepFile>)) -> String {
    let name = step.value.name.as_ref();
    name.map_or_else(|| format!("step {}", index + 1), |name| name.value.clone())
}

fn lower_step(
    (index, step): (usize, &Located<StepFile>),
    document: &Document,
    state: &mut State,
    keeps: &mut Keeps<'_>,
    problems: &mut Problems,
) -> Step {
    let title = step_name((index, step));
    let source = &document.source;
    let StepFile { name, apply, delete, change, expect, matrix } = &step.value;
    let at = name.as_ref().map_or(step.at, |name| name.at).in_source(source);
    for object in delete {
        delete_policy(object, source, &mut state.policies, problems);
    }
    let mut applied = Vec::new();
    for (item, object) in apply.iter().enumerate() {
        let objects = match &object.value {
            Short::Word(path) => {
                let at = object.at.in_source(source);
                let Some(file) = state.files.beside(source, path, at.clone(), problems) else { continue };
                let objects = problems.take(manifests(&file)).unwrap_or_default();
                if objects.is_empty() {
                    problems.add(Diagnostic::error(format!("`{path}` holds no object")).at(at));
                }
                objects
            }
            Short::Long(_) => inline(index, item, document).into_iter().collect(),
        };
        for object in objects {
            applied.extend(policy::apply(&object, &state.world.world, &mut state.policies, problems));
        }
    }
    let events: Vec<StepEvent> =
        change.iter().filter_map(|change| change::make(change, source, state, problems)).collect();
    let around = Around { source, world: &state.world.world, policies: &state.policies };
    let mut expectations = keeps.in_step((index, &title), &state.stopped, &around, problems);
    let states = expectations.iter().any(|kept| kept.expect != Expect::default());
    if expect.0.is_empty() && matrix.is_empty() && !states {
        problems.add(
            Diagnostic::error("this step expects nothing")
                .at(at.clone())
                .help("say who can talk to whom: `expect: { a -> b:80: ok }`"),
        );
    }
    expectations
        .extend(expect.0.iter().flat_map(|(key, value)| expect::lower(key, value, &around, problems)));
    for table in matrix {
        expectations.extend(matrix::lower(table, &around, problems));
    }
    clients_run(&expectations, state, problems);
    Step {
        name: title,
        at,
        desired: Desired {
            world: state.world.world.clone(),
            policies: policy::understood(&state.policies),
            dialect: Dialect::default(),
        },
        events,
        select_nothing: select_nothing(&applied, state),
        expectations,
        policies: policy::locations(&state.policies),
    }
}

/// On a node that is stopped there is nobody who could ask. Each place is told once.
fn clients_run(expectations: &[Expectation], state: &State, problems: &mut Problems) {
    let world = &state.world.world;
    let mut told: Option<&Location> = None;
    for Expectation { probe, text, at, .. } in expectations {
        let node = match &probe.from {
            From::Pod(name) => world.pods.get(name).map(|pod| &pod.node),
            From::Node(name) => Some(name),
            From::Address(_) => None,
        };
        let Some(node) = node.filter(|node| state.stopped.contains(*node) && told != Some(at)) else {
            continue;
        };
        told = Some(at);
        problems.add(
            Diagnostic::error(format!("nobody can ask `{text}`: node `{node}` is stopped"))
                .at(at.clone())
                .help(format!("ask from another node, or start it before: `start: {{ node: {node} }}`")),
        );
    }
}

/// An object that stands in the case itself.
fn inline(step: usize, item: usize, document: &Document) -> Option<Manifest> {
    let node = document.root.get("steps")?.item(step)?.get("apply")?.item(item)?;
    Some(Manifest::inline(&document.source, format!("steps[{step}].apply[{item}]"), node))
}

/// Policies of the step that select no endpoint, with the places of their names.
fn select_nothing(applied: &[PolicyId], state: &State) -> Vec<(PolicyId, Location)> {
    let in_force = applied.iter().filter_map(|id| Some((id, state.policies.get(id)?)));
    in_force
        .filter(|(_, applied)| {
            applied.policy.as_ref().is_some_and(|policy| policy.selects_nothing(&state.world.world))
        })
        .map(|(id, applied)| (id.clone(), applied.object.locate("metadata.name")))
        .collect()
}

fn delete_policy(
    object: &Located<String>,
    source: &Arc<Source>,
    policies: &mut Policies,
    problems: &mut Problems,
) {
    let found = problems.expect(policy::find(&object.value, policies), || {
        let names: Vec<_> = policies.keys().map(ToString::to_string).collect();
        Diagnostic::error(format!("no policy `{}` is in force", object.value))
            .at(object.at.in_source(source))
            .nearest(&object.value, &names)
    });
    if let Some(id) = found {
        policies.remove(&id);
    }
}

/// A step's name must name one step.
fn check_step_names(steps: &[Step], problems: &mut Problems) {
    let mut seen: BTreeMap<&str, &Location> = BTreeMap::new();
    for step in steps {
        if let Some(first) = seen.insert(&step.name, &step.at) {
            problems.add(
                Diagnostic::error(format!("two steps are called `{}`", step.name))
                    .at(step.at.clone())
                    .note(format!("the first is at {first}")),
            );
        }
    }
}

/// What the file requires, and what it needs without saying so.
fn requires(file: &CaseFile, steps: &[Step]) -> BTreeSet<Capability> {
    let mut words: BTreeSet<_> = file.requires.iter().map(|word| capability(*word)).collect();
    if !file.keep.is_empty() {
        words.insert(Capability::Keep);
    }
    if steps.iter().any(|step| step.desired.world.nodes.len() > 1) {
        words.insert(Capability::Nodes);
    }
    let mut nodes = steps.iter().flat_map(|step| step.desired.world.nodes.values());
    if nodes.any(|node| node.addresses.iter().any(IpAddr::is_ipv6)) {
        words.insert(Capability::Ipv6);
    }
    words.extend(steps.iter().flat_map(|step| &step.events).map(|event| match event {
        StepEvent::Clock(_) => Capability::Clock,
        StepEvent::Link { .. }
        | StepEvent::Restart { .. }
        | StepEvent::Start { .. }
        | StepEvent::Stop { .. } => Capability::Faults,
    }));
    for step in steps {
        let world = &step.desired.world;
        let pods = world.pods.values().flat_map(|pod| &pod.serves);
        let served: Vec<_> =
            pods.chain(world.internet.hosts.values().flat_map(|host| &host.serves)).collect();
        let asked = step.expectations.iter().filter_map(|expected| match &expected.probe.request {
            Request::Connect { protocol, http, .. } => Some((*protocol, http.tls)),
            Request::Ping { .. } | Request::Dns { .. } | Request::Keep { .. } | Request::Forge { .. } => None,
        });
        let asked: Vec<_> = asked.collect();
        if served.iter().any(|serve| serve.application == Application::Https)
            || asked.iter().any(|(_, tls)| *tls)
        {
            words.insert(Capability::Sni);
        }
        if served.iter().any(|serve| serve.protocol == Protocol::Sctp)
            || asked.iter().any(|(protocol, _)| *protocol == Protocol::Sctp)
        {
            words.insert(Capability::Sctp);
        }
    }
    for policy in steps.iter().flat_map(|step| step.desired.policies.values()) {
        let needs = [
            (Capability::L7Http, policy.redirects_to(Proxy::Http)),
            (Capability::Sni, policy.redirects_to(Proxy::Tls)),
            (Capability::Tiers, policy.sections.iter().any(|section| section.tier != Tier::Normal)),
        ];
        words.extend(needs.into_iter().filter(|(_, needed)| *needed).map(|(word, _)| word));
    }
    words
}

fn capability(word: CapabilityWord) -> Capability {
    match word {
        CapabilityWord::Cilium => Capability::Cilium,
        CapabilityWord::Fqdn => Capability::Fqdn,
        CapabilityWord::L7Http => Capability::L7Http,
        CapabilityWord::L7Dns => Capability::L7Dns,
        CapabilityWord::Sni => Capability::Sni,
        CapabilityWord::Ipv6 => Capability::Ipv6,
        CapabilityWord::Sctp => Capability::Sctp,
        CapabilityWord::Icmp => Capability::Icmp,
        CapabilityWord::Nodes => Capability::Nodes,
        CapabilityWord::Services => Capability::Services,
        CapabilityWord::Tiers => Capability::Tiers,
        CapabilityWord::Clock => Capability::Clock,
        CapabilityWord::Faults => Capability::Faults,
    }
}

fn start_of(source: &Arc<Source>) -> Location {
    Location { source: Arc::clone(source), line: 1, column: 1, span: 0..0 }
}
