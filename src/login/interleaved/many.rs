//! Several users, or several things that are learnt of one: nothing is lost, mixed, or brought back.

use super::{HOUR, KINDS, Kind, Stage, now, promise, user};
use crate::{
    session::{
        Profile, UserChange,
        stepped::Lie,
        turns::{Part, Turns, explore},
    },
    wechat::UnionId,
};

/// A browser of alice's is used by bob and by carol at once, who both sign in.
async fn follow_up(turns: Turns, kind: Kind) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, Lie::None);
    let browser = stage.signed_in("alice", "base").await;
    let before = browser.session().expect("it is signed in");
    let ways = [
        browser.begin("bob-userinfo-1", "userinfo").await,
        browser.begin("carol-userinfo-1", "userinfo").await,
    ];
    let (bob, carol) = (browser.twin(), browser.twin());
    turns.play([bob.asks(0, &ways[0]), carol.asks(1, &ways[1])]).await;
    for (window, openid) in [(&bob, "obob"), (&carol, "ocarol")] {
        let is = window.is().await;
        promise(is.as_deref() == Some(openid), format!("{openid} was taken for {is:?}"))?;
    }
    let old = stage.store().load(before).await.expect("the store is there");
    promise(old.is_none(), "the session before is over")
}

#[test]
fn c33_c39_two_who_follow_in_one_browser_are_never_mixed_in_any_order() {
    explore(1, |turns| follow_up(turns, Kind::Memory)).holds(100);
    explore(0, |turns| follow_up(turns, Kind::Durable)).holds(5);
}

/// A profile is due while WeChat, or the operator, has the user forgotten.
async fn forgotten(turns: Turns, kind: Kind, lie: Lie) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let browser = stage.signed_in("alice", "userinfo").await;
    // The session is good for an hour more.
    stage.clock.advance(23 * HOUR);
    browser.get(0, "/page").await;
    stage.clock.advance(2 * HOUR);
    let gate = stage.gates[1].clone();
    let forgets: Part = Box::pin(async move {
        gate.store().remove_user(&user("alice")).await.expect("the store is there");
    });
    turns.play([browser.asks(0, "/page"), forgets]).await;
    let known = stage.store().user(&user("alice")).await.expect("the store is there");
    promise(known.is_none(), "who was forgotten stays forgotten")?;
    promise(browser.is().await.is_none(), "and is signed out")
}

#[test]
fn a_refresh_brings_nobody_back_who_was_forgotten_in_any_order() {
    for kind in KINDS {
        explore(1, |turns| forgotten(turns, kind, Lie::None)).holds(10);
        let lies = explore(1, |turns| forgotten(turns, kind, Lie::NobodyIsForgotten));
        lies.breaks("stays forgotten");
    }
}

/// What a sign-in, a phone number and another sign-in tell of one user at once, at two instances.
async fn updates(turns: Turns, kind: Kind) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, Lie::None);
    let at = now(&stage);
    let profile = Profile { nickname: "alice".into(), avatar: None };
    let changes = [
        UserChange { profile: Some((profile, at)), ..UserChange::default() },
        UserChange { phone: Some("+8613580006666".into()), ..UserChange::default() },
        UserChange { unionid: UnionId::parse("u1").ok(), ..UserChange::default() },
    ];
    let parts = changes.into_iter().enumerate().map(|(number, change)| -> Part {
        let gate = stage.gates[number % 2].clone();
        Box::pin(async move {
            gate.store().put_user(user("alice"), change).await.expect("the store is there");
        })
    });
    turns.play(parts).await;
    let slot = stage.store().user(&user("alice")).await.expect("the store is there");
    let record = slot.ok_or("the user is known")?.record();
    promise(record.fetched_at().is_some(), "the profile is kept")?;
    promise(record.phone().is_some(), "the phone is kept")?;
    promise(record.unionid().is_some(), "the unionid is kept")
}

#[test]
fn of_changes_that_come_at_once_none_is_lost_in_any_order() {
    explore(1, |turns| updates(turns, Kind::Memory)).holds(10);
    explore(1, |turns| updates(turns, Kind::Durable)).holds(10);
}

/// The profile is due at two instances, and the same user signs in with consent.
async fn refreshes(turns: Turns, kind: Kind) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, Lie::None);
    let browser = stage.signed_in("alice", "userinfo").await;
    stage.clock.advance(23 * HOUR);
    browser.get(0, "/page").await;
    stage.clock.advance(2 * HOUR);
    let fetched = *stage.wechat.fetches.lock().unwrap();
    turns.play([browser.asks(0, "/page"), browser.twin().asks(1, "/page")]).await;
    let fetched = *stage.wechat.fetches.lock().unwrap() - fetched;
    promise(fetched == 1, format!("one refresh for all instances, not {fetched}"))?;
    let slot = stage.store().user(&user("alice")).await.expect("the store is there");
    let at = slot.ok_or("the user is known")?.record().fetched_at();
    promise(at == Some(now(&stage)), "the profile is fresh")
}

#[test]
fn a_profile_that_is_due_at_two_instances_is_fetched_once_in_every_order() {
    for kind in KINDS {
        explore(1, |turns| refreshes(turns, kind)).holds(10);
    }
}
