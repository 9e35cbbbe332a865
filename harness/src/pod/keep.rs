//! `egret pod keep`: one client's connections that stay open from one order to the next, until standard input ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::BufRead;

use egret_agent::clock;
use egret_core::flow::Flow;
use egret_probe::{Client, Exchange, Kept, Limits, ThisNetwork};
use tokio::sync::{broadcast, mpsc};
use tokio::task::LocalSet;

use super::probe::{KEPT, dropped, tell, with_causes};
use super::{Answer, Order, PodError, VERSION, addresses, runtime, system};

/// Reads orders, each a line, and writes an answer per question, in order. Lines between orders are drops, each a flow.
/// Every connection is reset at the end.
///
/// # Errors
/// An order is of another version, or standard output is gone. A client that could not run is an answer.
pub fn keep() -> Result<(), PodError> {
    let (drops, mut orders) = listen()?;
    let local = LocalSet::new();
    local.block_on(&runtime()?, async {
        let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
        while let Some(order) = orders.recv().await {
            if order.version != VERSION {
                return Err(PodError::Version { theirs: order.version });
            }
            let client = Client {
                network: &ThisNetwork,
                addresses: if order.addresses.is_empty() { addresses()? } else { order.addresses },
                resolver: None,
                limits: Limits { answer: order.answer, resolve: order.resolve },
            };
            for (index, question) in order.questions.into_iter().enumerate() {
                tell(&say(&client, index, &question, &mut kept, drops.subscribe()).await)?;
            }
        }
        Ok(())
    })
}

async fn say(
    client: &Client<'_>,
    index: usize,
    question: &Exchange,
    kept: &mut BTreeMap<String, Kept>,
    drops: broadcast::Receiver<Flow>,
) -> Answer {
    let Exchange::Keep { connection, open } = question else {
        return Answer { index, result: Err("a connection that stays open is asked nothing else".into()) };
    };
    // What was dropped before may have been under other policies.
    let since = clock::monotonic().saturating_add(clock::wall_offset());
    let current = Cell::new(None);
    let give_up = dropped(&current, drops, since);
    let open = open.as_ref().map(|(at, peer)| (*at, peer.as_deref()));
    let kept = kept.entry(connection.clone()).or_default();
    let mut started = |attempt: &egret_probe::Attempt| current.set(Some(*attempt));
    let result = egret_probe::keep(client, kept, open, &mut started, give_up).await;
    Answer { index, result: result.map_err(|error| with_causes(&error)) }
}

/// Hears of drops and of orders for as long as standard input goes on.
fn listen() -> Result<(broadcast::Sender<Flow>, mpsc::UnboundedReceiver<Order>), PodError> {
    let (tell, _) = broadcast::channel(KEPT);
    let (give, orders) = mpsc::unbounded_channel();
    let told = tell.clone();
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            // What is neither is nobody's, and nobody may be asking just now.
            if let Ok(flow) = serde_json::from_str(&line) {
                let _listeners = told.send(flow);
            } else if let Ok(order) = serde_json::from_str(&line)
                && give.send(order).is_err()
            {
                return;
            }
        }
    };
    std::thread::Builder::new().name("orders".into()).spawn(read).map_err(system("start a thread"))?;
    Ok((tell, orders))
}
