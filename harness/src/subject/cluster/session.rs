//! One run in a cluster, from the canary to the last step: what the subject does, without its waiting for signals.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe, Source};
use tokio::time::Instant;

use super::actual::Actual;
use super::agents::Agents;
use super::asking::{self, Patience};
use super::canary::Canary;
use super::changes::Changes;
use super::denial::Denial;
use super::dns;
use super::drops::Drops;
use super::error::ClusterError;
use super::exec::At;
use super::kept::{self, Kept};
use super::naming::Naming;
use super::nodes::{self, Families, Place};
use super::object::{Key, Kind};
use super::outside::Outside;
use super::policies::Policies;
use super::server::Server;
use super::shape::{Shape, is_clusters_own};
use super::world::Made;
use super::{Plugin, ability, access, at_least_something, backends, hubble};
use crate::case::{Capability, Case, PolicyLocations, Step};
use crate::compare::Sight;
use crate::subject::{Applied, ClusterOptions, join, question};
use egret_core::World;
use egret_probe::Report;

/// Where the image stands that the cluster's own agents run.
const DAEMON_SET: &str = "egret";
/// The image when nobody names one.
const IMAGE: &str = "egret:latest";

/// A run in a cluster.
pub(super) struct Session {
    pub(super) server: Server,
    pub(super) able: BTreeSet<Capability>,
    pub(super) flows: Vec<Flow>,
    version: String,
    plugin: Plugin,
    naming: Naming,
    image: String,
    patience: Patience,
    places: Vec<Place>,
    families: Families,
    /// Addresses of the cluster's DNS server.
    dns: Vec<IpAddr>,
    outside: Result<Outside, String>,
    drops: Option<Drops>,
    nodes: BTreeMap<String, String>,
    pub(super) agents: Agents,
    hubble: hubble::Found,
    canary: Option<Canary>,
    kept: Kept,
    denial: Denial,
    /// What was behind the services when the canary's was seen to answer.
    led: BTreeMap<String, String>,
    made: Made,
    policies: Policies,
    actual: Actual,
    revision: u64,
}

impl Session {
    /// Looks at the cluster; nothing is made yet.
    pub(super) async fn new(
        server: Server,
        plugin: Plugin,
        options: &ClusterOptions,
    ) -> Result<Self, ClusterError> {
        let version = access::check(&server.client).await?;
        let agents = Agents::find(&server).await?;
        if plugin == Plugin::Egret && agents.is_empty() {
            return Err(ClusterError::NoAgents);
        }
        let all = nodes::list(&server.client).await?;
        let places = nodes::taking_pods(&all)?;
        let mut able = ability::of(&server.client, &places, !agents.is_empty()).await?;
        let dns = dns::asked_at(&server).await?;
        let outside = match plugin {
            Plugin::Egret => Outside::possible(options, &all).await,
            Plugin::Any => Err("only `--subject kind` leads a cluster's nodes to simulated hosts".into()),
        };
        able.extend(outside.is_ok().then_some(Capability::Internet));
        let hubble = match plugin {
            Plugin::Any => hubble::Found::look(&server).await?,
            Plugin::Egret => hubble::Found::NoCilium,
        };
        let image = match &options.image {
            Some(image) => image.clone(),
            None => image_of_agents(&server).await?.unwrap_or_else(|| IMAGE.to_owned()),
        };
        Ok(Self {
            server,
            able,
            flows: Vec::new(),
            version,
            plugin,
            naming: Naming::new(options.prefix.clone()),
            image,
            patience: if options.patient { Patience::LONG } else { Patience::SHORT },
            families: Families::of(&places),
            dns,
            places,
            outside,
            drops: None,
            nodes: BTreeMap::new(),
            agents,
            hubble,
            canary: None,
            kept: Kept::default(),
            denial: Denial::default(),
            led: BTreeMap::new(),
            made: Made::default(),
            policies: Policies::default(),
            actual: Actual::default(),
            revision: 0,
        })
    }

    /// Makes the canary and proves that the plugin enforces.
    pub(super) async fn prove(&mut self) -> Result<(), ClusterError> {
        let mut canary = Canary::new(&self.server, &self.image, &self.places).await?;
        canary.prove(&self.server).await?;
        self.canary = Some(canary);
        Ok(())
    }

    /// One line on what this cluster is.
    pub(super) fn note(&self) -> String {
        let nodes = crate::count::count(self.places.len(), "node");
        let seen = match self.plugin {
            Plugin::Any => format!("; {}", self.hubble.note()),
            Plugin::Egret => String::new(),
        };
        let says = if self.refuses() { "; it refuses what it denies, which counts as silence" } else { "" };
        format!("cluster {} with {nodes}{seen}{says}", self.version)
    }

    /// Whether clients hear of it when somebody else's plugin denies them something.
    fn refuses(&self) -> bool {
        self.plugin == Plugin::Any && self.canary.as_ref().is_some_and(Canary::refuses)
    }

    /// How much of what happens to a packet is seen.
    pub(super) const fn sight(&self) -> Sight {
        match (self.plugin, &self.hubble) {
            (Plugin::Egret, _) => Sight::Flows,
            (Plugin::Any, hubble::Found::There(_)) => Sight::Hubble,
            (Plugin::Any, hubble::Found::NoCilium | hubble::Found::Silent(_)) => Sight::Client,
        }
    }

    /// Why there are no hosts outside, or why those of a case cannot be there; everything else that is missing is not to
    /// be had.
    pub(super) fn why_lacking(&self, capability: Capability) -> Option<String> {
        if capability != Capability::Internet {
            return None;
        }
        let whose = || "the cluster's pods have no addresses of a host's family".to_owned();
        Some(self.outside.as_ref().err().cloned().unwrap_or_else(whose))
    }

    /// What a case asks that this cluster cannot do.
    pub(super) fn lacks(&self, case: &Case) -> BTreeSet<Capability> {
        let mut needs = ability::needs(case, &self.places, &self.dns, self.naming.prefix.is_some());
        needs.extend(&case.requires);
        // Several nodes are there; that there are enough of them, without labels, `needs` has looked at.
        let enough = needs.contains(&Capability::Nodes) && case.requires.contains(&Capability::Nodes);
        let beyond = ability::needs(case, &self.places, &self.dns, false).contains(&Capability::Nodes);
        let mut lacks: BTreeSet<Capability> = needs.difference(&self.able).copied().collect();
        if self.outside.as_ref().is_ok_and(|outside| !outside.can_have(case)) {
            lacks.insert(Capability::Internet);
        }
        if enough && beyond {
            lacks.insert(Capability::Nodes);
        }
        lacks
    }

    pub(super) async fn begin(&mut self, case: &Case) -> Result<(), ClusterError> {
        let changes =
            self.policies.reconcile(&self.server, &self.naming, &PolicyLocations::default()).await?;
        if !self.kept.is_empty() {
            // Nothing in force may keep from the servers that their clients are gone.
            if self.plugin == Plugin::Egret {
                self.agents.wait(&self.server, &changes).await?;
            }
            self.kept.clear();
        }
        self.bring_up(&case.world).await?;
        if self.plugin == Plugin::Egret {
            let dialect = case.steps.first().map(|step| step.desired.dialect).unwrap_or_default();
            self.agents.begin(&self.server, dialect).await?;
            if self.drops.is_none() && self.patience != Patience::LONG {
                self.drops = Some(Drops::follow(&self.server, &self.agents.places()).await?);
            }
        }
        self.flows.clear();
        Ok(())
    }

    pub(super) async fn apply(&mut self, step: &Step) -> Result<Applied, ClusterError> {
        let mut changes = self.bring_up(&step.desired.world).await?;
        let started = Instant::now();
        changes.extend(self.policies.reconcile(&self.server, &self.naming, &step.policies).await?);
        self.revision = match (self.plugin, &mut self.canary) {
            (Plugin::Egret, _) => self.agents.wait(&self.server, &changes).await?,
            (Plugin::Any, Some(canary)) if !changes.is_empty() => {
                canary.settle(&self.server).await?;
                self.revision.saturating_add(1)
            }
            (Plugin::Any, Some(_) | None) => self.revision,
        };
        Ok(Applied { revision: self.revision, convergence: at_least_something(started.elapsed()) })
    }

    pub(super) async fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, ClusterError> {
        let asked = Instant::now();
        let in_cluster = |probe: &Probe| self.naming.probe(&self.actual.to_cluster(probe));
        let in_cluster: Vec<Probe> = probes.iter().map(in_cluster).collect();
        // What the kernel said again on a connection that stays open is not what it is asked now.
        let before = match probes.iter().any(kept::is_kept) {
            true => self.flows_of_agents().await?,
            false => Vec::new(),
        };
        let reports = self.ask(&in_cluster).await?;
        let world = &self.actual.world;
        let said = match &self.hubble {
            hubble::Found::There(hubble) => {
                let own = world.pods.iter().filter(|(_, pod)| !is_clusters_own(pod));
                let namespaces = own.map(|(name, _)| self.naming.namespace(&name.namespace)).collect();
                hubble.said(&self.server, asked.elapsed(), &namespaces, &self.naming, &reports).await?
            }
            hubble::Found::NoCilium | hubble::Found::Silent(_) => Vec::new(),
        };
        let since = match self.plugin {
            Plugin::Any => Vec::new(),
            Plugin::Egret => self.agents.flows(&self.server).await?,
        };
        let flows: Vec<Flow> = before.iter().chain(&since).cloned().collect();
        let refuses = self.refuses();
        let asked = probes.iter().zip(in_cluster.iter().zip(&reports));
        let observed = asked.map(|(probe, (in_cluster, report))| {
            let client = join::Judged::of(&in_cluster.from, world);
            let pod = client.pod;
            let seen = match kept::is_kept(probe) {
                true => join::observe(client, report, &kept::about(report, &before, &since)),
                false => join::observe(client, report, &flows),
            };
            let seen = match self.plugin {
                Plugin::Any => hubble::observe(pod, report, seen, &said),
                Plugin::Egret => seen,
            };
            let seen = if refuses { self.denial.as_silence(probe, seen) } else { seen };
            Observation { addresses: self.actual.to_case(&seen.addresses), ..seen }
        });
        let observed = observed.collect();
        self.flows.extend(flows);
        Ok(observed)
    }

    async fn flows_of_agents(&mut self) -> Result<Vec<Flow>, ClusterError> {
        match self.plugin {
            Plugin::Any => Ok(Vec::new()),
            Plugin::Egret => self.agents.flows(&self.server).await,
        }
    }

    /// The clients' reports in the probes' order: those on connections that stay open one after the other, those in pods
    /// together, then those outside.
    async fn ask(&mut self, probes: &[Probe]) -> Result<Vec<Report>, ClusterError> {
        let is_outside = |probe: &Probe| matches!(probe.from, Source::Address(_));
        let (kept, asked): (Vec<Probe>, Vec<Probe>) = probes.iter().cloned().partition(kept::is_kept);
        let (outside, inside): (Vec<Probe>, Vec<Probe>) = asked.into_iter().partition(is_outside);
        let mut open = std::mem::take(&mut self.kept);
        let place = |from: &Source| self.place(from);
        let world = &self.actual.world;
        let drops = self.drops.as_ref();
        let from_kept = open.ask(&self.server, &kept, world, place, self.patience, drops).await;
        let from_pods = asking::ask(&self.server, &inside, world, place, self.patience, drops).await?;
        let questions: Result<Vec<_>, _> =
            outside.iter().map(|probe| question::question(probe, world)).collect();
        let questions = questions?;
        self.kept = open;
        let from_outside = match &mut self.outside {
            Ok(outside) if !questions.is_empty() => outside.ask(questions, self.drops.as_ref()).await?,
            Ok(_) | Err(_) => Vec::new(),
        };
        let (mut from_pods, mut from_outside) = (from_pods.into_iter(), from_outside.into_iter());
        let mut from_kept = from_kept?.into_iter();
        let reports = probes.iter().map(|probe| match (kept::is_kept(probe), is_outside(probe)) {
            (true, _) => from_kept.next(),
            (false, true) => from_outside.next(),
            (false, false) => from_pods.next(),
        });
        // One short would be noticed by whoever compares.
        Ok(reports.flatten().collect())
    }

    /// Takes the Internet's container away.
    pub(super) async fn leave_outside(&mut self) -> Result<(), ClusterError> {
        if let Ok(outside) = &mut self.outside {
            outside.end().await;
        }
        Ok(())
    }

    /// Makes the world; what changed.
    async fn bring_up(&mut self, world: &World) -> Result<Changes, ClusterError> {
        if let Ok(outside) = &mut self.outside {
            outside.show(&self.server, &mut self.agents, self.canary.as_ref(), &world.internet).await?;
        }
        self.nodes = nodes::map(world, &self.places)?;
        self.naming.of_world(world);
        if self.refuses() {
            self.denial.of_world(world);
        }
        let shape = Shape {
            run: &self.server.run,
            naming: &self.naming,
            image: &self.image,
            nodes: &self.nodes,
            families: self.families,
        };
        let mut changes = self.made.reconcile(&self.server, &shape, world).await?;
        self.kept.retain(|at| {
            let key = Key::new(Kind::Pod, Some(&at.namespace), &at.pod);
            self.canary.as_ref().is_some_and(|canary| canary.has(at)) || self.made.pods.contains_key(&key)
        });
        let pods = &self.made.pods;
        changes.extend(backends::wait(&self.server, &shape, pods, world).await?);
        let slices = changes.slices();
        if let Some(canary) = &mut self.canary
            && !slices.is_empty()
            && slices != self.led
        {
            canary.lead(&self.server).await?;
        }
        self.led = slices;
        self.actual = Actual::read(&self.server, &shape, pods, &self.places, world).await?;
        Ok(changes)
    }

    /// The pod in which a client runs.
    fn place(&self, from: &Source) -> Result<At, ClusterError> {
        let missing =
            |what: &str| ClusterError::Missing(format!("no client can run in {what} of this cluster"));
        match from {
            Source::Pod(name) => match self.actual.world.pods.get(name) {
                Some(pod) if is_clusters_own(pod) => Err(missing("the DNS server")),
                Some(_) | None => Ok(At::pod(self.naming.namespace(&name.namespace), name.name.clone())),
            },
            Source::Node(name) => {
                let node = self.nodes.get(name).ok_or_else(|| missing(&format!("node `{name}`")))?;
                let canary = self.canary.as_ref().and_then(|canary| canary.on_node(node));
                canary.ok_or_else(|| missing(&format!("node `{name}`")))
            }
            Source::Address(address) => Err(missing(&format!("`{address}`"))),
        }
    }
}

/// The image of Egret's own agents: it is on every node.
async fn image_of_agents(server: &Server) -> Result<Option<String>, ClusterError> {
    let key = Key::new(Kind::DaemonSet, Some(super::agents::NAMESPACE), DAEMON_SET);
    let there = server.get(&key).await?;
    let image = there.and_then(|set| {
        let containers = &set.data["spec"]["template"]["spec"]["containers"];
        containers[0]["image"].as_str().map(ToOwned::to_owned)
    });
    Ok(image)
}
