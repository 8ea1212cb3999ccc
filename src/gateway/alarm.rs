//! An alarm that is set anew for each request of a connection.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at a moment. It is mostly set to a later one long before, so the runtime hears of the moment only where it comes
/// before the one that it knows, and of all others when that one is over.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    rings_at: Instant,
}

impl Alarm {
    pub(super) fn new(rings_at: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(rings_at)), rings_at }
    }

    pub(super) fn set(&mut self, rings_at: Instant) {
        self.rings_at = rings_at;
        if rings_at < self.sleep.deadline() || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(rings_at);
        }
    }

    /// Ready once it rings, and until it is set anew.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if self.rings_at <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.rings_at);
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("rings_at", &self.rings_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    /// Waits for it, and says after how many seconds it has rung.
    async fn rings_after(alarm: &mut Alarm) -> u64 {
        let began = Instant::now();
        poll_fn(|context| alarm.poll(context)).await;
        began.elapsed().as_secs()
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_it_was_set_to_whatever_it_was_set_to_before() {
        let mut alarm = Alarm::new(after(10));
        for seconds in [60, 5, 5, 300, 1, 0, 20] {
            alarm.set(after(seconds));
            assert_eq!(rings_after(&mut alarm).await, seconds);
            assert_eq!(rings_after(&mut alarm).await, 0, "it goes on");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_may_be_set_again_while_somebody_waits_and_long_after() {
        let mut alarm = Alarm::new(after(10));
        let waited = tokio::time::timeout(Duration::from_secs(9), rings_after(&mut alarm)).await;
        assert!(waited.is_err());
        alarm.set(after(10));
        assert_eq!(rings_after(&mut alarm).await, 10);
        tokio::time::sleep(Duration::from_secs(100)).await;
        alarm.set(after(7));
        assert_eq!(rings_after(&mut alarm).await, 7);
    }
}
