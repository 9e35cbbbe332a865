//! Looks at what nobody tells of, at a pace and for a time: a network plugin, a namespace that empties.

use std::time::Duration;

use tokio::time::{Instant, Interval, interval_at};

/// Looks that follow each other.
pub(super) struct Pace {
    ticks: Interval,
    until: Instant,
}

impl Pace {
    /// One look every so often, for as long as this.
    pub(super) fn new(every: Duration, limit: Duration) -> Self {
        let now = Instant::now();
        Self { ticks: interval_at(now + every, every), until: now + limit }
    }

    /// Returns when it is time for the next look; false when the time is over.
    pub(super) async fn next(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        self.ticks.tick().await;
        true
    }
}
