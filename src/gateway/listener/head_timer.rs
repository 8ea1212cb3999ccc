//! How long a client may take for the head of a request: little once it has begun, long while it says nothing.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time;

use super::{Limits, watched::Pulse};
use crate::gateway::alarm::Alarm;

/// A clock for one HTTP/1.1 connection. hyper asks it for one thing, a sleep for as long as the next head may take, and
/// knows one limit for that, where there are two: so the sleep looks for itself which of them holds.
#[derive(Debug)]
pub(super) struct HeadTimer {
    pulse: Arc<Pulse>,
    limits: Limits,
    /// When the first head has to be here, also when nothing has come of it yet.
    first: time::Instant,
    is_first: AtomicBool,
    alarm: Arc<Mutex<Alarm>>,
}

impl HeadTimer {
    pub(super) fn new(pulse: Arc<Pulse>, limits: Limits, first: time::Instant) -> Self {
        let alarm = Arc::new(Mutex::new(Alarm::new(first)));
        Self { pulse, limits, first, is_first: AtomicBool::new(true), alarm }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.pulse.wait_for_head();
        let first = self.is_first.swap(false, Ordering::Relaxed);
        let until = if first { self.first } else { time::Instant::now() + self.limits.keep_alive };
        lock(&self.alarm).set(until);
        Box::pin(HeadSleep {
            alarm: self.alarm.clone(),
            pulse: self.pulse.clone(),
            limit: self.limits.request_head,
            begun: first,
        })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }
}

/// Lasts for as long as the head may take to arrive. There is one at a time, so they share the connection's alarm.
struct HeadSleep {
    alarm: Arc<Mutex<Alarm>>,
    pulse: Arc<Pulse>,
    limit: Duration,
    begun: bool,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls it whenever it has read something and the head is still not whole.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut alarm = lock(&this.alarm);
        if !this.begun && this.pulse.head_has_begun() {
            this.begun = true;
            alarm.set(time::Instant::now() + this.limit);
        }
        alarm.poll(context)
    }
}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.pulse.head_is_here();
    }
}

/// Never waited for: a connection is served by one task.
fn lock(alarm: &Mutex<Alarm>) -> MutexGuard<'_, Alarm> {
    alarm.lock().unwrap_or_else(PoisonError::into_inner)
}
