//! The processors' time: what work takes of a core, however many others want it too.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What this process had so far.
pub(super) fn cpu() -> Duration {
    of(ClockId::ProcessCPUTime)
}

/// What this thread had so far.
pub(super) fn thread_cpu() -> Duration {
    of(ClockId::ThreadCPUTime)
}

fn of(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}
