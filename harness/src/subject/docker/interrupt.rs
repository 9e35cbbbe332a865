//! Ctrl-C and SIGTERM: what the run made is removed before the process ends, unless the signal comes twice.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::engine::Engine;
use super::leftovers;

/// Set with the first signal: from then on only the thread that removes things has something to say.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the process is about to end.
pub(super) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Watches for signals from now on, in a thread of its own, for the run of this number.
///
/// # Errors
/// The system has no thread or handler left.
pub(super) fn watch(engine: Engine, run: String) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Here, so that no signal is missed between this line and the thread's first.
    let signals = {
        let _inside = runtime.enter();
        [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)]
            .into_iter()
            .map(|(kind, code)| Ok((signal(kind)?, code)))
            .collect::<io::Result<Vec<_>>>()?
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let code = runtime.block_on(remove_when_told(&engine, &run, signals));
        std::process::exit(code)
    })?;
    Ok(())
}

/// Waits for a signal, removes everything of the run, and gives the exit code that a shell expects.
async fn remove_when_told(engine: &Engine, run: &str, mut signals: Vec<(Signal, i32)>) -> i32 {
    let code = any(&mut signals).await;
    INTERRUPTED.store(true, Ordering::Relaxed);
    eprintln!("interrupted: removing the containers and the network of this run");
    tokio::select! {
        // Another thread may be in the middle of making one: until the engine has none.
        () = async { while leftovers::remove_run(engine, run).await {} } => {}
        _ = any(&mut signals) => {
            eprintln!("interrupted again: containers end by themselves; `egret clean` removes what is left of run {run}");
        }
    }
    code
}

/// The exit code of the first signal that comes.
async fn any(signals: &mut [(Signal, i32)]) -> i32 {
    std::future::poll_fn(|context| {
        let mut signals = signals.iter_mut();
        let came = signals.find_map(|(signal, code)| signal.poll_recv(context).is_ready().then_some(*code));
        came.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}
