//! How long a client may take for the head of a request: little once it has begun, long while it says nothing.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use pin_project_lite::pin_project;
use tokio::time;

use super::{Limits, watched::Pulse};

/// A clock for one HTTP/1.1 connection. hyper asks it for one thing, a sleep for as long as the next head may take, and
/// knows one limit for that, where there are two: so the sleep looks for itself which of them holds.
#[derive(Debug)]
pub(super) struct HeadTimer {
    pulse: Arc<Pulse>,
    limits: Limits,
    /// When the first head has to be here, also when nothing has come of it yet.
    first: time::Instant,
    is_first: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(pulse: Arc<Pulse>, limits: Limits, first: time::Instant) -> Self {
        Self { pulse, limits, first, is_first: AtomicBool::new(true) }
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
        Box::pin(HeadSleep {
            sleep: time::sleep_until(until),
            head: Head { pulse: self.pulse.clone() },
            limit: self.limits.request_head,
            begun: first,
        })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }
}

pin_project! {
    /// Lasts for as long as the head may take to arrive.
    struct HeadSleep {
        #[pin]
        sleep: time::Sleep,
        head: Head,
        limit: Duration,
        begun: bool,
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls it whenever it has read something and the head is still not whole.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if !*this.begun && this.head.pulse.head_has_begun() {
            *this.begun = true;
            this.sleep.as_mut().reset(time::Instant::now() + *this.limit);
        }
        this.sleep.poll(context)
    }
}

/// A head that is waited for.
struct Head {
    pulse: Arc<Pulse>,
}

impl Drop for Head {
    fn drop(&mut self) {
        self.pulse.head_is_here();
    }
}
