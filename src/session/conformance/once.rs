//! What may happen once: one-use records with one winner, their outcomes, and leases.

use std::{sync::Arc, time::Duration};

use super::{
    super::{OneUse, Store, Work},
    Subject, World, key,
};
use crate::secret::Code;

const MINUTE: Duration = Duration::from_secs(60);
/// At once, and from two instances.
const CALLERS: usize = 50;

pub(super) async fn examine<S: Subject>(world: &impl AsyncFn() -> World<S>) {
    a_one_use_record_has_one_winner_until_it_expires(world().await).await;
    who_did_not_win_learns_the_outcome(world().await).await;
    work_is_leased_to_one_at_a_time(world().await).await;
    a_lease_that_has_ended_gives_nothing_back(world().await).await;
}

fn code(code: &str) -> OneUse {
    OneUse::exchange(&key("o1").appid, &Code::new(code))
}

/// How many of many callers, at both instances, were told yes.
async fn winners<S, F>(world: &World<S>, call: impl Fn(Arc<dyn Store>) -> F) -> usize
where
    S: Subject,
    F: Future<Output = bool> + Send + 'static,
{
    let stores = [world.store(), world.other()];
    let calls: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(call(stores[n % 2].clone()))).collect();
    let mut winners = 0;
    for call in calls {
        winners += usize::from(call.await.expect("it ends"));
    }
    winners
}

async fn a_one_use_record_has_one_winner_until_it_expires<S: Subject>(world: World<S>) {
    let claim = |digest, life| {
        move |store: Arc<dyn Store>| async move {
            store.claim(&code(digest), life).await.expect("it can be claimed")
        }
    };
    assert_eq!(winners(&world, claim("a", 10 * MINUTE)).await, 1);
    assert_eq!(winners(&world, claim("b", 10 * MINUTE)).await, 1, "another record has its own");
    world.advance(9 * MINUTE).await;
    assert_eq!(winners(&world, claim("a", MINUTE)).await, 0, "nine of ten minutes are over");
    world.advance(MINUTE).await;
    assert_eq!(winners(&world, claim("a", MINUTE)).await, 1, "it has expired");
}

async fn who_did_not_win_learns_the_outcome<S: Subject>(world: World<S>) {
    let (store, other) = (world.store(), world.other());
    assert!(store.claim(&code("a"), 10 * MINUTE).await.expect("it can be claimed"));
    let outcome = async |digest| other.outcome(&code(digest)).await.expect("it can be asked for");
    assert_eq!(outcome("a").await, None, "nothing was left yet");
    store.settle(&code("a"), b"signed in", MINUTE).await.expect("it can be settled");
    assert_eq!(outcome("a").await.as_deref(), Some(&b"signed in"[..]));
    assert_eq!(outcome("b").await, None, "it is the outcome of one record");
    world.advance(MINUTE).await;
    assert_eq!(outcome("a").await, None, "it was left for a minute");
    let again = store.claim(&code("a"), MINUTE).await.expect("it can be claimed");
    assert!(!again, "the record outlives its outcome");
}

async fn work_is_leased_to_one_at_a_time<S: Subject>(world: World<S>) {
    let lease = |openid: &'static str| {
        move |store: Arc<dyn Store>| async move {
            let lease = store.lease(&Work::refresh(&key(openid)), MINUTE).await;
            lease.expect("it can be asked for").is_some()
        }
    };
    assert_eq!(winners(&world, lease("o1")).await, 1);
    assert_eq!(winners(&world, lease("o2")).await, 1, "other work is somebody else's");
    world.advance(MINUTE).await;
    assert_eq!(winners(&world, lease("o1")).await, 1, "the lease has ended");
}

async fn a_lease_that_has_ended_gives_nothing_back<S: Subject>(world: World<S>) {
    let (store, other, work) = (world.store(), world.other(), Work::refresh(&key("o1")));
    let take = async |store: &dyn Store| store.lease(&work, MINUTE).await.expect("it can be asked");
    let first = take(&*store).await.expect("it is free");
    store.release(&work, first).await.expect("it can be given back");
    let second = take(&*other).await.expect("it was given back");
    store.release(&work, first).await.expect("giving back twice is no error");
    assert!(take(&*store).await.is_none(), "who gives back twice takes nothing from the next one");
    world.advance(MINUTE).await;
    let third = take(&*store).await.expect("the second lease has ended");
    other.release(&work, second).await.expect("giving back late is no error");
    assert!(take(&*other).await.is_none(), "who is late takes nothing from the next one");
    store.release(&work, third).await.expect("it can be given back");
    assert!(take(&*other).await.is_some());
}
