//! The app's own data: it lives and ends with its session.

use std::sync::Arc;

use super::{
    super::{SessionId, Store},
    HOUR, Subject, World, key,
};

pub(super) async fn examine<S: Subject>(world: &impl AsyncFn() -> World<S>) {
    data_is_kept_for_one_session(world().await).await;
    data_ends_with_its_session_and_a_late_save_brings_nothing_back(world().await).await;
    data_is_kept_as_long_as_its_session(world().await).await;
    saves_that_race_with_the_end_bring_nothing_back(world().await).await;
}

async fn load(store: &dyn Store, id: SessionId) -> Option<Arc<[u8]>> {
    store.load_app_data(id).await.expect("data can be loaded")
}

async fn save(store: &dyn Store, id: SessionId, data: &[u8]) -> bool {
    store.save_app_data(id, data.into()).await.expect("data can be saved")
}

async fn data_is_kept_for_one_session<S: Subject>(world: World<S>) {
    let (session, other) = (world.sign_in("o1").await, world.sign_in("o1").await);
    assert_eq!(load(&*world.store(), session.id()).await, None, "nothing was saved yet");
    assert!(save(&*world.store(), session.id(), b"cart").await);
    assert_eq!(load(&*world.other(), session.id()).await.as_deref(), Some(&b"cart"[..]));
    assert_eq!(load(&*world.store(), other.id()).await, None, "it is one session's");
    assert!(save(&*world.other(), session.id(), &[0, 255, b'\n']).await);
    assert_eq!(load(&*world.store(), session.id()).await.as_deref(), Some(&[0, 255, b'\n'][..]));
    world.store().remove_app_data(session.id()).await.expect("it can be forgotten");
    assert_eq!(load(&*world.store(), session.id()).await, None);
    assert!(world.is_good(session.id()).await, "the session goes on without it");
}

async fn data_ends_with_its_session_and_a_late_save_brings_nothing_back<S: Subject>(
    world: World<S>,
) {
    let unknown = SessionId::new();
    assert!(!save(&*world.store(), unknown, b"x").await, "an unknown session keeps nothing");
    assert_eq!(load(&*world.store(), unknown).await, None);
    for way in ["the session", "all of the user's", "the user", "the account"] {
        let session = world.sign_in("o1").await;
        assert!(save(&*world.store(), session.id(), b"cart").await);
        let (store, user) = (world.store(), key("o1"));
        let ended = match way {
            "the session" => store.remove(session.id()).await,
            "all of the user's" => store.remove_all_of(&user).await,
            "the user" => store.remove_user(&user).await,
            _ => store.remove_all_of_account(&user.appid).await,
        };
        ended.expect("it can be ended");
        for store in [world.store(), world.other()] {
            assert_eq!(load(&*store, session.id()).await, None, "after the end of {way}");
            assert!(!save(&*store, session.id(), b"late").await, "after the end of {way}");
            assert_eq!(load(&*store, session.id()).await, None, "after the end of {way}");
        }
        assert!(!world.is_good(session.id()).await, "after the end of {way}");
    }
}

async fn data_is_kept_as_long_as_its_session<S: Subject>(world: World<S>) {
    let session = world.sign_in("o1").await;
    assert!(save(&*world.store(), session.id(), b"cart").await);
    for _ in 0..7 {
        world.advance(23 * HOUR).await;
        assert_eq!(load(&*world.store(), session.id()).await.as_deref(), Some(&b"cart"[..]));
    }
    world.advance(7 * HOUR).await;
    assert_eq!(load(&*world.store(), session.id()).await, None);
}

async fn saves_that_race_with_the_end_bring_nothing_back<S: Subject>(world: World<S>) {
    for round in 0..20 {
        let session = world.sign_in("o1").await;
        let id = session.id();
        let (store, other) = (world.store(), world.other());
        let saving = tokio::spawn(async move { save(&*store, id, b"late").await });
        let ending = tokio::spawn(async move { other.remove(id).await });
        saving.await.expect("it ends");
        ending.await.expect("it ends").expect("it can be ended");
        assert_eq!(load(&*world.store(), id).await, None, "round {round}");
        assert!(!world.is_good(id).await, "round {round}");
    }
}
