//! The thread that runs a node's proxies inside the node's network.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use egret_shared::MARK_FROM_PROXY;
use tokio::sync::oneshot;

use super::Shared;
use super::policy::NodePolicy;
use crate::dns::DnsProxy;
use crate::error::AgentError;
use crate::netns::Netns;

/// How often names whose time is over are looked for (Cilium's `dns-garbage-collector-job`).
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// The running proxies. Dropping this ends them.
pub(super) struct Proxies {
    dns_port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxies {
    /// Starts the thread and returns when the proxies listen.
    pub(super) fn start(netns: Netns, shared: &Arc<Shared>) -> Result<Self, AgentError> {
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = mpsc::channel();
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name("proxies".into())
            .spawn(move || run(&netns, &shared, &ready, stopped))
            .map_err(AgentError::system("start the thread of the proxies"))?;
        let dns_port = listening
            .recv()
            .map_err(|_| AgentError::ProxyGone)?
            .map_err(AgentError::system("listen as DNS proxy"))?;
        Ok(Self { dns_port, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn dns_port(&self) -> u16 {
        self.dns_port
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there was reported over there.
            drop(thread.join());
        }
    }
}

fn run(
    netns: &Netns,
    shared: &Arc<Shared>,
    ready: &mpsc::Sender<io::Result<u16>>,
    stopped: oneshot::Receiver<()>,
) {
    let listen = || {
        netns.move_into()?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    };
    let runtime = match listen() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let proxy = match DnsProxy::bind(MARK_FROM_PROXY) {
            Ok(proxy) => proxy,
            Err(error) => return drop(ready.send(Err(error))),
        };
        drop(ready.send(Ok(proxy.port())));
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        let age = async {
            loop {
                expiry.tick().await;
                let expired = shared.state().expire();
                shared.note(expired);
            }
        };
        tokio::select! {
            () = proxy.run(Arc::new(NodePolicy(Arc::clone(shared)))) => {}
            () = age => {}
            _ = stopped => {}
        }
    });
}
