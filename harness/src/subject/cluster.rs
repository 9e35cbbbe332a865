//! The subjects `cluster` and `kind`: a case's objects in a real cluster, whatever its network plugin.
//!
//! | stage | module |
//! | --- | --- |
//! | kubeconfig -> client, rights | `access`; what `egret doctor` says of them: `machine` |
//! | what the cluster can do, what a case needs | `ability`, `nodes` |
//! | world -> objects | `shape`, `naming`, `object` |
//! | hosts outside -> a container beside the nodes | `outside`; the cluster's DNS server: `dns`, `corefile` |
//! | objects -> cluster | `world`, `policies` through `server`; `ready` and `backends` wait |
//! | policies in force | `canary`, for plugins that do not say; `agents`, for our own |
//! | what clients see of a plugin that refuses what it denies | `denial` |
//! | probes -> reports | `asking` and, for connections that stay open, `kept`, over `exec`; `drops` ends clients whose packets an agent has dropped |
//! | what others' plugins tell of packets | `hubble` |
//! | what was made -> nothing | `clean`, also after Ctrl-C (`stop`) and in a later run |

mod ability;
mod access;
mod actual;
mod agents;
mod asking;
mod backends;
mod canary;
mod changes;
mod clean;
mod corefile;
mod denial;
mod dns;
mod drops;
mod error;
mod exec;
mod hubble;
mod kept;
pub mod kind;
mod machine;
mod naming;
mod nodes;
mod object;
mod outside;
mod pace;
mod policies;
mod ready;
mod server;
mod session;
mod shape;
mod stop;
#[cfg(test)]
mod tests;
mod world;

pub use clean::Left;
pub use machine::checks;

pub use error::ClusterError;

use std::collections::BTreeSet;
use std::time::Duration;

use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe};
use kube::Client;
use tokio::runtime::Runtime;

use super::{Applied, ClusterOptions, Subject, SubjectError};
use crate::case::{Capability, Case, Step};
use crate::compare::Sight;
use object::Run;
use server::Server;
use session::Session;
use stop::Stop;

/// Which of the two subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// Any plugin: what it decides is not observed.
    Any,
    /// Egret's own agents.
    Egret,
}

impl Plugin {
    /// The subject's name on the command line.
    #[must_use]
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Any => "cluster",
            Self::Egret => "kind",
        }
    }
}

/// A cluster that cases run in. What it has made there goes when it is dropped.
pub struct Cluster {
    plugin: Plugin,
    stop: Stop,
    session: Session,
    /// How to say where what is left is, when a second Ctrl-C ends the removal.
    context: Option<String>,
    runtime: Runtime,
}

impl Cluster {
    /// Connects, looks at what the cluster can do, and proves that its plugin enforces policies.
    ///
    /// # Errors
    /// [`SubjectError::Environment`] with what is missing.
    pub fn new(plugin: Plugin, options: &ClusterOptions) -> Result<Self, SubjectError> {
        let runtime = runtime().map_err(|error| error.of_subject(plugin.subject(), "start"))?;
        let context = options.context.clone();
        let client = runtime.block_on(access::client(context.as_deref()));
        let client = client.map_err(|error| error.of_subject(plugin.subject(), "connect"))?;
        Self::with(client, runtime, plugin, options)
    }

    /// The same on a client of the caller's.
    fn with(
        client: Client,
        runtime: Runtime,
        plugin: Plugin,
        options: &ClusterOptions,
    ) -> Result<Self, SubjectError> {
        let failed = |error: ClusterError| error.of_subject(plugin.subject(), "set up the cluster");
        let mut stop = {
            let _inside = runtime.enter();
            Stop::new().map_err(failed)?
        };
        let server = Server { client, run: Run::new() };
        let session = stop.work(&runtime, Session::new(server, plugin, options)).map_err(failed)?;
        let mut cluster = Self { plugin, stop, session, context: options.context.clone(), runtime };
        // From here on a failure drops the cluster, and so takes away what was made.
        cluster.stop.work(&cluster.runtime, cluster.session.prove()).map_err(failed)?;
        Ok(cluster)
    }

    /// One line on what this cluster is.
    #[must_use]
    pub fn note(&self) -> String {
        self.session.note()
    }

    fn failed(&self, what: &str) -> impl FnOnce(ClusterError) -> SubjectError + use<> {
        let (subject, what) = (self.plugin.subject(), what.to_owned());
        move |error| error.of_subject(subject, &what)
    }
}

impl Subject for Cluster {
    fn name(&self) -> &'static str {
        self.plugin.subject()
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        self.session.able.clone()
    }

    fn lacks(&self, case: &Case) -> BTreeSet<Capability> {
        self.session.lacks(case)
    }

    fn why_lacking(&self, capability: Capability) -> Option<String> {
        self.session.why_lacking(capability)
    }

    fn sight(&self) -> Sight {
        self.session.sight()
    }

    fn begin(&mut self, case: &Case) -> Result<(), SubjectError> {
        let failed = self.failed("bring up the world");
        self.stop.work(&self.runtime, self.session.begin(case)).map_err(failed)
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SubjectError> {
        let failed = self.failed("bring the step into force");
        self.stop.work(&self.runtime, self.session.apply(step)).map_err(failed)
    }

    fn probe(&mut self, probes: &[Probe]) -> Result<Vec<Observation>, SubjectError> {
        let failed = self.failed("make the probes");
        self.stop.work(&self.runtime, self.session.probe(probes)).map_err(failed)
    }

    fn flows(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.session.flows)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It goes by itself, but somebody may look at once.
        let _interrupted = self.stop.again(&self.runtime, self.session.leave_outside());
        let server = &self.session.server;
        if let Err(problem) = self.stop.again(&self.runtime, self.session.agents.end(server)) {
            anstream::eprintln!("the agents were not told that the run has ended: {problem}");
        }
        let selector = server.run.selector();
        if let Err(problem) = self.stop.again(&self.runtime, clean::remove(server, &selector)) {
            let context = self.context.as_ref().map(|name| format!(" --context {name}")).unwrap_or_default();
            anstream::eprintln!(
                "not everything that this run made in the cluster is gone ({problem}): objects with the label \
                 `{selector}` are left; `egret clean --subject cluster{context}` removes them"
            );
        }
    }
}

/// The runs that have left something in a cluster.
///
/// # Errors
/// The cluster cannot be asked.
pub fn left(context: Option<&str>) -> Result<Vec<Left>, SubjectError> {
    by_itself(context, async |server| clean::left(&server).await)
}

/// Removes what one run has left, and leaves the agents as they are without a run when no other one goes on.
///
/// # Errors
/// The cluster refuses, or something does not go.
pub fn remove(context: Option<&str>, run: &str) -> Result<(), SubjectError> {
    let selector = format!("{}={run}", object::RUN);
    by_itself(context, async |server| {
        clean::remove(&server, &selector).await?;
        if clean::left(&server).await?.iter().any(|left| left.alive) {
            return Ok(());
        }
        // A run that was killed has not told them that it has ended.
        agents::Agents::find(&server).await?.reset(&server).await
    })
}

/// One piece of work with a cluster, without a run around it.
fn by_itself<T>(
    context: Option<&str>,
    work: impl AsyncFnOnce(Server) -> Result<T, ClusterError>,
) -> Result<T, SubjectError> {
    let done = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let server = Server { client: access::client(context).await?, run: Run::new() };
            work(server).await
        })
    });
    done.map_err(|error| error.of_subject(Plugin::Any.subject(), "clean the cluster"))
}

/// The client's tasks run on the thread that waits for them.
pub(crate) fn runtime() -> Result<Runtime, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| ClusterError::System { what: "start a runtime", source })
}

/// At least one nanosecond, which says that something was measured.
fn at_least_something(duration: Duration) -> Duration {
    duration.max(Duration::from_nanos(1))
}
