//! Clients, each started when the one before is decided, ended when the datapath says that nothing will come back.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use egret_agent::{Agent, Netns};
use egret_core::flow::Flow;
use egret_probe::{Attempt, Client, Exchange, Kept, Limits, ProbeError, Report, keep, run};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::SiteError;
use super::serving::Inside;
use crate::subject::join;
use crate::subject::question::Question;

/// How long the dropped probes of a step wait together for an answer that must not come.
const GRACE: Duration = Duration::from_millis(10);

/// Tells when an agent has news.
pub(super) type Ring = AsyncFd<OwnedFd>;

/// Registers an agent with the calling thread's runtime.
///
/// # Errors
/// When the process has no descriptors left.
pub(super) fn ring(agent: &Agent) -> io::Result<Ring> {
    #![expect(unsafe_code, reason = "tokio cannot know that a descriptor stays the same")]
    let descriptor = agent.as_fd().try_clone_to_owned()?;
    // SAFETY: the descriptor is owned by the registration and is the same as long as that lives.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// Drops that other sites have seen while a client here waits.
pub(in crate::subject) type Elsewhere = mpsc::UnboundedReceiver<Vec<Flow>>;

/// A connection that stays open, for the one client at a time that speaks on it.
pub(super) type Connection = Rc<Mutex<Kept>>;

/// A client that is under way.
pub(super) struct Running {
    attempts: Rc<RefCell<Vec<Attempt>>>,
    give_up: oneshot::Sender<()>,
    report: JoinHandle<Result<Report, ProbeError>>,
}

/// Starts a client, on this connection if its exchange is one more on a connection. Must run inside a `LocalSet`.
pub(super) fn start(netns: Netns, question: Question, connection: Option<Connection>) -> Running {
    let attempts = Rc::new(RefCell::new(Vec::new()));
    let (give_up, given_up) = oneshot::channel::<()>();
    let log = Rc::clone(&attempts);
    let report = tokio::task::spawn_local(async move {
        let network = Inside(netns);
        let client = Client {
            network: &network,
            addresses: question.addresses,
            resolver: question.resolver,
            limits: Limits::default(),
        };
        let mut started = |attempt: &Attempt| log.borrow_mut().push(*attempt);
        let give_up = async {
            if given_up.await.is_err() {
                // Nobody is left who could tell: the client's own limits hold.
                pending::<()>().await;
            }
        };
        match (&question.exchange, connection) {
            (Exchange::Keep { open, .. }, Some(connection)) => {
                let open = open.as_ref().map(|(at, peer)| (*at, peer.as_deref()));
                let mut kept = connection.lock().await;
                keep(&client, &mut kept, open, &mut started, give_up).await
            }
            (exchange, _) => run(&client, exchange, &mut started, give_up).await,
        }
    });
    Running { attempts, give_up, report }
}

/// Waits until a client that started at `since` has its outcome (`Some`), or its current packets were dropped
/// (`None`).
pub(super) async fn decide(
    (running, since): (&mut Running, u64),
    rings: &[Ring],
    flows: &mut Vec<Flow>,
    drain: &mut impl FnMut() -> Vec<Flow>,
    elsewhere: &mut Elsewhere,
) -> Result<Option<Report>, SiteError> {
    loop {
        let (news, own) = tokio::select! {
            biased;
            report = &mut running.report => return ended(report).map(Some),
            () = readable(rings) => (drain(), true),
            // Without other sites the channel is closed.
            Some(news) = elsewhere.recv() => (news, false),
        };
        let current = running.attempts.borrow().last().copied();
        // A connection that stays open may have been dropped before, under other policies.
        let mut recent = news.iter().filter(|flow| flow.time >= since);
        let dropped = current.is_some_and(|attempt| recent.any(|flow| join::was_dropped(&attempt, flow)));
        if own {
            flows.extend(news);
        }
        if dropped {
            return Ok(None);
        }
    }
}

/// Ends clients whose packets were dropped, and gives their reports. Patient clients wait out their own time
/// limits.
pub(super) async fn settle(
    mut dropped: Vec<(usize, Running)>,
    patient: bool,
) -> Result<Vec<(usize, Report)>, SiteError> {
    let mut reports = Vec::with_capacity(dropped.len());
    if !patient && !dropped.is_empty() {
        // Everybody is decided; whoever was dropped has the same short time to prove the datapath wrong.
        let first_answer = Box::pin(first(dropped.iter_mut().map(|(_, running)| &mut running.report)));
        if let Ok((position, report)) = tokio::time::timeout(GRACE, first_answer).await {
            let (index, _) = dropped.swap_remove(position);
            reports.push((index, ended(report)?));
        }
    }
    for (index, running) in dropped {
        if !patient {
            // The client is gone if it has answered in the meantime.
            let _gone = running.give_up.send(());
        }
        reports.push((index, ended(running.report.await)?));
    }
    Ok(reports)
}

/// Returns when a ring buffer has news.
pub(super) async fn readable(rings: &[Ring]) {
    let waits = rings.iter().map(|ring| {
        let wait: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {
            if let Ok(mut guard) = ring.readable().await {
                // Before the records are read, so that one that comes meanwhile wakes us again.
                guard.clear_ready();
            }
        });
        wait
    });
    first(waits).await;
}

/// The first future to end, with its position; pending for none.
async fn first<F: Future + Unpin>(futures: impl Iterator<Item = F>) -> (usize, F::Output) {
    let mut futures: Vec<F> = futures.collect();
    std::future::poll_fn(move |context| {
        for (position, future) in futures.iter_mut().enumerate() {
            if let std::task::Poll::Ready(output) = Pin::new(future).poll(context) {
                return std::task::Poll::Ready((position, output));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// A client's report from its task.
fn ended(report: Result<Result<Report, ProbeError>, tokio::task::JoinError>) -> Result<Report, SiteError> {
    Ok(report??)
}
