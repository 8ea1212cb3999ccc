//! Something that happens once, whichever instance is asked, and of which all who ask for it learn the outcome.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::session::{Lease, OneUse, Store, StoreError, Work};

/// How long one instance may take. Calls to WeChat end sooner.
const LEASE: Duration = Duration::from_secs(30);
/// How long others wait for it. A browser waits no longer either.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often they look.
const PAUSE: Duration = Duration::from_millis(25);
/// How long the outcome is there to be learnt.
const SHARED: Duration = Duration::from_secs(60);

/// What came of it.
pub(super) enum Once<T> {
    /// We did it.
    Done(T),
    /// Somebody else did it, and told this.
    Told(Vec<u8>),
    /// Somebody else did it, or tried to, and nothing can be learnt of it.
    Used,
}

/// Does `work` unless somebody has. The mark that it was begun is set before it begins and outlives the lease, so that it
/// is never done twice, even where the one who began is gone. What is `told` of it is left under `shared`.
///
/// # Errors
/// When the store fails. Then the work may have been begun by somebody, but not by us.
pub(super) async fn among_all<T>(
    store: &dyn Store,
    once: &OneUse,
    life: Duration,
    shared: &OneUse,
    work: impl AsyncFnOnce() -> T,
    told: impl Fn(&T) -> Option<Vec<u8>>,
) -> Result<Once<T>, StoreError> {
    let lease_of = Work::of(once);
    let began = Instant::now();
    let lease = loop {
        if let Some(lease) = store.lease(&lease_of, LEASE).await? {
            break lease;
        }
        if let Some(told) = store.outcome(shared).await? {
            return Ok(Once::Told(told));
        }
        if began.elapsed() >= PATIENCE {
            return Ok(Once::Used);
        }
        sleep(PAUSE).await;
    };
    let claimed = store.claim(once, life).await;
    let outcome = match claimed {
        Ok(true) => {
            let done = work().await;
            if let Some(told) = told(&done) {
                // Others only learn less where this fails: they start again.
                if let Err(error) = store.settle(shared, &told, SHARED).await {
                    tracing::warn!(%error, "the outcome of a sign-in could not be shared");
                }
            }
            Ok(Once::Done(done))
        }
        Ok(false) => store.outcome(shared).await.map(|told| told.map_or(Once::Used, Once::Told)),
        Err(error) => Err(error),
    };
    give_back(store, &lease_of, lease).await;
    outcome
}

/// Gives a lease back. Where that fails, it ends by itself.
pub(super) async fn give_back(store: &dyn Store, work: &Work, lease: Lease) {
    if let Err(error) = store.release(work, lease).await {
        tracing::debug!(%error, "a lease ends by itself");
    }
}
