//! Sessions: how long they are good, how they end, and how they are listed.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;

use super::{
    super::{Handle, ListQuery, Lookup, SessionId, SessionInfo, UserKey},
    AT_ONCE, HOUR, Subject, World, key, key_of,
};

pub(super) async fn examine<S: Subject>(world: &impl AsyncFn() -> World<S>) {
    a_session_is_what_was_made_of_it(world().await).await;
    an_unknown_id_is_absent_and_ending_it_is_no_error(world().await).await;
    a_session_that_is_used_lives_until_its_whole_life_is_over(world().await).await;
    a_session_that_is_not_used_ends(world().await).await;
    an_ended_session_is_absent_everywhere_at_once(world().await).await;
    a_session_is_ended_by_its_handle(world().await).await;
    lists_tell_of_each_good_session_once(world().await).await;
    lists_tell_of_one_account_or_user(world().await).await;
}

async fn a_session_is_what_was_made_of_it<S: Subject>(world: World<S>) {
    let made = world.sign_in("o1").await;
    let other = world.sign_in("o1").await;
    assert!(made.id() != other.id(), "each sign-in makes a session of its own");
    for store in [world.store(), world.other()] {
        let session = store.load(made.id()).await.expect("it can be loaded");
        let session = session.expect("it was just made");
        assert!(session.id() == made.id(), "a session has the id that it is asked for with");
        assert_eq!(*session.user().key(), key("o1"));
        assert_eq!(session.scope(), made.scope());
        assert_eq!(session.signed_in_at(), made.signed_in_at());
        assert_eq!(session.epoch(), made.epoch());
    }
}

async fn an_unknown_id_is_absent_and_ending_it_is_no_error<S: Subject>(world: World<S>) {
    let known = world.sign_in("o1").await;
    assert!(world.is_good(known.id()).await);
    let unknown = SessionId::new();
    assert!(!world.is_good(unknown).await);
    world.store().remove(unknown).await.expect("ending an absent session is no error");
    let removed = world.store().remove_by_handle(unknown.handle()).await;
    assert!(!removed.expect("ending an absent session is no error"), "there was none");
    assert!(world.is_good(known.id()).await, "another session has nothing to do with it");
}

async fn a_session_that_is_used_lives_until_its_whole_life_is_over<S: Subject>(world: World<S>) {
    let session = world.sign_in("o1").await;
    for hours in 0..7 {
        world.advance(23 * HOUR).await;
        assert!(world.is_good(session.id()).await, "used all the time, {} h old", 23 * (hours + 1));
    }
    world.advance(7 * HOUR.saturating_sub(Duration::from_secs(1))).await;
    assert!(world.is_good(session.id()).await, "seconds before its whole life is over");
    world.advance(Duration::from_secs(7)).await;
    assert!(!world.is_good(session.id()).await, "its whole life is over, however much it is used");
}

async fn a_session_that_is_not_used_ends<S: Subject>(world: World<S>) {
    let session = world.sign_in("o1").await;
    let used = world.sign_in("o1").await;
    for _ in 0..27 {
        world.advance(HOUR).await;
        assert!(world.is_good(used.id()).await);
    }
    assert!(!world.is_good(session.id()).await, "27 h unused is more than a tenth above 24 h");
    assert!(world.is_good(used.id()).await, "it was used every hour");
}

async fn an_ended_session_is_absent_everywhere_at_once<S: Subject>(world: World<S>) {
    let (session, stays) = (world.sign_in("o1").await, world.sign_in("o1").await);
    assert!(world.is_good(session.id()).await && world.is_good(stays.id()).await);
    world.store().remove(session.id()).await.expect("it can be ended");
    assert!(!world.is_good(session.id()).await);
    assert!(world.is_good(stays.id()).await, "the user's other session goes on");

    // Without being asked anew, the other instance has to hear of it.
    let session = world.sign_in("o1").await;
    assert!(world.is_good(session.id()).await);
    world.store().remove(session.id()).await.expect("it can be ended");
    is_soon_refused(&world, session.id()).await;
}

/// Waits until a look-up without asking does not find a session any more.
pub(super) async fn is_soon_refused<S: Subject>(world: &World<S>, id: SessionId) {
    let began = Instant::now();
    while matches!(world.other().peek(id), Lookup::Hit(_)) {
        assert!(began.elapsed() < AT_ONCE, "what ends is not found a second later");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn a_session_is_ended_by_its_handle<S: Subject>(world: World<S>) {
    let (session, stays) = (world.sign_in("o1").await, world.sign_in("o1").await);
    let handle = Handle::parse(&session.id().handle().to_string()).expect("it can be read back");
    assert!(world.other().remove_by_handle(handle).await.expect("it can be ended"));
    assert!(!world.is_good(session.id()).await && world.is_good(stays.id()).await);
    assert!(!world.store().remove_by_handle(handle).await.expect("twice is no error"));
}

/// All pages of a list, two at a time.
async fn all<S: Subject>(world: &World<S>, asked: Option<&UserKey>) -> Vec<SessionInfo> {
    let mut query = ListQuery {
        appid: asked.map(|user| user.appid.clone()),
        openid: asked.map(|user| user.openid.clone()),
        after: None,
        limit: 2,
    };
    let mut told = Vec::new();
    for _ in 0..1000 {
        let page = world.store().list(&query).await.expect("sessions can be listed");
        told.extend(page.sessions);
        query.after = page.next;
        if query.after.is_none() {
            return told;
        }
    }
    panic!("a list ends");
}

async fn lists_tell_of_each_good_session_once<S: Subject>(world: World<S>) {
    assert!(all(&world, None).await.is_empty(), "nobody is signed in yet");
    let mut made = Vec::new();
    for n in 0..9 {
        made.push(world.sign_in(&format!("o{}", n % 3)).await);
    }
    world.store().remove(made[0].id()).await.expect("it can be ended");
    world.store().remove_all_of(&key("o1")).await.expect("they can be ended");
    let told: Vec<_> = all(&world, None).await;
    let handles: HashSet<_> = told.iter().map(|info| info.handle).collect();
    let good = made.iter().enumerate().filter(|(n, _)| *n != 0 && n % 3 != 1);
    let good: HashSet<_> = good.map(|(_, session)| session.id().handle()).collect();
    assert_eq!(handles, good, "the good ones and no other");
    assert_eq!(told.len(), good.len(), "each once");
    let first = made[3].clone();
    let info = told.iter().find(|info| info.handle == first.id().handle()).expect("it is told");
    assert_eq!(info.user, *first.user().key());
    assert_eq!((info.scope, info.signed_in_at), (first.scope(), first.signed_in_at()));
    let off = first.last_used().since(info.last_used) + info.last_used.since(first.last_used());
    assert!(off <= 3 * HOUR, "the last use is exact to a tenth of the idle life: {off:?}");
}

async fn lists_tell_of_one_account_or_user<S: Subject>(world: World<S>) {
    let elsewhere = key_of("wxfedcba9876543210", "o1");
    let (one, two) = (world.sign_in("o1").await, world.sign_in("o2").await);
    let three = world.sign_in_as(&elsewhere).await;
    for (user, session) in [(key("o1"), &one), (key("o2"), &two), (elsewhere, &three)] {
        let told = all(&world, Some(&user)).await;
        let handles: Vec<_> = told.iter().map(|info| info.handle).collect();
        assert_eq!(handles, [session.id().handle()], "{user}");
    }
    assert!(all(&world, Some(&key("nobody"))).await.is_empty());
    assert_eq!(all(&world, None).await.len(), 3);
}
