//! Keeps the log from being filled with one and the same trouble.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often the log is told of the same trouble.
const SELDOM: Duration = Duration::from_secs(60);

/// Says yes at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    pub(super) fn may_speak(&self) -> bool {
        let mut spoken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let may = spoken.is_none_or(|spoken| now - spoken >= SELDOM);
        if may {
            *spoken = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_is_told_once_a_minute() {
        let seldom = Seldom::default();
        assert!(seldom.may_speak() && !seldom.may_speak());
        tokio::time::advance(SELDOM.mul_f64(0.9)).await;
        assert!(!seldom.may_speak());
        tokio::time::advance(SELDOM.mul_f64(0.1)).await;
        assert!(seldom.may_speak() && !seldom.may_speak());
    }
}
