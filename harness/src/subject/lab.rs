//! The lab: pods, nodes and the Internet as network namespaces around Egret's agent and datapath.

mod inside;
mod join;
mod machine;
mod probing;
mod serving;
mod topology;
mod wiring;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use egret_agent::AgentError;
use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe};
use egret_core::{Desired, World};
use egret_probe::ProbeError;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::{Applied, Subject, SubjectError};
use crate::case::{Capability, Case, StepEvent};
use probing::Ring;
use serving::Serving;
use topology::Topology;

pub use inside::{Inside, LabRun, enter, run};
pub use machine::{available, checks};

/// How a lab runs its probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabOptions {
    /// Clients wait out their own time limits instead of ending when the datapath reports a drop.
    pub patient: bool,
}

/// The lab of one process: its networks, agents and servers are kept from case to case.
pub struct Lab {
    rings: Vec<Ring>,
    /// The generation of agents that the rings belong to.
    generation: u64,
    serving: Serving,
    topology: Topology,
    world: World,
    flows: Vec<Flow>,
    lost: u64,
    options: LabOptions,
    runtime: Runtime,
}

/// What can go wrong in the lab.
#[derive(Debug, thiserror::Error)]
enum LabError {
    /// A thing that a probe names is not there.
    #[error("there is no {0} in the world of this step")]
    Missing(String),
    /// A network could not be held or entered.
    #[error("could not use a network: {0}")]
    Network(#[from] io::Error),
    /// The agent failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A client or server could not run.
    #[error("{0}{causes}", causes = causes(.0))]
    Probe(#[from] ProbeError),
    /// A client's task panicked.
    #[error("a client did not come back: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The causes of an error, each behind a colon.
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source()).map(|cause| format!(": {cause}")).collect()
}

/// What the machine refused when the lab was set up.
fn environment(error: &AgentError) -> SubjectError {
    let problem = error.to_string();
    let advice = machine::advice(&problem);
    SubjectError::Environment { subject: Lab::NAME, problem, advice }
}

/// Asks for as many descriptors as the machine grants, and for locked memory, which kernels before 5.11 charge
/// for maps. A refusal shows where the resource is missed.
fn raise_limits() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _refused = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let _refused = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

/// For `map_err`: the subject's error, naming what was being done.
fn failed<E: Into<LabError>>(what: &str) -> impl FnOnce(E) -> SubjectError {
    let what = what.to_owned();
    move |error| SubjectError::Run { what, problem: error.into().to_string() }
}

impl Lab {
    /// The name on the command line.
    pub const NAME: &'static str = "lab";

    /// What the lab can do.
    pub const CAPABILITIES: [Capability; 8] = [
        Capability::Cilium,
        Capability::Clock,
        Capability::Fqdn,
        Capability::Icmp,
        Capability::L7Dns,
        Capability::Nodes,
        Capability::Services,
        Capability::Tiers,
    ];

    /// An empty lab: the Internet without hosts.
    ///
    /// # Errors
    /// [`SubjectError::Environment`] when this machine cannot run it.
    pub fn new(options: LabOptions) -> Result<Self, SubjectError> {
        available()?;
        raise_limits();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed::<io::Error>("start the lab"))?;
        Ok(Self {
            rings: Vec::new(),
            generation: 0,
            serving: Serving::new(),
            topology: Topology::new().map_err(|error| environment(&error))?,
            world: World::default(),
            flows: Vec::new(),
            lost: 0,
            options,
            runtime,
        })
    }

    /// Makes networks and servers what a world needs.
    fn reconcile(&mut self, world: &World) -> Result<(), LabError> {
        if self.world == *world {
            return Ok(());
        }
        self.topology.reconcile(world)?;
        let _inside = self.runtime.enter();
        if self.generation != self.topology.generation() {
            self.rings =
                self.topology.agents().map(|agent| probing::ring(agent)).collect::<Result<_, _>>()?;
            self.generation = self.topology.generation();
        }
        self.runtime.block_on(self.serving.reconcile(world, &self.topology))?;
        self.world = world.clone();
        Ok(())
    }

    /// Keeps what the agents have seen, and notices what they have not.
    fn collect(&mut self) -> Result<(), SubjectError> {
        let mut lost = 0;
        for agent in self.topology.agents() {
            self.flows.extend(agent.drain());
            lost += agent.lost().map_err(failed::<AgentError>("read the flow records"))?;
        }
        if lost > self.lost {
            let count = lost - self.lost;
            self.lost = lost;
            return Err(SubjectError::FlowsLost { count });
        }
        Ok(())
    }
}

impl Subject for Lab {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        Self::CAPABILITIES.into()
    }

    fn begin(&mut self, case: &Case) -> Result<(), SubjectError> {
        let empty = Desired { world: case.world.clone(), ..Desired::default() };
        self.reconcile(&case.world).map_err(failed::<LabError>("bring up the world"))?;
        self.topology.apply(&empty).map_err(failed::<AgentError>("bring up the world"))?;
        for agent in self.topology.agents() {
            agent
                .forget()
                .and_then(|()| agent.set_capture(true))
                .map_err(failed::<AgentError>("reset the node"))?;
        }
        self.collect()?;
        self.flows.clear();
        Ok(())
    }

    fn apply(&mut self, desired: &Desired, events: &[StepEvent]) -> Result<Applied, SubjectError> {
        self.collect()?;
        let started = Instant::now();
        self.reconcile(&desired.world).map_err(failed::<LabError>("change the world"))?;
        let revision =
            self.topology.apply(desired).map_err(failed::<AgentError>("bring the policies into force"))?;
        for event in events {
            match event {
                StepEvent::Clock(duration) => {
                    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                    for agent in self.topology.agents() {
                        agent.advance(nanoseconds).map_err(failed::<AgentError>("move the clock"))?;
                    }
                }
            }
        }
        Ok(Applied { revision, convergence: started.elapsed().max(Duration::from_nanos(1)) })
    }

    fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, SubjectError> {
        self.collect()?;
        let plans = probes
            .iter()
            .map(|probe| probing::plan(probe, &self.world, &self.topology))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed::<LabError>("place the probes"))?;
        let topology = &mut self.topology;
        let drain = || topology.agents().flat_map(egret_agent::Agent::drain).collect();
        let work = probing::probe(plans, &self.rings, self.options.patient, drain);
        let (observations, flows) =
            self.runtime.block_on(LocalSet::new().run_until(work)).map_err(failed("make the probes"))?;
        self.flows.extend(flows);
        self.collect()?;
        Ok(observations)
    }

    fn flows(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.flows)
    }
}
