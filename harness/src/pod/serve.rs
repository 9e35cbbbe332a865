//! `egret pod serve`: a pod's servers until it is told to end; `egret pod ready`: whether they listen.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use egret_probe::{ThisNetwork, Zones};
use tokio::signal::unix::{SignalKind, signal};

use super::{Menu, PodError, addresses, menu, runtime, system};

/// Serves what the environment says until SIGTERM or SIGINT, which the first process of a container has to ask for.
///
/// # Errors
/// The environment was not understood, or a port cannot be served.
pub fn serve() -> Result<(), PodError> {
    let menu = menu()?;
    let addresses = addresses()?;
    let at: Vec<_> = menu
        .serves
        .iter()
        .flat_map(|serve| addresses.iter().map(|address| (*address, serve.clone())))
        .collect();
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(system("listen for SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listen for SIGINT"))?;
        let server = egret_probe::serve(&ThisNetwork, &at, &menu.identity, &Zones::default())?;
        // Everything listens: whoever connects here knows it.
        let _ready = UnixListener::bind_addr(&sign(&menu)?).map_err(system("say that the servers listen"))?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        server.stop().await;
        Ok(())
    })
}

/// Whether this pod's servers listen, for its readiness probe.
///
/// # Errors
/// They do not.
pub fn ready() -> Result<(), PodError> {
    UnixStream::connect_addr(&sign(&menu()?)?).map(drop).map_err(system("connect to this pod's servers"))
}

/// An address without a file, since the image has no folder to write to. A pod on its node's network shares it with
/// others, so it holds the pod's name.
fn sign(menu: &Menu) -> Result<SocketAddr, PodError> {
    SocketAddr::from_abstract_name(format!("egret-pod-{}", menu.identity))
        .map_err(system("name this pod's sign"))
}
