//! Tencent's servers, which request a callback again hours later and without cookies.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Method;
use tokio::task::JoinSet;
use url::Url;

use super::record::Received;
use super::{Shared, outgoing};

const DELAY_MS: u64 = 3 * 60 * 60 * 1000;

/// The callbacks that will be requested again.
#[derive(Debug, Default)]
pub(super) struct Replays {
    waiting: Mutex<Vec<Replay>>,
    running: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Replay {
    due: u64,
    url: String,
}

impl Replays {
    /// Three hours from `now`, in milliseconds.
    pub(super) fn schedule(&self, url: &str, now: u64) {
        lock(&self.waiting).push(Replay { due: now + DELAY_MS, url: url.to_owned() });
    }

    /// Starts those whose time has come.
    pub(super) fn start_due(&self, sim: &Shared) {
        let now = sim.clock.millis();
        let due: Vec<_> = lock(&self.waiting).extract_if(.., |replay| replay.due <= now).collect();
        for replay in due {
            lock(&self.running).spawn_on(perform(sim.clone(), replay.url), &sim.runtime);
        }
    }

    /// Waits until those that were started are over.
    pub(super) async fn settle(&self) {
        let running = std::mem::take(&mut *lock(&self.running));
        running.join_all().await;
    }
}

async fn perform(sim: Shared, url: String) {
    let Ok(url) = Url::parse(&url) else {
        return; // It was parsed once already.
    };
    let (method, status) = match outgoing::send(Method::GET, &url, "").await {
        None => ("REPLAY_REFUSED", 0),
        Some(answer) => ("REPLAY", answer.map(|answer| answer.status).unwrap_or_default()),
    };
    let before_query = &url[..url::Position::AfterPath];
    sim.record.arrived(Received {
        at: sim.clock.millis(),
        method: method.to_owned(),
        path: before_query.to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        status,
        errcode: None,
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
