//! `egret pod probe`: the questions of one client, from standard input to standard output.

use std::future::pending;
use std::io::{BufRead, Write};
use std::rc::Rc;

use egret_probe::{Client, Exchange, Limits, Resolver, Target, ThisNetwork, run};
use tokio::task::{JoinSet, LocalSet};

use super::{Answer, Order, PodError, VERSION, addresses, resolver, runtime, system};

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
    let resolver = std::fs::read_to_string("/etc/resolv.conf").ok().and_then(|text| resolver::read(&text));
    let place = Rc::new(Place {
        addresses: addresses()?,
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
            together.spawn_local(Rc::clone(&place).ask(index, question));
            if alone {
                tell_all(&mut together).await?;
            }
        }
        tell_all(&mut together).await
    })
}

/// Where a client stands.
struct Place {
    addresses: Vec<std::net::IpAddr>,
    resolver: Option<Resolver>,
    limits: Limits,
}

impl Place {
    async fn ask(self: Rc<Self>, index: usize, question: Exchange) -> Answer {
        let client = Client {
            network: &ThisNetwork,
            addresses: self.addresses.clone(),
            resolver: self.resolver.clone(),
            limits: self.limits,
        };
        let result = run(&client, &question, &mut |_| {}, pending()).await;
        Answer { index, result: result.map_err(|error| with_causes(&error)) }
    }
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
        let line = serde_json::to_string(&answer).map_err(PodError::Order)? + "\n";
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(system("write an answer"))?;
    }
    Ok(())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
