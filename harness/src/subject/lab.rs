//! The lab: pods, nodes and the Internet as network namespaces around Egret's agent and datapath.

mod inside;
mod machine;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use egret_agent::AgentError;
use egret_core::World;
use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::site::{Site, SiteError, failed};
use super::{Applied, Subject, SubjectError, join, question};
use crate::case::{Capability, Case, Step};

pub use inside::{Inside, LabRun, enter, run};
pub(super) use machine::raise_limits;
pub use machine::{available, checks};

/// How real clients are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabOptions {
    /// Clients wait out their own time limits instead of ending when the datapath reports a drop.
    pub patient: bool,
}

/// The lab of one process: its networks, agents and servers are kept from case to case.
pub struct Lab {
    site: Site,
    world: World,
    flows: Vec<Flow>,
    options: LabOptions,
    runtime: Runtime,
}

/// What the machine refused when the lab was set up.
fn environment(error: &AgentError) -> SubjectError {
    let problem = error.to_string();
    let advice = machine::advice(&problem);
    SubjectError::Environment { subject: Lab::NAME, problem, advice }
}

impl Lab {
    /// The name on the command line.
    pub const NAME: &'static str = "lab";

    /// What the lab can do.
    pub const CAPABILITIES: [Capability; 11] = [
        Capability::Cilium,
        Capability::Clock,
        Capability::Faults,
        Capability::Fqdn,
        Capability::Icmp,
        Capability::Ipv6,
        Capability::Keep,
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
        let site = Site::whole().map_err(|error| environment(&error))?;
        Ok(Self { site, world: World::default(), flows: Vec::new(), options, runtime })
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
        self.runtime.block_on(self.site.begin(&case.world))?;
        self.world = case.world.clone();
        self.flows.clear();
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SubjectError> {
        let started = Instant::now();
        let (revision, flows) = self.runtime.block_on(self.site.apply(&step.desired, &step.events))?;
        self.flows.extend(flows);
        self.world = step.desired.world.clone();
        Ok(Applied { revision, convergence: started.elapsed().max(Duration::from_nanos(1)) })
    }

    fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, SubjectError> {
        self.flows.extend(self.site.collect()?);
        let questions = probes
            .iter()
            .map(|probe| question::question(probe, &self.world))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed("place the probes"))?;
        let (_, mut nowhere_else) = mpsc::unbounded_channel();
        let work = async {
            let mut decided = self.site.ask(0, questions, &mut nowhere_else).await?;
            join::settled(&mut decided, self.site.settle(self.options.patient).await?);
            Ok::<_, SiteError>(decided)
        };
        let decided =
            self.runtime.block_on(LocalSet::new().run_until(work)).map_err(failed("make the probes"))?;
        let flows = self.site.collect()?;
        let observations = join::observations(probes, &self.world, &decided, &flows);
        self.flows.extend(flows);
        Ok(observations)
    }

    fn flows(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.flows)
    }
}
