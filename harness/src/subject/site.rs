//! A site: the share of a world that one process runs, be it the whole, the Internet or one node.
//!
//! The lab is one site in process. In containers each node is a site, and so is the Internet; the harness
//! speaks with them over streams. What a site observes is judged by the subject, which sees all of them.

mod asking;
mod node;
mod serving;
mod topology;
mod wiring;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;

#[cfg(feature = "docker")]
use egret_agent::netlink::Mac;
use egret_agent::{Agent, AgentError, clock};
use egret_core::flow::Flow;
use egret_core::probe::Source;
use egret_core::{Desired, ObjectName, World};
use egret_probe::{Exchange, ProbeError, Report};

use super::join::{self, Decided};
use super::question::Question;
use super::{SubjectError, question};
use crate::case::StepEvent;
use asking::{Connection, Ring, Running};
use serving::Serving;
use topology::Topology;
#[cfg(feature = "docker")]
pub(super) use wiring::own_address;

pub(super) use asking::Elsewhere;

/// What can go wrong at a site.
#[derive(Debug, thiserror::Error)]
pub(super) enum SiteError {
    /// A thing that a probe names is not there.
    #[error(transparent)]
    Missing(#[from] question::NotThere),
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

/// For `map_err`: the subject's error, naming what was being done.
pub(super) fn failed<E: Into<SiteError>>(what: &str) -> impl FnOnce(E) -> SubjectError {
    let what = what.to_owned();
    move |error| SubjectError::Run { what, problem: error.into().to_string() }
}

/// The networks, agents, servers and clients of one process. Every method but [`Site::whole`] has to be called
/// inside a runtime, those that run clients inside a `LocalSet`.
pub(super) struct Site {
    topology: Topology,
    serving: Serving,
    rings: Vec<Ring>,
    world: World,
    /// Flows that were seen while clients were asked.
    flows: Vec<Flow>,
    /// Clients that were dropped and have not been told.
    dropped: Vec<(usize, Running)>,
    /// Connections that stay open from step to step, each with its client.
    kept: BTreeMap<String, (Source, Connection)>,
    lost: u64,
    wall_offset: u64,
}

impl Site {
    /// Everything in this process.
    ///
    /// # Errors
    /// When this machine cannot do it.
    pub(super) fn whole() -> Result<Self, AgentError> {
        let wall_offset = clock::wall_offset();
        Ok(Self::new(Topology::whole(wall_offset)?, wall_offset))
    }

    /// The Internet alone, in the network of this process.
    ///
    /// # Errors
    /// When this process may not do it.
    #[cfg(feature = "docker")]
    pub(super) fn internet(wall_offset: u64) -> Result<Self, AgentError> {
        Ok(Self::new(Topology::internet(wall_offset)?, wall_offset))
    }

    /// The same on a network with nodes that others have made.
    ///
    /// # Errors
    /// As above.
    #[cfg(feature = "docker")]
    pub(super) fn internet_for_others(wall_offset: u64) -> Result<Self, AgentError> {
        Ok(Self::new(Topology::internet_for_others(wall_offset)?, wall_offset))
    }

    /// The node in a slot alone, in the network of this process; `internet` is the hardware address of the
    /// Internet's site.
    ///
    /// # Errors
    /// When this process may not do it.
    #[cfg(feature = "docker")]
    pub(super) fn node(slot: usize, internet: Mac, wall_offset: u64) -> Result<Self, AgentError> {
        let end = wiring::end_to(internet).map_err(AgentError::system("read the node's link"))?;
        Ok(Self::new(Topology::node(slot, end, wall_offset)?, wall_offset))
    }

    /// Tells the Internet's site of the node in a slot.
    ///
    /// # Errors
    /// When the link of this process cannot be read.
    #[cfg(feature = "docker")]
    pub(super) fn link(&mut self, slot: usize, node: Mac) -> Result<(), AgentError> {
        let end = wiring::end_to(node).map_err(AgentError::system("read the Internet's link"))?;
        self.topology.link(slot, end);
        Ok(())
    }

    fn new(topology: Topology, wall_offset: u64) -> Self {
        Self {
            topology,
            serving: Serving::new(),
            rings: Vec::new(),
            world: World::default(),
            flows: Vec::new(),
            dropped: Vec::new(),
            kept: BTreeMap::new(),
            lost: 0,
            wall_offset,
        }
    }

    /// Brings a world up, without policies; whatever an earlier case left is gone.
    ///
    /// # Errors
    /// A network, an agent or a server could not do it.
    pub(super) async fn begin(&mut self, world: &World) -> Result<(), SubjectError> {
        let empty = Desired { world: world.clone(), ..Desired::default() };
        self.dropped.clear();
        self.topology.mend(&self.world).map_err(failed::<AgentError>("bring the links up"))?;
        self.hang_up().map_err(failed::<AgentError>("end the connections"))?;
        self.reconcile(world).await.map_err(failed::<SiteError>("bring up the world"))?;
        self.topology.apply(&empty).map_err(failed::<AgentError>("bring up the world"))?;
        for agent in self.topology.agents() {
            agent.forget().map_err(failed::<AgentError>("reset the node"))?;
        }
        self.collect().map(drop)
    }

    /// Resets what an earlier case kept open, with nothing in force that would keep it from the servers.
    fn hang_up(&mut self) -> Result<(), AgentError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.topology.apply(&Desired { world: self.world.clone(), ..Desired::default() })?;
        self.kept.clear();
        Ok(())
    }

    /// Brings a step's state into force. Gives the highest revision and the flows since the step before, whose
    /// numbers mean what they meant then.
    ///
    /// # Errors
    /// As for [`Site::begin`].
    pub(super) async fn apply(
        &mut self,
        desired: &Desired,
        events: &[StepEvent],
    ) -> Result<(u64, Vec<Flow>), SubjectError> {
        let mut flows = self.collect()?;
        self.reconcile(&desired.world).await.map_err(failed::<SiteError>("change the world"))?;
        let revision =
            self.topology.apply(desired).map_err(failed::<AgentError>("bring the policies into force"))?;
        for event in events {
            match event {
                StepEvent::Link { node, up } => self
                    .topology
                    .set_link(&self.world, node, *up)
                    .map_err(failed::<AgentError>("change a link"))?,
                StepEvent::Stop { node } => {
                    flows.extend(self.collect()?);
                    self.stop(node).await.map_err(failed::<SiteError>("stop a node"))?;
                }
                StepEvent::Start { node } => {
                    flows.extend(self.collect()?);
                    self.start(node, desired).await.map_err(failed::<SiteError>("start a node"))?;
                }
                StepEvent::Restart { node } => {
                    flows.extend(self.collect()?);
                    self.restart(node.as_deref(), desired)
                        .map_err(failed::<SiteError>("start an agent again"))?;
                }
                StepEvent::Clock(duration) => {
                    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                    for agent in self.topology.agents() {
                        agent.advance(nanoseconds).map_err(failed::<AgentError>("move the clock"))?;
                    }
                }
            }
        }
        Ok((revision, flows))
    }

    /// Makes networks and servers what a world needs.
    async fn reconcile(&mut self, world: &World) -> Result<(), SiteError> {
        if self.world == *world {
            return Ok(());
        }
        // Processes end before their network does.
        self.kept.retain(|_, (from, _)| match from {
            Source::Pod(pod) => world.pods.contains_key(pod),
            Source::Node(_) | Source::Address(_) => true,
        });
        self.serving.retire(world).await;
        self.topology.reconcile(world)?;
        self.listen()?;
        self.serving.reconcile(world, &self.topology).await?;
        self.world = world.clone();
        Ok(())
    }

    /// Hears of agents that are new.
    fn listen(&mut self) -> Result<(), SiteError> {
        for agent in self.topology.agents().skip(self.rings.len()) {
            agent.set_capture(true)?;
            self.rings.push(asking::ring(agent)?);
        }
        Ok(())
    }

    fn restart(&mut self, node: Option<&str>, desired: &Desired) -> Result<(), SiteError> {
        self.topology.restart(node, desired)?;
        self.listen_again()
    }

    /// As a machine that loses its power: its network goes first, so that nobody hears of it.
    async fn stop(&mut self, node: &str) -> Result<(), SiteError> {
        self.topology.set_link(&self.world, node, false)?;
        let pods = &self.world.pods;
        self.kept.retain(|_, (from, _)| match from {
            Source::Pod(pod) => pods.get(pod).is_some_and(|pod| pod.node != node),
            Source::Node(name) => name != node,
            Source::Address(_) => true,
        });
        self.serving.leave(&self.world, node).await;
        self.topology.stop(&self.world, node)?;
        self.listen_again()
    }

    async fn start(&mut self, node: &str, desired: &Desired) -> Result<(), SiteError> {
        self.topology.start(&desired.world, node)?;
        self.listen_again()?;
        self.serving.reconcile(&desired.world, &self.topology).await?;
        self.topology.apply(desired)?;
        Ok(())
    }

    /// Hears of all agents anew: one has gone, and one that came has records of its own, and counts from the start
    /// those that it cannot hand over.
    fn listen_again(&mut self) -> Result<(), SiteError> {
        self.rings.clear();
        self.listen()?;
        self.lost = 0;
        for agent in self.topology.agents() {
            self.lost += agent.lost()?;
        }
        Ok(())
    }

    /// Asks clients of this site one after the other; `first` is the place of the first question among those of
    /// its step.
    ///
    /// # Errors
    /// A client could not run.
    pub(super) async fn ask(
        &mut self,
        first: usize,
        questions: Vec<Question>,
        elsewhere: &mut Elsewhere,
    ) -> Result<Vec<Decided>, SiteError> {
        let offset = self.wall_offset;
        let now = || clock::monotonic().saturating_add(offset);
        let mut all = Vec::with_capacity(questions.len());
        for (index, question) in (first..).zip(questions) {
            let missing = || question::NotThere(format!("{:?}", question.from));
            let netns = self.topology.client(&self.world, &question.from).ok_or_else(missing)?.try_clone()?;
            let started = now();
            let connection = self.connection(&question);
            let stays = connection.is_some();
            let mut running = asking::start(netns, question, connection);
            let topology = &mut self.topology;
            let mut drain = || topology.agents().flat_map(Agent::drain).collect();
            let report =
                asking::decide((&mut running, started), &self.rings, &mut self.flows, &mut drain, elsewhere)
                    .await?;
            if report.is_none() {
                self.dropped.push((index, running));
            }
            let mut since = started;
            if let Some(report) = report.as_ref().filter(|_| stays) {
                let flows = self.drain();
                self.flows.extend(flows);
                since = join::spoke(report, &self.flows, started);
            }
            all.push(Decided { during: (since, now()), report });
        }
        Ok(all)
    }

    /// The connection that a question is asked on, if it is one that stays open.
    fn connection(&mut self, question: &Question) -> Option<Connection> {
        let Exchange::Keep { connection, open: _ } = &question.exchange else { return None };
        let entry = self.kept.entry(connection.clone());
        let (_, connection) = entry.or_insert_with(|| (question.from.clone(), Connection::default()));
        Some(Connection::clone(connection))
    }

    /// Ends the clients whose packets were dropped, and gives their reports with their places among the
    /// questions of the step.
    ///
    /// # Errors
    /// A client could not run.
    pub(super) async fn settle(&mut self, patient: bool) -> Result<Vec<(usize, Report)>, SiteError> {
        asking::settle(std::mem::take(&mut self.dropped), patient).await
    }

    /// The flows since the last call, in order of time.
    ///
    /// # Errors
    /// The datapath could not hand over all of them.
    pub(super) fn collect(&mut self) -> Result<Vec<Flow>, SubjectError> {
        let mut flows = std::mem::take(&mut self.flows);
        let mut lost = 0;
        for agent in self.topology.agents() {
            flows.extend(agent.drain());
            lost += agent.lost().map_err(failed::<AgentError>("read the flow records"))?;
        }
        let count = lost.saturating_sub(self.lost);
        self.lost = lost;
        if count > 0 {
            return Err(SubjectError::FlowsLost { count });
        }
        flows.sort_by_key(|flow| flow.time);
        Ok(flows)
    }

    /// Keeps what the agents have seen for [`Site::collect`], and gives the drops among it.
    #[cfg(feature = "docker")]
    pub(super) fn drops(&mut self) -> Vec<Flow> {
        let flows = self.drain();
        let dropped = |flow: &&Flow| matches!(flow.verdict, egret_shared::Verdict::Dropped(_));
        let drops = flows.iter().filter(dropped).cloned().collect();
        self.flows.extend(flows);
        drops
    }

    /// Returns when the datapath has seen something that somebody may be waiting for.
    pub(super) async fn news(&self) {
        asking::readable(&self.rings).await;
    }

    /// What the agents have seen since they were last asked.
    pub(super) fn drain(&mut self) -> Vec<Flow> {
        self.topology.agents().flat_map(Agent::drain).collect()
    }

    /// Path, for other processes, of the network in which a pod of this site runs.
    pub(super) fn network_of(&self, pod: &ObjectName) -> Option<String> {
        let netns = self.topology.pod(&self.world, pod)?;
        let descriptor = std::os::fd::AsFd::as_fd(netns).as_raw_fd();
        Some(format!("/proc/{}/fd/{descriptor}", std::process::id()))
    }
}
