//! The watch of the cluster: one reflector for each kind, and a signal when any of them has news.
//!
//! What was known stays known while the API server is away, slow, or tells errors. A kind that the cluster does not
//! have counts as known, with nothing of it; it is looked for again and again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::kind::Kind;
use super::part::Part;

/// How a kind's watch is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Everything of the kind was told at least once.
    pub is_known: bool,
    /// The cluster does not have the kind.
    pub is_absent: bool,
    /// What the API server said last, if that was an error.
    pub problem: Option<String>,
}

/// The state of the cluster as far as it was told. Dropping it ends the watch.
pub struct Watch {
    stores: Vec<(Kind, Store<Part>)>,
    health: Rc<RefCell<BTreeMap<Kind, Health>>>,
    changed: watch::Sender<u64>,
    // Held for its drop.
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Starts the watch of every kind, on the calling thread's `LocalSet`.
    #[must_use]
    pub fn start(client: &Client) -> Self {
        let (changed, _) = watch::channel(0);
        let health: Rc<RefCell<BTreeMap<Kind, Health>>> = Rc::default();
        let mut stores = Vec::new();
        let mut tasks = JoinSet::new();
        for kind in Kind::WATCHED {
            health.borrow_mut().insert(kind, Health::default());
            let writer = Writer::new(kind.resource());
            stores.push((kind, writer.as_reader()));
            let task = Reflector { kind, writer, health: Rc::clone(&health), changed: changed.clone() };
            tasks.spawn_local(task.run(client.clone()));
        }
        Self { stores, health, changed, _tasks: tasks }
    }

    /// Everything that was told, by kind.
    #[must_use]
    pub fn parts(&self) -> Vec<(Kind, Vec<Arc<Part>>)> {
        self.stores.iter().map(|(kind, store)| (*kind, store.state())).collect()
    }

    /// Changes with every piece of news.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether everything was told at least once.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.health.borrow().values().all(|health| health.is_known)
    }

    /// How each kind's watch is doing.
    #[must_use]
    pub fn health(&self) -> BTreeMap<Kind, Health> {
        self.health.borrow().clone()
    }
}

/// Keeps one kind up to date.
struct Reflector {
    kind: Kind,
    writer: Writer<Part>,
    health: Rc<RefCell<BTreeMap<Kind, Health>>>,
    changed: watch::Sender<u64>,
}

impl Reflector {
    async fn run(mut self, client: Client) {
        let api: Api<DynamicObject> = Api::all_with(client, &self.kind.resource());
        let mut events = pin!(watcher(api, watcher::Config::default()).backoff(Pause::default()));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.told(event),
                Err(error) => self.failed(&error),
            }
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn told(&mut self, event: Event<DynamicObject>) {
        let part = |object: &DynamicObject| Part::of(self.kind, object);
        let is_whole = matches!(event, Event::InitDone);
        let event = match event {
            Event::Apply(object) => Event::Apply(part(&object)),
            Event::Delete(object) => Event::Delete(part(&object)),
            Event::Init => Event::Init,
            Event::InitApply(object) => Event::InitApply(part(&object)),
            Event::InitDone => Event::InitDone,
        };
        self.writer.apply_watcher_event(&event);
        let mut health = self.health.borrow_mut();
        let health = health.entry(self.kind).or_default();
        health.is_known |= is_whole;
        health.is_absent &= !is_whole;
        health.problem = None;
    }

    fn failed(&self, error: &watcher::Error) {
        let mut health = self.health.borrow_mut();
        let health = health.entry(self.kind).or_default();
        if is_absent(error) {
            health.is_known = true;
            health.is_absent = true;
            health.problem = None;
            return;
        }
        let problem = text_of(error);
        if health.problem.as_ref() != Some(&problem) {
            super::log(&format!("watching {}: {problem}", self.kind.word()));
        }
        health.problem = Some(problem);
    }
}

/// Whether the API server says that it has no such kind.
fn is_absent(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// What the API server said, without the words of the layers in between.
fn text_of(error: &watcher::Error) -> String {
    if let watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status) = error
    {
        return format!("{} ({})", status.message, status.code);
    }
    // The first words name the layer, the last ones what happened.
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    match causes.last() {
        Some(cause) => format!("the API server does not answer: {cause}"),
        None => error.to_string(),
    }
}

/// The pauses between attempts: from 0.2 s, doubled, to 5 s.
#[derive(Debug)]
struct Pause(Duration);

impl Pause {
    const SHORTEST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);
}

impl Default for Pause {
    fn default() -> Self {
        Self(Self::SHORTEST)
    }
}

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(Self::LONGEST);
        Some(pause)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        *self = Self::default();
    }
}
