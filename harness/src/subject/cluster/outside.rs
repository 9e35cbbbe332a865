//! The hosts outside the cluster that cases speak of: one container beside the nodes that has their addresses and names,
//! routes to it on every node, and the cluster's DNS server, which asks it for names.
//!
//! It is made when the first case needs it and serves every case of the run. The routes are the agents' own, since
//! these may change their nodes' routes already: the user needs no more rights than for the cluster and the engine, and
//! the nodes need no programs. Pods are seen with their own addresses: nobody translates them, and the container knows
//! the way to each node's pods.

#[cfg(not(feature = "docker"))]
mod absent;

use std::collections::BTreeMap;
use std::future::pending;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use egret_core::World;
use egret_core::flow::Flow;
use egret_core::probe::{Outcome, Record};
use egret_core::world::{DNS_AUTHORITY, DNS_AUTHORITY_V6, Internet, Node, Zone};
use egret_probe::{Exchange, Report};
use ipnet::IpNet;
use tokio::sync::broadcast::error::RecvError;

use super::agents::Agents;
use super::asking::{self, Patience};
use super::canary::Canary;
use super::dns;
use super::drops::{Drops, Heard};
use super::error::ClusterError;
use super::nodes::{Families, Place};
use super::pace::Pace;
use super::server::Server;
use crate::case::Case;
#[cfg(feature = "docker")]
use crate::subject::docker::Outside as Container;
use crate::subject::question::Question;
use crate::subject::{ClusterOptions, SubjectError};
#[cfg(not(feature = "docker"))]
use absent::Container;

/// How long answers may take to come through the cluster's DNS server, once that is ready: kube-proxy follows it.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PACE: Duration = Duration::from_millis(100);
/// How long a look takes at most.
const PATIENCE: Patience = Patience { answer: Duration::from_secs(1), resolve: Duration::from_secs(1) };
/// Questions of one look: every server behind the service has to give an answer.
const QUESTIONS: usize = 4;

/// What a run has of the Internet.
pub(super) struct Outside {
    network: String,
    binary: Option<PathBuf>,
    nodes: BTreeMap<String, Node>,
    families: Families,
    container: Option<Container>,
    /// The nodes and the cluster's DNS server lead to the container.
    is_led: bool,
    shown: Internet,
}

impl Outside {
    /// An Internet beside these nodes; nothing is made.
    ///
    /// # Errors
    /// Why there can be none.
    pub(super) async fn possible(options: &ClusterOptions, places: &[Place]) -> Result<Self, String> {
        let (network, binary) = (&options.network, options.binary.as_deref());
        let addresses: Vec<IpAddr> = places.iter().flat_map(|place| &place.addresses).copied().collect();
        Container::possible(network, binary, &addresses).await.map_err(|error| words(&error))?;
        let nodes = places.iter().map(|place| {
            let node = Node {
                addresses: place.addresses.clone(),
                pod_cidrs: place.pod_cidrs.clone(),
                ..Node::default()
            };
            (place.name.clone(), node)
        });
        let nodes = nodes.collect();
        Ok(Self {
            network: network.clone(),
            binary: options.binary.clone(),
            nodes,
            families: Families::of(places),
            container: None,
            is_led: false,
            shown: Internet::default(),
        })
    }

    /// Whether the cluster's pods have the families of every host that a case speaks of.
    pub(super) fn can_have(&self, case: &Case) -> bool {
        let worlds = case.steps.iter().map(|step| &step.desired.world).chain([&case.world]);
        worlds.flat_map(|world| world.internet.hosts.keys()).all(|host| self.families.has(*host))
    }

    /// Has the hosts and names of a world from now on; makes what it takes when a world has some for the first time.
    ///
    /// # Errors
    /// The engine, an agent or the cluster's DNS server could not do it.
    pub(super) async fn show(
        &mut self,
        server: &Server,
        agents: &mut Agents,
        canary: Option<&Canary>,
        internet: &Internet,
    ) -> Result<(), ClusterError> {
        if self.shown == *internet {
            return Ok(());
        }
        let container = match &mut self.container {
            Some(container) => container,
            none @ None => {
                let made = Container::launch(&self.network, self.binary.as_deref()).await;
                none.insert(made.map_err(failed)?)
            }
        };
        let run = format!("run-{}.egret.test", server.run.id);
        let mut world = World { nodes: self.nodes.clone(), internet: internet.clone(), ..World::default() };
        // Nobody else's server knows this name.
        let zone = Zone { addresses: vec![DNS_AUTHORITY.ip()], cname: None, ttl: 0 };
        world.internet.names.insert(run.clone(), zone);
        // In IPv4 where the cluster has it, else in IPv6.
        let both = [DNS_AUTHORITY.ip(), DNS_AUTHORITY_V6.ip()];
        let authority = both.into_iter().find(|address| self.families.has(*address));
        let authority = authority.unwrap_or(DNS_AUTHORITY.ip());
        let hosts = internet.hosts.keys().copied().chain([authority]);
        let prefixes: Vec<String> = hosts.map(|host| IpNet::from(host).to_string()).collect();
        container.show(world).await.map_err(failed)?;
        let via = container.addresses();
        if !self.is_led {
            // First, so that whoever cleans up after a killed run knows what there is to put back.
            dns::lead_to(server, authority).await?;
        }
        agents.lead_outside(server, via, &prefixes).await?;
        if !self.is_led {
            let changes = dns::restarted(server).await?;
            agents.wait(server, &changes).await?;
            resolves(server, canary, &run).await?;
            self.is_led = true;
        }
        self.shown = internet.clone();
        Ok(())
    }

    /// Asks clients that are hosts outside, one after the other.
    ///
    /// # Errors
    /// There is no such host, or it could not run a client.
    pub(super) async fn ask(
        &mut self,
        questions: Vec<Question>,
        drops: Option<&Drops>,
    ) -> Result<Vec<Report>, ClusterError> {
        let Some(container) = &mut self.container else {
            return Err(ClusterError::Missing("the world of this step has no hosts outside".into()));
        };
        let heard = drops.map(Drops::listen);
        let patient = heard.is_none();
        let hear = hear(heard, container.teller());
        tokio::select! {
            reports = container.ask(questions, patient) => reports.map_err(failed),
            () = hear => Ok(Vec::new()),
        }
    }

    /// Removes the container; what was changed in the cluster is put back with everything else.
    pub(super) async fn end(&mut self) {
        if let Some(mut container) = self.container.take() {
            container.end().await;
        }
    }
}

/// Tells of drops on the nodes for as long as it is awaited.
async fn hear(heard: Option<Heard>, tell: impl Fn(Vec<Flow>)) {
    let Some(mut heard) = heard else { return pending().await };
    loop {
        match heard.recv().await {
            // What is no flow ends no client.
            Ok(line) => tell(serde_json::from_str(&line).into_iter().collect()),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return pending().await,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: SubjectError) -> ClusterError {
    ClusterError::Outside(words(&error))
}

/// What is wrong and what to do; whose part it is, the caller says.
fn words(error: &SubjectError) -> String {
    match error {
        SubjectError::Environment { problem, advice, .. } => format!("{problem}; {advice}"),
        SubjectError::Run { .. } | SubjectError::FlowsLost { .. } => error.to_string(),
    }
}

/// Waits until every node's pods resolve a name of this run's through the cluster's DNS server.
async fn resolves(server: &Server, canary: Option<&Canary>, name: &str) -> Result<(), ClusterError> {
    let question = Exchange::Dns { name: format!("{name}."), record: Record::A };
    let mut pace = Pace::new(PACE, LIMIT);
    for at in canary.into_iter().flat_map(Canary::on_every_node) {
        loop {
            let questions = vec![question.clone(); QUESTIONS];
            let reports = asking::order(server, &at, Vec::new(), questions, PATIENCE, None).await?;
            if reports.iter().all(|report| report.outcome == Outcome::Ok) {
                break;
            }
            if !pace.next().await {
                let outcomes: Vec<String> = reports.iter().map(|report| report.outcome.to_string()).collect();
                return Err(ClusterError::Slow {
                    what: format!("resolving names of the Internet in {} ({})", at.pod, outcomes.join(", ")),
                    seconds: LIMIT.as_secs(),
                });
            }
        }
    }
    Ok(())
}
