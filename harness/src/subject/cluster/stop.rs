//! Ctrl-C and SIGTERM while a cluster is at work: what goes on is left, and what was made is taken away.

use std::future::Future;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::ClusterError;

/// Listens for both signals from the moment that it is made.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    asked: bool,
}

impl Stop {
    /// Has to be made inside a runtime.
    pub(super) fn new() -> Result<Self, ClusterError> {
        let system = |source| ClusterError::System { what: "listen for signals", source };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(system)?,
            terminate: signal(SignalKind::terminate()).map_err(system)?,
            asked: false,
        })
    }

    /// Does some work unless and until one of the signals comes.
    pub(super) fn work<T>(
        &mut self,
        runtime: &Runtime,
        work: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        if self.asked {
            return Err(ClusterError::Interrupted);
        }
        self.again(runtime, work)
    }

    /// As above, also after a signal: to take away what was made. Another signal ends that too.
    pub(super) fn again<T>(
        &mut self,
        runtime: &Runtime,
        work: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                ended = work => return ended,
            }
            self.asked = true;
            Err(ClusterError::Interrupted)
        })
    }
}
