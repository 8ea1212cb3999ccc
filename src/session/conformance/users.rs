//! Users: what is known of them, and how all sessions of a user or an account end.

use std::time::Duration;

use super::{
    super::{Profile, Subject as Naming, TokenChange, Tokens, UserChange},
    Subject, World, key, key_of, sessions,
};
use crate::{
    clock::Timestamp,
    secret::{RefreshToken, UserToken},
    wechat::UnionId,
};

pub(super) async fn examine<S: Subject>(world: &impl AsyncFn() -> World<S>) {
    what_a_change_does_not_tell_stays_known(world().await).await;
    of_changes_that_come_at_once_none_is_lost(world().await).await;
    a_subject_changes_once_and_says_so(world().await).await;
    tokens_stay_are_replaced_or_forgotten(world().await).await;
    a_late_change_brings_nobody_back(world().await).await;
    all_sessions_of_a_user_end_and_no_others(world().await).await;
    a_forgotten_user_has_no_sessions_and_none_comes_back(world().await).await;
    all_sessions_of_an_account_end_and_no_others(world().await).await;
    a_user_is_kept_as_long_as_a_session_of_theirs(world().await).await;
}

fn profile(nickname: &str) -> UserChange {
    let profile = Profile { nickname: nickname.into(), avatar: Some("https://a/0".into()) };
    UserChange { profile: Some((profile, Timestamp::from_unix(7))), ..UserChange::default() }
}

fn unionid(text: &str) -> UserChange {
    let unionid = UnionId::parse(text).expect("it is a unionid");
    UserChange { unionid: Some(unionid), ..UserChange::default() }
}

async fn what_a_change_does_not_tell_stays_known<S: Subject>(world: World<S>) {
    let user = key("o1");
    let unknown = world.store().user(&user).await.expect("a user can be asked for");
    assert!(unknown.is_none(), "nothing is known of whom nobody has met");
    world.put(&user, profile("小明 😀")).await;
    world.put(&user, unionid("u1")).await;
    let slot = world.put(&user, UserChange::default()).await;
    for slot in [Some(slot), world.other().user(&user).await.expect("it can be asked for")] {
        let record = slot.expect("it was just put").record();
        assert_eq!(record.nickname(), Some("小明 😀"));
        assert_eq!(record.avatar(), Some("https://a/0"));
        assert_eq!(record.fetched_at(), Some(Timestamp::from_unix(7)));
        assert_eq!(record.unionid().map(UnionId::as_str), Some("u1"));
    }
    let session = world.sign_in("o1").await;
    world.put(&user, profile("小红")).await;
    let session = world.store().load(session.id()).await.expect("it can be loaded");
    let record = session.expect("it is good").user().record();
    assert_eq!(record.nickname(), Some("小红"), "a session knows its user as they are now");
}

async fn of_changes_that_come_at_once_none_is_lost<S: Subject>(world: World<S>) {
    let user = key("o1");
    for round in 0..20 {
        let (nick, phone) = (format!("n{round}"), format!("+86{round}"));
        let (store, other) = (world.store(), world.other());
        let (one, two) = (user.clone(), user.clone());
        let change_of_other = UserChange { phone: Some((*phone).into()), ..UserChange::default() };
        let change = profile(&nick);
        let one = tokio::spawn(async move { store.put_user(one, change).await });
        let two = tokio::spawn(async move { other.put_user(two, change_of_other).await });
        one.await.expect("it ends").expect("a user can be put");
        two.await.expect("it ends").expect("a user can be put");
        let slot = world.store().user(&user).await.expect("it can be asked for");
        let record = slot.expect("it is known").record();
        assert_eq!(record.nickname(), Some(&*nick), "round {round}");
        assert_eq!(record.phone(), Some(&*phone), "round {round}");
    }
}

async fn a_subject_changes_once_and_says_so<S: Subject>(world: World<S>) {
    let user = key("o1");
    let (by_unionid, by_account) = (Naming::Unionid, user.to_string());
    world.put(&user, UserChange::default()).await;
    world.put(&user, unionid("u1")).await;
    let slot = world.put(&user, unionid("u2")).await;
    for slot in [Some(slot), world.other().user(&user).await.expect("it can be asked for")] {
        let record = slot.expect("it was just put").record();
        assert_eq!(record.subject(by_unionid), "u1", "the first unionid stays");
        assert_eq!(record.former_subject(by_unionid), Some(&*by_account));
        assert_eq!(record.subject(Naming::Account), by_account);
    }
}

async fn tokens_stay_are_replaced_or_forgotten<S: Subject>(world: World<S>) {
    let user = key("o1");
    let tokens = |name: &str, end| Tokens {
        access: UserToken::new(name),
        access_ends_at: Timestamp::from_unix(5),
        refresh: Some(RefreshToken::new(format!("refresh {name}"))),
        refresh_ends_at: Timestamp::from_unix(end),
    };
    let change = |tokens| UserChange { tokens, ..UserChange::default() };
    let access = async || {
        let slot = world.other().user(&user).await.expect("it can be asked for");
        let record = slot.expect("it is known").record();
        record.tokens().map(|tokens| tokens.access.expose().to_owned())
    };
    world.put(&user, change(TokenChange::Replace(tokens("one", 10)))).await;
    assert_eq!(access().await.as_deref(), Some("one"));
    world.put(&user, change(TokenChange::Keep)).await;
    assert_eq!(access().await.as_deref(), Some("one"));
    world.put(&user, change(TokenChange::Replace(tokens("two", 20)))).await;
    world.put(&user, change(TokenChange::Forget(Timestamp::from_unix(10)))).await;
    assert_eq!(access().await.as_deref(), Some("two"), "newer tokens stay");
    world.put(&user, change(TokenChange::Replace(tokens("one", 10)))).await;
    assert_eq!(access().await.as_deref(), Some("two"), "newer tokens stay");
    world.put(&user, change(TokenChange::Forget(Timestamp::from_unix(20)))).await;
    assert_eq!(access().await, None);
}

async fn a_late_change_brings_nobody_back<S: Subject>(world: World<S>) {
    let (store, other, user) = (world.store(), world.other(), key("o1"));
    let slot = world.put(&user, UserChange::default()).await;
    assert!(store.change_user(&slot, profile("小明")).await.expect("a user can be changed"));
    let known = other.user(&user).await.expect("it can be asked for").expect("it is known");
    assert_eq!(known.record().nickname(), Some("小明"));
    // A slot shows who its user is now, so what was known before is asked for anew.
    let before = store.user(&user).await.expect("it can be asked for").expect("it is known");
    other.remove_user(&user).await.expect("a user can be forgotten");
    assert!(!store.change_user(&before, profile("小红")).await.expect("it can be tried"));
    assert!(store.user(&user).await.expect("it can be asked for").is_none());
    world.put(&user, UserChange::default()).await;
    assert!(!store.change_user(&before, profile("小红")).await.expect("it can be tried"));
    let known = other.user(&user).await.expect("it can be asked for").expect("it is known");
    assert_eq!(known.record().nickname(), None, "who has come back is known anew");
}

async fn all_sessions_of_a_user_end_and_no_others<S: Subject>(world: World<S>) {
    world.put(&key("o1"), profile("小明")).await;
    let (first, second) = (world.sign_in("o1").await, world.sign_in("o1").await);
    let (other, elsewhere) =
        (world.sign_in("o2").await, world.sign_in_as(&key_of("wxfedcba9876543210", "o1")).await);
    for session in [&first, &second, &other, &elsewhere] {
        assert!(world.is_good(session.id()).await);
    }
    world.store().remove_all_of(&key("o1")).await.expect("they can be ended");
    sessions::is_soon_refused(&world, second.id()).await;
    assert!(!world.is_good(first.id()).await && !world.is_good(second.id()).await);
    assert!(world.is_good(other.id()).await && world.is_good(elsewhere.id()).await);
    let again = world.sign_in("o1").await;
    assert!(world.is_good(again.id()).await && !world.is_good(first.id()).await);
    assert_eq!(again.user().record().nickname(), Some("小明"), "what is known of them stays");
    world.store().remove_all_of(&key("nobody")).await.expect("nobody has no sessions to end");
}

async fn a_forgotten_user_has_no_sessions_and_none_comes_back<S: Subject>(world: World<S>) {
    let slot = world.put(&key("o1"), profile("小明")).await;
    let (session, other) = (world.sign_in("o1").await, world.sign_in("o2").await);
    assert!(world.is_good(session.id()).await);
    world.store().remove_user(&key("o1")).await.expect("a user can be forgotten");
    sessions::is_soon_refused(&world, session.id()).await;
    assert!(!world.is_good(session.id()).await && world.is_good(other.id()).await);
    let known = world.other().user(&key("o1")).await.expect("it can be asked for");
    assert!(known.is_none(), "nothing is known of them any more");

    let again = world.sign_in("o1").await;
    assert!(world.is_good(again.id()).await && !world.is_good(session.id()).await);
    assert_eq!(again.user().record().nickname(), None);
    let late = world.begin(slot).await;
    assert!(!world.is_good(late.id()).await, "nor does it come back with whom had it in hand");
    world.store().remove_user(&key("nobody")).await.expect("nobody is forgotten already");
}

async fn all_sessions_of_an_account_end_and_no_others<S: Subject>(world: World<S>) {
    world.put(&key("o1"), profile("小明")).await;
    let (one, two) = (world.sign_in("o1").await, world.sign_in("o2").await);
    let elsewhere = world.sign_in_as(&key_of("wxfedcba9876543210", "o1")).await;
    for session in [&one, &two, &elsewhere] {
        assert!(world.is_good(session.id()).await);
    }
    let account = key("o1").appid;
    world.store().remove_all_of_account(&account).await.expect("they can be ended");
    sessions::is_soon_refused(&world, one.id()).await;
    sessions::is_soon_refused(&world, two.id()).await;
    assert!(!world.is_good(one.id()).await && !world.is_good(two.id()).await);
    assert!(world.is_good(elsewhere.id()).await);
    let again = world.sign_in("o1").await;
    assert!(world.is_good(again.id()).await && !world.is_good(one.id()).await);
    assert_eq!(again.user().record().nickname(), Some("小明"), "what is known of them stays");
}

async fn a_user_is_kept_as_long_as_a_session_of_theirs<S: Subject>(world: World<S>) {
    world.put(&key("o1"), profile("小明")).await;
    let session = world.sign_in("o1").await;
    for _ in 0..7 {
        world.advance(24 * Duration::from_secs(59 * 60)).await;
        let session = world.store().load(session.id()).await.expect("it can be loaded");
        let record = session.expect("it is good for seven days").user().record();
        assert_eq!(record.nickname(), Some("小明"));
    }
}
