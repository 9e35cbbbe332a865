//! A container's side: one site, run by the orders that come on standard input.
//!
//! The harness holds the other end of that stream. When it ends, for whatever reason, the stream closes, this
//! process ends, and the engine removes the container.

use std::future::pending;
use std::io::{self, Read, Write};

use egret_agent::clock;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;

use super::wire::{Lines, Order, Reply, Settle, Settled, VERSION, encode};
use crate::subject::SubjectError;
use crate::subject::lab::raise_limits;
use crate::subject::site::{Elsewhere, Site, SiteError, failed, own_address};

/// Runs a site until standard input closes.
///
/// # Errors
/// This process is not in a network of its own, or the harness cannot be told what it asked for.
pub fn serve() -> io::Result<()> {
    raise_limits();
    // Reading types takes a while that is otherwise spent waiting for the first order.
    let warming = std::thread::Builder::new().name("types".into()).spawn(egret_agent::datapath::warm)?;
    say(&Reply::Hello { version: VERSION, address: own_address()?, wall_offset: clock::wall_offset() })?;
    let (order, mut orders) = mpsc::unbounded_channel();
    let (elsewhere, mut from_elsewhere) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("orders".into()).spawn(move || {
        let end = listen(&order, &elsewhere);
        if let Err(error) = &end {
            eprintln!("error: could not read an order: {error}");
        }
        // Whatever the site is doing: nobody is left who wants to know.
        std::process::exit(i32::from(end.is_err()));
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(LocalSet::new().run_until(work(&mut orders, &mut from_elsewhere)));
    drop(warming.join());
    ended
}

/// Obeys orders, and tells of drops in between.
async fn work(orders: &mut UnboundedReceiver<Order>, elsewhere: &mut Elsewhere) -> io::Result<()> {
    let mut site: Option<Site> = None;
    loop {
        let news = async {
            match &site {
                Some(site) => site.news().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => {
                    let reply = obey(order, &mut site, elsewhere).await;
                    say(&reply.unwrap_or_else(|error| Reply::Failed(error.into())))?;
                }
                // The thread that read orders ends the process.
                None => pending().await,
            },
            () = news => {
                let drops = site.as_mut().map(Site::drops).unwrap_or_default();
                if !drops.is_empty() {
                    say(&Reply::Drops(drops))?;
                }
            }
        }
    }
}

/// Hands orders over until the stream ends.
fn listen(
    order: &UnboundedSender<Order>,
    elsewhere: &UnboundedSender<Vec<egret_core::flow::Flow>>,
) -> io::Result<()> {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut input = io::stdin().lock();
    loop {
        let length = input.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        for message in lines.take::<Order>(buffer.get(..length).unwrap_or_default())? {
            // The other ends live as long as the process.
            let _held = if let Order::Elsewhere { drops } = message {
                elsewhere.send(drops).is_ok()
            } else {
                order.send(message).is_ok()
            };
        }
    }
}

fn say(reply: &Reply) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(&encode(reply)?)?;
    output.flush()
}

async fn obey(
    order: Order,
    site: &mut Option<Site>,
    elsewhere: &mut Elsewhere,
) -> Result<Reply, SubjectError> {
    let made = match &order {
        Order::BeInternet { wall_offset } => Some(Site::internet(*wall_offset)),
        Order::BeInternetForOthers { wall_offset } => Some(Site::internet_for_others(*wall_offset)),
        Order::BeNode { slot, internet, wall_offset } => Some(Site::node(*slot, *internet, *wall_offset)),
        Order::Link { .. }
        | Order::Begin { .. }
        | Order::Apply { .. }
        | Order::Ask { .. }
        | Order::Elsewhere { .. }
        | Order::Settle(_) => None,
    };
    if let Some(made) = made {
        *site = Some(made.map_err(failed("set up the site"))?);
        return Ok(Reply::Done);
    }
    let unmade =
        || SubjectError::Run { what: "obey".into(), problem: "this site was not told what it is".into() };
    let site = site.as_mut().ok_or_else(unmade)?;
    Ok(match order {
        Order::Link { slot, node } => {
            site.link(slot, node).map_err(failed("link a node"))?;
            Reply::Done
        }
        Order::Begin { world } => {
            site.begin(&world).await?;
            Reply::Done
        }
        Order::Apply { desired, events } => {
            let (revision, flows) = site.apply(&desired, &events).await?;
            Reply::Applied { revision, flows }
        }
        Order::Ask { first, questions, settle: end } => {
            // What came too late for the question before is not about these.
            while elsewhere.try_recv().is_ok() {}
            let decided = site.ask(first, questions, elsewhere).await;
            let decided = decided.map_err(failed::<SiteError>("make the probes"))?;
            let settled = match end {
                Some(end) => Some(settle(site, end).await?),
                None => None,
            };
            Reply::Decided { decided, settled }
        }
        Order::Settle(end) => Reply::Settled(settle(site, end).await?),
        Order::Elsewhere { .. }
        | Order::BeInternet { .. }
        | Order::BeInternetForOthers { .. }
        | Order::BeNode { .. } => Reply::Done,
    })
}

async fn settle(site: &mut Site, end: Settle) -> Result<Settled, SubjectError> {
    let reports = site.settle(end.patient).await.map_err(failed::<SiteError>("make the probes"))?;
    Ok(Settled { reports, flows: site.collect()? })
}
