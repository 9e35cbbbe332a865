//! The agent of one node around its watch: news become the state in force, records become kept flows.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use egret_core::Desired;
use egret_core::rule::Dialect;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};

use super::assemble::{Assembled, assemble};
use super::watch::Watch;
use crate::control::Status;
use crate::control::flows::FlowLog;
use crate::node::{Node, Snapshot};

/// Pause before a state is tried again that could not be brought into force.
const RETRY: Duration = Duration::from_secs(5);

/// Everything that the agent of a node knows. It lives on one thread: what is done to it is done one after the other.
pub struct Daemon {
    node: RefCell<Node>,
    watch: Watch,
    flows: RefCell<FlowLog>,
    in_force: RefCell<InForce>,
    /// Changes when a state came into force, or flows came.
    news: watch::Sender<u64>,
    lost: Cell<u64>,
    /// Whose reading of policies holds; `None`: what the kinds of the policies say.
    dialect: Cell<Option<Dialect>>,
}

/// What the state in force was made from.
#[derive(Default)]
struct InForce {
    versions: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
    invalid: BTreeMap<String, String>,
    snapshot: Option<Snapshot>,
    problem: Option<String>,
}

impl Daemon {
    /// The agent of a node that is there, with a watch that runs.
    #[must_use]
    pub fn new(node: Node, watch: Watch) -> Self {
        Self {
            node: RefCell::new(node),
            watch,
            flows: RefCell::default(),
            in_force: RefCell::default(),
            news: watch::channel(0).0,
            lost: Cell::new(0),
            dialect: Cell::new(None),
        }
    }

    /// Brings news into force for as long as the watch runs. News that come while one state is brought into force
    /// are taken together.
    pub async fn run(&self) {
        let mut changes = self.watch.changes();
        loop {
            changes.mark_unchanged();
            let settled = !self.watch.is_known() || self.bring();
            self.tell();
            let changed = changes.changed();
            if settled {
                if changed.await.is_err() {
                    return;
                }
            } else {
                // Whatever comes first.
                let _either = tokio::time::timeout(RETRY, changed).await;
            }
        }
    }

    /// Brings what is known into force; says whether it is.
    fn bring(&self) -> bool {
        let mut node = self.node.borrow_mut();
        let Assembled { mut snapshot, versions, objects, invalid } =
            assemble(node.name(), &self.watch.parts());
        if let Some(dialect) = self.dialect.get() {
            snapshot.desired.dialect = dialect;
        }
        let mut in_force = self.in_force.borrow_mut();
        let same = in_force.problem.is_none()
            && in_force.snapshot.as_ref().is_some_and(|before| is_same(before, &snapshot));
        if !same {
            self.keep_flows(&mut node);
            match node.bring(snapshot.clone()) {
                Ok(revision) => {
                    if in_force.snapshot.is_none() {
                        super::log(&format!("revision {revision} is in force"));
                        if let Some(problem) = node.masquerade_problem() {
                            super::log(&format!("the world outside: {problem}"));
                        }
                    }
                    in_force.snapshot = Some(snapshot);
                    in_force.problem = None;
                }
                Err(error) => {
                    super::log(&format!("could not bring the cluster's state into force: {error}"));
                    in_force.problem = Some(error.to_string());
                    return false;
                }
            }
        }
        for (policy, problem) in invalid.iter().filter(|(policy, _)| !in_force.invalid.contains_key(*policy))
        {
            super::log(&format!("{policy} is not in force: {problem}"));
        }
        in_force.versions = versions;
        in_force.objects = objects;
        in_force.invalid = invalid;
        true
    }

    /// Records become flows as long as the agent runs.
    ///
    /// # Errors
    /// When the records cannot be waited for.
    pub async fn collect(&self) -> io::Result<()> {
        #![expect(unsafe_code, reason = "tokio cannot know that a descriptor stays the same")]
        let readable: OwnedFd = self.node.borrow().as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is owned by the registration and is the same as long as that lives.
        let readable = unsafe { AsyncFd::register_with_interest(readable, Interest::READABLE) }?;
        let requests = Arc::new(Notify::new());
        let told = Arc::clone(&requests);
        self.node.borrow().on_request(move || told.notify_one());
        loop {
            tokio::select! {
                ready = readable.readable() => ready?.clear_ready(),
                () = requests.notified() => {}
            }
            self.keep_flows(&mut self.node.borrow_mut());
            self.tell();
        }
    }

    fn keep_flows(&self, node: &mut Node) {
        let flows = node.drain();
        self.flows.borrow_mut().extend(node.revision(), flows);
        match node.lost() {
            Ok(lost) => self.lost.set(lost),
            Err(error) => super::log(&error.to_string()),
        }
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Works on the node; its flows are kept first, since a change may change what they mean.
    pub fn with_node<T>(&self, work: impl FnOnce(&mut Node) -> T) -> T {
        let mut node = self.node.borrow_mut();
        self.keep_flows(&mut node);
        work(&mut node)
    }

    /// Works on the kept flows, the newest included.
    pub fn with_flows<T>(&self, work: impl FnOnce(&FlowLog) -> T) -> T {
        self.keep_flows(&mut self.node.borrow_mut());
        work(&self.flows.borrow())
    }

    /// Reads policies as this dialect does, from now on; `None`: as the kinds of the policies say.
    pub fn set_dialect(&self, dialect: Option<Dialect>) {
        if self.dialect.replace(dialect) != dialect && self.watch.is_known() {
            // What cannot be brought into force is logged, and tried again with the next news.
            let _settled = self.bring();
            self.tell();
        }
    }

    /// The watch.
    #[must_use]
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Changes when a state came into force, or flows came.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Why this node cannot take pods yet; `None`: it can.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        let in_force = self.in_force.borrow();
        if in_force.snapshot.is_some() {
            return None;
        }
        if let Some(problem) = &in_force.problem {
            return Some(problem.clone());
        }
        let health = self.watch.health();
        let unknown = health.iter().filter(|(_, health)| !health.is_known);
        let unknown: Vec<String> = unknown
            .map(|(kind, health)| match &health.problem {
                Some(problem) => format!("{}: {problem}", kind.word()),
                None => kind.word().to_owned(),
            })
            .collect();
        Some(format!("the API server has not told everything yet of {}", unknown.join(", ")))
    }

    /// Whether the state in force was made from these versions of objects, or from later ones; an empty version
    /// stands for an object that is gone.
    #[must_use]
    pub fn has(&self, wanted: &BTreeMap<String, String>) -> bool {
        let in_force = self.in_force.borrow();
        in_force.snapshot.is_some()
            && wanted.iter().all(|(object, version)| match in_force.objects.get(object) {
                Some(there) => !version.is_empty() && is_reached(there, version),
                None => version.is_empty(),
            })
    }

    /// What is in force.
    #[must_use]
    pub fn status(&self) -> Status {
        let node = self.node.borrow();
        let in_force = self.in_force.borrow();
        let health = self.watch.health();
        let absent = health.iter().filter(|(_, health)| health.is_absent);
        let failing = health
            .iter()
            .filter_map(|(kind, health)| Some((kind.word().to_owned(), health.problem.clone()?)));
        let problem = in_force.problem.clone().map(|problem| ("this node".to_owned(), problem));
        let outside =
            node.masquerade_problem().map(|problem| ("the world outside".to_owned(), problem.to_owned()));
        Status {
            node: node.name().to_owned(),
            revision: node.revision(),
            policies: in_force.versions.clone(),
            invalid: in_force.invalid.clone(),
            pods: node.placed().interfaces.len(),
            unmanaged: node.placed().unmanaged.clone(),
            absent: absent.map(|(kind, _)| kind.word().to_owned()).collect(),
            failing: failing.chain(problem).chain(outside).collect(),
            lost: self.lost.get(),
        }
    }
}

/// Whether two snapshots lead to the same state.
fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    let (Desired { world, policies, dialect }, other) = (&a.desired, &b.desired);
    *dialect == other.dialect && a.local == b.local && *policies == other.policies && *world == other.world
}

/// Whether a version is this one or a later one: both are numbers that grow (KEP-5504), or the same text.
fn is_reached(there: &str, wanted: &str) -> bool {
    match (there.parse::<u64>(), wanted.parse::<u64>()) {
        (Ok(there), Ok(wanted)) => there >= wanted,
        (Err(_), _) | (_, Err(_)) => there == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::is_reached;

    #[test]
    fn versions_grow() {
        for (there, wanted, reached) in
            [("9", "9", true), ("10", "9", true), ("9", "10", false), ("a", "a", true), ("b", "a", false)]
        {
            assert_eq!(is_reached(there, wanted), reached, "{there} {wanted}");
        }
    }
}
