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

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::session::MemoryStore;

    /// What came of it, in a word, and how long that took.
    async fn try_once(store: &MemoryStore, once: &OneUse, shared: &str) -> (String, Duration) {
        let began = Instant::now();
        let shared = once.under(shared);
        let told = |done: &&str| Some(done.as_bytes().to_vec());
        let once = among_all(store, once, LEASE, &shared, async || "done", told).await.unwrap();
        let outcome = match once {
            Once::Done(done) => done.to_owned(),
            Once::Told(told) => format!("told: {}", String::from_utf8(told).unwrap()),
            Once::Used => "used".to_owned(),
        };
        (outcome, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn c48_what_was_done_is_told_at_once_and_to_nobody_else() {
        let (store, once) = (MemoryStore::new(), OneUse::sealed("test", "a"));
        for (state, outcome) in [("a", "done"), ("a", "told: done"), ("b", "used")] {
            let expected = (outcome.to_owned(), Duration::ZERO);
            assert_eq!(try_once(&store, &once, state).await, expected, "the lease is given back");
        }
        let other = OneUse::sealed("test", "b");
        assert_eq!(try_once(&store, &other, "a").await.0, "done");
    }

    #[tokio::test(start_paused = true)]
    async fn c48_who_waits_for_somebody_who_is_gone_gives_up_and_does_nothing() {
        let (store, once) = (MemoryStore::new(), OneUse::sealed("test", "a"));
        let held = store.lease(&Work::of(&once), LEASE).await.unwrap();
        let (outcome, waited) = try_once(&store, &once, "a").await;
        assert_eq!(outcome, "used");
        assert!((PATIENCE..PATIENCE + Duration::from_secs(2)).contains(&waited), "{waited:?}");
        give_back(&store, &Work::of(&once), held.unwrap()).await;
        assert_eq!(try_once(&store, &once, "a").await.0, "done");
    }
}
