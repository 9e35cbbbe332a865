//! The only reader of time: the kernel's monotonic clock, and the wall clock for what people read.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock, the one that the kernel programs read.
#[must_use]
pub fn monotonic() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since the Unix epoch minus nanoseconds of the monotonic clock.
#[must_use]
pub fn wall_offset() -> u64 {
    read(ClockId::CLOCK_REALTIME).saturating_sub(monotonic())
}

fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec()).unwrap_or(0))
    })
}
