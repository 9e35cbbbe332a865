//! What the agents drop, as it happens: clients hear of it and end, instead of waiting for what will not come.
//!
//! It makes a run shorter and changes nothing else: a client ends early only when an agent has reported the drop of a
//! packet of its own, and one that hears nothing waits out its time. What became of packets is read from the agents
//! when the clients have ended.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::error::ClusterError;
use super::exec::{self, At};
use super::server::Server;

/// Drops that are kept for a listener who is slow; one who misses some waits.
const KEPT: usize = 4096;

/// The agents' drops. They are followed until this value is gone.
pub(super) struct Drops {
    tell: broadcast::Sender<Arc<str>>,
    _followed: JoinSet<()>,
}

/// Hears of every drop from now on, each as the line of JSON of its flow.
pub(super) type Heard = broadcast::Receiver<Arc<str>>;

impl Drops {
    /// Follows these agents' drops from now on.
    ///
    /// # Errors
    /// An agent's pod does not take the command.
    pub(super) async fn follow(server: &Server, agents: &[At]) -> Result<Self, ClusterError> {
        // No revision is as high, so that nothing of the past is told.
        let newest = u64::MAX.to_string();
        let command =
            ["/egret", "agent", "flows", "--dropped", "--follow", "--bound", "--since", newest.as_str()];
        let (tell, _) = broadcast::channel(KEPT);
        let mut followed = JoinSet::new();
        for at in agents {
            let mut lines = exec::follow(&server.client, at, &command).await?;
            let tell = tell.clone();
            followed.spawn(async move {
                while let Some(line) = lines.next().await {
                    // Most of the time nobody is asked anything.
                    let _listeners = tell.send(line.into());
                }
            });
        }
        Ok(Self { tell, _followed: followed })
    }

    pub(super) fn listen(&self) -> Heard {
        self.tell.subscribe()
    }
}
