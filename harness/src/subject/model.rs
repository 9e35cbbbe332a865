//! The model as a subject: the policy engine's in-memory datapath, in process, in microseconds.

use std::collections::BTreeSet;
use std::time::Instant;

use egret_core::Desired;
use egret_core::flow::Flow;
use egret_core::model::Model as Engine;
use egret_core::probe::{Observation, Probe};

use super::{Applied, Subject, SubjectError};
use crate::case::{Capability, Case, Step, StepEvent};

/// The pure policy engine. It needs nothing of the machine, so it never fails to run.
#[derive(Default)]
pub struct Model {
    engine: Option<Engine>,
    revision: u64,
}

impl Model {
    /// The name on the command line.
    pub const NAME: &'static str = "model";

    /// What the model can do.
    pub const CAPABILITIES: [Capability; 14] = [
        Capability::Cilium,
        Capability::Faults,
        Capability::Fqdn,
        Capability::Keep,
        Capability::L7Dns,
        Capability::L7Http,
        Capability::Sctp,
        Capability::Sni,
        Capability::Tiers,
        Capability::Icmp,
        Capability::Ipv6,
        Capability::Services,
        Capability::Clock,
        Capability::Nodes,
    ];

    /// A model behind the trait.
    #[must_use]
    pub fn boxed() -> Box<dyn Subject> {
        Box::new(Self::default())
    }
}

impl Subject for Model {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        Self::CAPABILITIES.into()
    }

    fn begin(&mut self, case: &Case) -> Result<(), SubjectError> {
        let mut engine = Engine::new();
        engine.apply(&Desired { world: case.world.clone(), ..Desired::default() });
        self.engine = Some(engine);
        self.revision = 0;
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SubjectError> {
        let start = Instant::now();
        let engine = self.engine()?;
        engine.apply(&step.desired);
        for event in &step.events {
            match event {
                StepEvent::Link { node, up } => engine.set_link(node, *up),
                StepEvent::Stop { node } => engine.stop(node),
                StepEvent::Start { node } => engine.start(node),
                StepEvent::Restart { node } => engine.restart(node.as_deref()),
                StepEvent::Clock(duration) => {
                    engine.advance(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
                }
            }
        }
        self.revision += 1;
        Ok(Applied { revision: self.revision, convergence: start.elapsed() })
    }

    fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, SubjectError> {
        let engine = self.engine()?;
        Ok(probes.iter().map(|probe| engine.probe(probe)).collect())
    }

    fn flows(&mut self) -> Vec<Flow> {
        Vec::new()
    }
}

impl Model {
    fn engine(&mut self) -> Result<&mut Engine, SubjectError> {
        self.engine.as_mut().ok_or_else(|| SubjectError::Run {
            what: "model".into(),
            problem: "a step was applied before its world began".into(),
        })
    }
}
