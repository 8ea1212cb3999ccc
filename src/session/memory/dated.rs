//! What a store in memory keeps for a while.

use std::time::{Duration, Instant};

use moka::Expiry;

use crate::clock::Timestamp;

/// moka takes no time above a thousand years.
const LONGEST_KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What is good for a while.
#[derive(Clone, Copy)]
pub(super) struct Dated<T> {
    pub(super) what: T,
    until: Timestamp,
    life: Duration,
}

impl<T> Dated<T> {
    pub(super) fn new(what: T, now: Timestamp, life: Duration) -> Self {
        Self { what, until: now + life, life }
    }

    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// Frees the memory of what is good no more. Later than that, since the clock that decides may be set back.
pub(super) struct Forgets;

impl<K, T> Expiry<K, Dated<T>> for Forgets {
    fn expire_after_create(&self, _: &K, dated: &Dated<T>, _: Instant) -> Option<Duration> {
        Some(dated.life.min(LONGEST_KEPT) * 2)
    }

    fn expire_after_update(
        &self,
        key: &K,
        dated: &Dated<T>,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, dated, now)
    }
}
