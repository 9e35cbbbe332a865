//! Nodes as containers of an engine, through its API: pods as namespaces inside, the same agent in each.
//!
//! | part | module |
//! | --- | --- |
//! | connection, network, containers | `engine` |
//! | image of one static binary | `image` |
//! | the containers of a run and the streams to them | `fleet` |
//! | the Internet alone, for clusters whose nodes others have made | `outside` |
//! | what is said on the streams | `wire` |
//! | a container's side of them | `serve` |
//! | what killed runs leave | `run`, `leftovers`, `interrupt` |
//! | whether it can run here | `machine`, `error` |

mod engine;
mod error;
mod fleet;
mod image;
mod interrupt;
mod leftovers;
mod machine;
#[cfg(feature = "kubernetes")]
mod outside;
mod run;
mod serve;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe, Source};
use egret_core::{Desired, World};
use tokio::runtime::Runtime;

use super::image::Binary;
use super::join::Decided;
use super::question::{self, NotThere, Question};
use super::site::failed;
use super::{Applied, LabOptions, Subject, SubjectError, join};
use crate::case::{Capability, Case, Step, StepEvent};
use fleet::{Fleet, INTERNET};
use wire::{Order, Reply, Settle, Settled};

pub use error::DockerError;
pub use image::Image;
pub use leftovers::Removed;
pub use machine::{available, checks, expected};
#[cfg(feature = "kubernetes")]
pub(super) use outside::Outside;
pub use serve::serve;

/// Containers of one run, kept from case to case.
pub struct Docker {
    fleet: Fleet,
    world: World,
    flows: Vec<Flow>,
    options: LabOptions,
    runtime: Runtime,
}

/// Nodes that are started at once: one more than most cases need takes less than starting it later.
const NODES: usize = 2;

fn runtime() -> Result<Runtime, SubjectError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed::<io::Error>("start the subject"))
}

/// Gives the engine the image of a static binary, unless it has it: of the one that is named, else of the one that
/// the environment names, else of this one.
///
/// # Errors
/// The engine is not there or refuses, or there is no static binary.
pub fn make_image(binary: Option<&Path>) -> Result<Image, SubjectError> {
    Ok(runtime()?.block_on(async {
        let engine = engine::Engine::connect().await?;
        let image = image::ensure(&engine, &Binary::find(binary)?).await?;
        image::name_latest(&engine, &image).await?;
        Ok::<_, DockerError>(image)
    })?)
}

/// Removes what runs left that have ended.
///
/// # Errors
/// The engine is not there, or does not say what it has.
pub fn clean() -> Result<Removed, SubjectError> {
    Ok(runtime()?.block_on(async { leftovers::remove(&engine::Engine::connect().await?).await })?)
}

impl Docker {
    /// The name on the command line.
    pub const NAME: &'static str = "docker";

    /// What the subject can do, IPv6 where the engine gives its networks that: what the lab can.
    pub const CAPABILITIES: [Capability; 11] = super::Lab::CAPABILITIES;

    /// Containers for the Internet and the first node; `binary` is the image's content, as for [`make_image`].
    ///
    /// # Errors
    /// [`SubjectError::Environment`] when the engine is not there or cannot do it.
    pub fn new(options: LabOptions, binary: Option<&Path>) -> Result<Self, SubjectError> {
        let runtime = runtime()?;
        let fleet = runtime.block_on(Fleet::launch(NODES, binary))?;
        Ok(Self { fleet, world: World::default(), flows: Vec::new(), options, runtime })
    }

    /// The container in which a client runs; that of a stopped node is never asked for.
    fn place(&self, from: &Source) -> Result<usize, NotThere> {
        let node = match from {
            Source::Address(_) => return Ok(INTERNET),
            Source::Node(name) => Some(name),
            Source::Pod(name) => self.world.pods.get(name).map(|pod| &pod.node),
        };
        let place = node.and_then(|node| place_of(&self.world, node));
        place.ok_or_else(|| NotThere(format!("{from:?}")))
    }
}

/// The container of a node.
fn place_of(world: &World, node: &str) -> Option<usize> {
    world.nodes.keys().position(|name| name == node).map(|slot| slot + 1)
}

/// Brings a step's state into force and gives the highest revision. Containers come and go between events: each stretch
/// of events begins with the start of a node or ends with a stop, and what is desired is told again with each.
async fn bring_into_force(
    fleet: &mut Fleet,
    (before, desired): (&World, &Desired),
    events: &[StepEvent],
    flows: &mut Vec<Flow>,
) -> Result<u64, SubjectError> {
    fleet.grow(desired.world.nodes.len()).await?;
    let together = |one: &StepEvent, next: &StepEvent| {
        !matches!(one, StepEvent::Stop { .. }) && !matches!(next, StepEvent::Start { .. })
    };
    let mut stretches: Vec<&[StepEvent]> = events.chunk_by(together).collect();
    if stretches.is_empty() {
        stretches.push(&[]);
    }
    // The Internet knows nothing of policies.
    let first = if *before == desired.world && events.is_empty() { INTERNET + 1 } else { INTERNET };
    let involved = first..=desired.world.nodes.len();
    let place = |node: &String| place_of(&desired.world, node);
    let mut highest = 0;
    for stretch in stretches {
        if let Some(StepEvent::Start { node }) = stretch.first() {
            fleet.start(place(node).into_iter().collect()).await?;
        }
        let order = Order::Apply { desired: Box::new(desired.clone()), events: stretch.to_vec() };
        for (place, reply) in fleet.tell(involved.clone(), &order).await? {
            let Reply::Applied { revision, flows: some } = reply else {
                return Err(fleet.strange(place, "it did not say what is in force").into());
            };
            highest = highest.max(revision);
            flows.extend(some);
        }
        if let Some(StepEvent::Stop { node }) = stretch.last()
            && let Some(place) = place(node)
        {
            fleet.stop(place).await?;
        }
    }
    Ok(highest)
}

/// Asks every question at its client's container, in their order, and gives all reports and flows. Flows come from
/// `nodes` alone, the places of those of the step's world.
///
/// A message to a container and back takes as long as a short probe, so nobody is told what does not concern him.
async fn ask(
    fleet: &mut Fleet,
    nodes: Range<usize>,
    questions: Vec<(usize, Question)>,
    settle: Settle,
) -> Result<(Vec<Decided>, Vec<Flow>), SubjectError> {
    let mut involved: BTreeSet<usize> = nodes.filter(|place| fleet.runs(*place)).collect();
    involved.extend(questions.iter().map(|(place, _)| *place));
    let mut decided: Vec<Decided> = Vec::with_capacity(questions.len());
    let mut settled = Vec::new();
    let alone = involved.len() == 1;
    for same in questions.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((place, _)) = same.first() else { continue };
        let questions = same.iter().map(|(_, question)| question.clone()).collect();
        let order = Order::Ask { first: decided.len(), questions, settle: alone.then_some(settle) };
        match fleet.exchange(vec![(*place, order)]).await?.remove(place) {
            Some(Reply::Decided { decided: some, settled: end }) if some.len() == same.len() => {
                decided.extend(some);
                settled.extend(end);
            }
            _ => return Err(fleet.strange(*place, "it did not say what was decided").into()),
        }
    }
    if settled.is_empty() {
        for (place, reply) in fleet.tell(involved, &Order::Settle(settle)).await? {
            let Reply::Settled(end) = reply else {
                return Err(fleet.strange(place, "it did not report").into());
            };
            settled.push(end);
        }
    }
    let mut flows = Vec::new();
    for Settled { reports, flows: some } in settled {
        join::settled(&mut decided, reports);
        flows.extend(some);
    }
    flows.sort_by_key(|flow| flow.time);
    Ok((decided, flows))
}

impl Subject for Docker {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        let mut able = BTreeSet::from(Self::CAPABILITIES);
        if self.fleet.without_ipv6.is_some() {
            able.remove(&Capability::Ipv6);
        }
        able
    }

    fn why_lacking(&self, capability: Capability) -> Option<String> {
        let without = self.fleet.without_ipv6.as_ref().filter(|_| capability == Capability::Ipv6)?;
        Some(format!("the engine makes no network with IPv6: {without}"))
    }

    fn begin(&mut self, case: &Case) -> Result<(), SubjectError> {
        let fleet = &mut self.fleet;
        self.runtime.block_on(async {
            fleet.start(fleet.stopped()).await?;
            fleet.grow(case.world.nodes.len()).await?;
            fleet.tell(0..fleet.len(), &Order::Begin { world: case.world.clone() }).await
        })?;
        self.world = case.world.clone();
        self.flows.clear();
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SubjectError> {
        let started = Instant::now();
        let work =
            bring_into_force(&mut self.fleet, (&self.world, &step.desired), &step.events, &mut self.flows);
        let highest = self.runtime.block_on(work)?;
        self.world = step.desired.world.clone();
        Ok(Applied { revision: highest, convergence: started.elapsed().max(Duration::from_nanos(1)) })
    }

    fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, SubjectError> {
        let questions = probes
            .iter()
            .map(|probe| Ok((self.place(&probe.from)?, question::question(probe, &self.world)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed::<NotThere>("place the probes"))?;
        let nodes = INTERNET + 1..self.world.nodes.len() + 1;
        let settle = Settle { patient: self.options.patient };
        let work = ask(&mut self.fleet, nodes, questions, settle);
        let (decided, flows) = self.runtime.block_on(work)?;
        let observations = join::observations(probes, &self.world, &decided, &flows);
        self.flows.extend(flows);
        Ok(observations)
    }

    fn flows(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.flows)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.runtime.block_on(self.fleet.end());
    }
}
