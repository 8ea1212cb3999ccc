//! The simulator's own clock: the machine's time plus whatever it was advanced by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that runs like the machine's and can be moved forward, never back.
#[derive(Debug, Default)]
pub(super) struct Clock {
    advanced_ms: AtomicU64,
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub(super) fn millis(&self) -> u64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        as_millis(real).saturating_add(self.advanced_ms.load(Ordering::Relaxed))
    }

    /// Seconds since the Unix epoch.
    pub(super) fn seconds(&self) -> u64 {
        self.millis() / 1000
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = as_millis(by);
        // Saturating, so that no script can wrap time around to the past.
        let _ = self
            .advanced_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_add(by)));
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
