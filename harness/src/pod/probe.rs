//! `egret pod probe`: the questions of one client, from standard input to standard output.

use std::cell::Cell;
use std::future::pending;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::Duration;

use egret_core::flow::Flow;
use egret_probe::{Attempt, Client, Exchange, Limits, Resolver, Target, ThisNetwork, run};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

use crate::subject::was_dropped;

use super::{Answer, Order, PodError, VERSION, addresses, resolver, runtime, system};

/// How long a client whose packet was dropped may still have an answer that must not come.
const GRACE: Duration = Duration::from_millis(10);
/// How long the process waits at the end to hear that its answers have come.
const LAST: Duration = Duration::from_secs(5);
/// Drops that are kept for a client that is busy; one that misses some waits out its time.
pub(super) const KEPT: usize = 4096;

/// Reads one order and writes an answer per question, each as a line of JSON, in the order in which they come.
///
/// # Errors
/// The order was not understood, or standard output is gone. A client that could not run is an answer.
pub fn probe() -> Result<(), PodError> {
    // One line, since not every API server can say that standard input has ended.
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(system("read the order"))?;
    let order: Order = serde_json::from_str(&line).map_err(PodError::Order)?;
    if order.version != VERSION {
        return Err(PodError::Version { theirs: order.version });
    }
    let (drops, heard) = listen()?;
    let resolver = std::fs::read_to_string("/etc/resolv.conf").ok().and_then(|text| resolver::read(&text));
    let place = Rc::new(Place {
        addresses: if order.addresses.is_empty() { addresses()? } else { order.addresses },
        resolver,
        limits: Limits { answer: order.answer, resolve: order.resolve },
    });
    let local = LocalSet::new();
    local.block_on(&runtime()?, async {
        let mut together = JoinSet::new();
        for (index, question) in order.questions.into_iter().enumerate() {
            let alone = needs_a_name(&question);
            if alone {
                tell_all(&mut together).await?;
            }
            together.spawn_local(Rc::clone(&place).ask(index, question, drops.subscribe()));
            if alone {
                tell_all(&mut together).await?;
            }
        }
        tell_all(&mut together).await?;
        // What an exec stream carries may be lost when the process ends before it was read.
        let _heard_or_not = tokio::time::timeout(LAST, heard).await;
        Ok(())
    })
}

/// Where a client stands.
struct Place {
    addresses: Vec<std::net::IpAddr>,
    resolver: Option<Resolver>,
    limits: Limits,
}

impl Place {
    async fn ask(
        self: Rc<Self>,
        index: usize,
        question: Exchange,
        drops: broadcast::Receiver<Flow>,
    ) -> Answer {
        let client = Client {
            network: &ThisNetwork,
            addresses: self.addresses.clone(),
            resolver: self.resolver.clone(),
            limits: self.limits,
        };
        let current = Cell::new(None);
        let give_up = dropped(&current, drops, 0);
        let result = run(&client, &question, &mut |attempt| current.set(Some(*attempt)), give_up).await;
        Answer { index, result: result.map_err(|error| with_causes(&error)) }
    }
}

/// Hears of drops until an empty line says that the answers have come, or standard input ends; the second value tells.
fn listen() -> Result<(broadcast::Sender<Flow>, oneshot::Receiver<()>), PodError> {
    let (tell, _) = broadcast::channel(KEPT);
    let (say_heard, heard) = oneshot::channel();
    let told = tell.clone();
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line.is_empty() {
                break;
            }
            // What is no flow ends no client, and nobody may be asking just now.
            if let Ok(flow) = serde_json::from_str(&line) {
                let _listeners = told.send(flow);
            }
        }
        // Nobody may be waiting yet, or any more.
        let _waiting = say_heard.send(());
    };
    std::thread::Builder::new().name("drops".into()).spawn(read).map_err(system("start a thread"))?;
    Ok((tell, heard))
}

/// Returns when a packet of the current attempt was dropped, at `since` or later (nanoseconds since the Unix epoch), and nothing has come back for it all the same.
pub(super) async fn dropped(
    current: &Cell<Option<Attempt>>,
    mut drops: broadcast::Receiver<Flow>,
    since: u64,
) {
    loop {
        match drops.recv().await {
            Ok(flow)
                if flow.time >= since
                    && current.get().is_some_and(|attempt| was_dropped(&attempt, &flow)) =>
            {
                break;
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return pending().await,
        }
    }
    // Always elapses: the client's own answer wins meanwhile.
    let _elapsed = tokio::time::timeout(GRACE, pending::<()>()).await;
}

/// What a datapath learns from an answer of DNS, the next question may build on.
fn needs_a_name(question: &Exchange) -> bool {
    match question {
        Exchange::Dns { .. } => true,
        Exchange::Keep { .. } | Exchange::Forged { .. } => false,
        Exchange::Tcp { to, .. }
        | Exchange::Udp { to, .. }
        | Exchange::Sctp { to, .. }
        | Exchange::Ping { to } => matches!(to, Target::Name(_)),
    }
}

/// Waits for every client and writes its answer when it comes.
async fn tell_all(clients: &mut JoinSet<Answer>) -> Result<(), PodError> {
    while let Some(answer) = clients.join_next().await {
        let answer =
            answer.map_err(|error| PodError::System { what: "wait for a client", source: error.into() })?;
        tell(&answer)?;
    }
    Ok(())
}

/// Writes an answer.
pub(super) fn tell(answer: &Answer) -> Result<(), PodError> {
    let line = serde_json::to_string(answer).map_err(PodError::Order)? + "\n";
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(system("write an answer"))
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use egret_core::probe::Outcome;
    use egret_shared::{Direction, DropReason, Verdict};

    use super::*;
    use crate::subject::seen;

    /// A client that nobody answers ends when its own packet was dropped, long before its time is over.
    #[test]
    fn a_drop_of_its_own_ends_a_client() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = silent.local_addr().unwrap();
        let limits = Limits { answer: Duration::from_secs(60), resolve: Duration::from_secs(60) };
        let place = Rc::new(Place { addresses: vec![to.ip()], resolver: None, limits });
        let question = Exchange::Udp { to: Target::Address(to.ip()), port: to.port(), expect_peer: None };
        let (tell, _) = broadcast::channel(KEPT);
        let drops = tell.subscribe();
        std::thread::spawn(move || {
            let (_, client) = silent.recv_from(&mut [0; 64]).unwrap();
            let other = SocketAddr::new(client.ip(), client.port() ^ 1);
            let denied = Verdict::Dropped(DropReason::PolicyDenied);
            for (from, verdict) in [(other, denied), (client, Verdict::Forwarded), (client, denied)] {
                // The client may have ended with the last one.
                let _listeners = tell.send(seen("web", Direction::Egress, &from.to_string(), verdict));
            }
        });
        let started = std::time::Instant::now();
        let answer = LocalSet::new().block_on(&runtime().unwrap(), place.ask(0, question, drops));
        assert_eq!(answer.result.unwrap().outcome, Outcome::Timeout);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
