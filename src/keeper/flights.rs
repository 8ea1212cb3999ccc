//! Work that is done once for all who ask for it at the same time, and goes on where none of them waits any more.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{runtime::Handle, sync::watch};

/// The work that is under way.
pub(super) struct Flights<K, V> {
    under_way: Arc<UnderWay<K, V>>,
    /// Where it runs; the caller's own runtime without one.
    runtime: Option<Handle>,
}

type UnderWay<K, V> = Mutex<HashMap<K, Outcome<V>>>;
type Outcome<V> = watch::Receiver<Option<V>>;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(runtime: Option<Handle>) -> Self {
        Self { under_way: Arc::default(), runtime }
    }

    /// What comes of the work, which is begun unless it is under way. None where it panicked.
    pub(super) async fn join(
        &self,
        key: K,
        work: impl Future<Output = V> + Send + 'static,
    ) -> Option<V> {
        let mut outcome = self.start(key, work);
        let outcome = outcome.wait_for(Option::is_some).await.ok()?;
        outcome.clone()
    }

    /// Begins the work unless it is under way.
    pub(super) fn start(
        &self,
        key: K,
        work: impl Future<Output = V> + Send + 'static,
    ) -> Outcome<V> {
        let mut under_way = lock(&self.under_way);
        if let Some(outcome) = under_way.get(&key) {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        under_way.insert(key.clone(), outcome.clone());
        let landing = Landing { under_way: self.under_way.clone(), key, outcome: outcome.clone() };
        let flight = async move {
            let _landing = landing;
            tell.send_replace(Some(work.await));
        };
        match &self.runtime {
            Some(runtime) => runtime.spawn(flight),
            None => tokio::spawn(flight),
        };
        outcome
    }

    /// Whoever asks from now on does not get what comes of the work that is under way.
    pub(super) fn forget(&self, key: &K) {
        lock(&self.under_way).remove(key);
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let under_way = lock(&self.under_way).len();
        f.debug_struct("Flights").field("under_way", &under_way).finish_non_exhaustive()
    }
}

fn lock<K, V>(under_way: &UnderWay<K, V>) -> MutexGuard<'_, HashMap<K, Outcome<V>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a flight off the list, however it ends.
struct Landing<K: Eq + Hash, V> {
    under_way: Arc<UnderWay<K, V>>,
    key: K,
    outcome: Outcome<V>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        if under_way.get(&self.key).is_some_and(|it| it.same_channel(&self.outcome)) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_outcome_and_the_next_one_gets_a_new_one() {
        let flights = Arc::new(Flights::<&str, usize>::new(None));
        let (begun, go) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()));
        let work = || {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                let number = begun.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                number
            }
        };
        let first = flights.start("a", work());
        let second = flights.start("a", work());
        assert!(first.same_channel(&second));
        go.notify_one();
        let waits = flights.join("a", work());
        assert_eq!(waits.await, Some(0));
        go.notify_one();
        assert_eq!(flights.join("a", work()).await, Some(1));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn work_goes_on_where_nobody_waits_any_more() {
        let flights = Flights::<&str, ()>::new(None);
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let work = {
            let (go, done) = (go.clone(), done.clone());
            async move {
                go.notified().await;
                done.notify_one();
            }
        };
        drop(flights.start("a", work));
        go.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn a_flight_that_was_forgotten_or_crashed_keeps_nobody() {
        let flights = Flights::<&str, u8>::new(None);
        let forgotten = flights.start("a", std::future::pending());
        flights.forget(&"a");
        assert_eq!(flights.join("a", async { 2 }).await, Some(2));
        drop(forgotten);
        assert_eq!(flights.join("b", async { panic!("it crashes") }).await, None);
        assert_eq!(flights.join("b", async { 3 }).await, Some(3));
    }
}
