//! One code, one state, one browser: twins, thieves, and somebody who leaves meanwhile.

use std::time::Duration;

use super::{super::attempt::LIFE, KINDS, Kind, Stage, promise};
use crate::session::{
    stepped::Lie,
    turns::{Explored, Turns, explore},
};

/// The callback comes to both gateways, and to the first one twice.
async fn twins(turns: Turns, kind: Kind, lie: Lie) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let browser = stage.browser();
    let back = browser.begin("alice-base-1", "base").await;
    let windows = [0, 1, 0].map(|gate| (gate, browser.twin()));
    turns.play(windows.each_ref().map(|(gate, window)| window.asks(*gate, &back))).await;
    let exchanges = stage.exchanges("alice-base-1");
    promise(exchanges == 1, format!("one exchange for a code, not {exchanges}"))?;
    let sessions = stage.sessions().await;
    promise(sessions.len() == 1, format!("one session for all twins, not {}", sessions.len()))?;
    for (number, (_, window)) in windows.iter().enumerate() {
        let is = window.is().await;
        promise(
            is.as_deref() == Some("oalice"),
            format!("twin {number} is signed in, not {is:?}"),
        )?;
    }
    Ok(())
}

#[test]
fn w02_c48_twins_are_one_exchange_and_one_session_in_every_order() {
    explore(1, |turns| twins(turns, Kind::Memory, Lie::None)).holds(100);
    explore(0, |turns| twins(turns, Kind::Durable, Lie::None)).holds(5);
}

#[test]
fn c48_a_store_whose_claims_all_win_is_seen_to_exchange_a_code_twice() {
    let lies = |lie| explore(1, |turns| twins(turns, Kind::Memory, lie));
    lies(Lie::EverybodyWins).breaks("one exchange for a code");
    // The claim alone would do for the code. The lease is what lets twins wait for what comes of it.
    lies(Lie::EverybodyLeads).breaks("is signed in, not");
}

/// A twin that comes in the last moment of its sign-in, and that moment passes at any step of it.
async fn last_moment(turns: Turns, kind: Kind) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, Lie::None);
    let browser = stage.browser();
    let back = browser.begin("alice-base-1", "base").await;
    let twin = browser.twin();
    browser.get(0, &back).await;
    stage.clock.advance(LIFE.saturating_sub(Duration::from_secs(1)));
    let (clock, own) = (stage.clock.clone(), turns.clone());
    let passes = Box::pin(async move {
        own.turn("the moment passes").await;
        clock.advance(Duration::from_secs(1));
    });
    turns.play([twin.asks(1, &back), passes]).await;
    promise(stage.exchanges("alice-base-1") == 1, "a code stays burned")
}

#[test]
fn w04_a_code_stays_burned_longer_than_anybody_can_come_with_it() {
    for kind in KINDS {
        explore(1, |turns| last_moment(turns, kind)).holds(3);
    }
}

/// A code that somebody else has seen, who comes with a sign-in of their own.
async fn thief(turns: Turns, kind: Kind) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, Lie::None);
    let (one, other) = (stage.browser(), stage.browser());
    let ways = [one.begin("alice-base-1", "base").await, other.begin("alice-base-1", "base").await];
    turns.play([one.asks(0, &ways[0]), other.asks(1, &ways[1])]).await;
    promise(stage.exchanges("alice-base-1") == 1, "one exchange for a code")?;
    let signed_in = [one.is().await, other.is().await].iter().flatten().count();
    promise(signed_in == 1, format!("one browser for a code, not {signed_in}"))
}

#[test]
fn w02_of_two_browsers_with_one_code_one_is_signed_in_in_every_order() {
    for kind in KINDS {
        explore(1, |turns| thief(turns, kind)).holds(10);
    }
}

/// Somebody was signed in and has signed out, and the Back key brings the callback once more.
async fn late_twin(turns: Turns, kind: Kind) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, Lie::None);
    let browser = stage.browser();
    let back = browser.begin("alice-base-1", "base").await;
    browser.get(0, &back).await;
    let (late, other) = (browser.twin(), browser.twin());
    turns.play([browser.signs_out(0, ""), late.asks(0, &back), other.asks(1, &back)]).await;
    promise(stage.exchanges("alice-base-1") == 1, "one exchange for a code")?;
    let left = stage.sessions().await.len();
    promise(left == 0, "who has signed out stays signed out")
}

#[test]
fn w02_a_late_twin_brings_nothing_back_in_any_order() {
    for kind in KINDS {
        explore(1, |turns| late_twin(turns, kind)).holds(10);
    }
}

/// Signs out everywhere while the same user signs in elsewhere. A sign-in that ends later is one of its own; one that was
/// acknowledged before is over.
async fn everywhere(turns: Turns, kind: Kind, lie: Lie) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let (desk, phone) = (stage.signed_in("alice", "base").await, stage.browser());
    let back = phone.begin("alice-base-1", "base").await;
    let before = desk.session().expect("it is signed in");
    turns.play([desk.signs_out(0, "?everywhere=1"), phone.asks(1, &back)]).await;
    let store = stage.store();
    let is_good = store.load(before).await.expect("the store is there").is_some();
    promise(!is_good, "a session that was signed out everywhere is over")?;
    let left = stage.sessions().await.len();
    promise(left <= 1, format!("no more than the new sign-in is left, not {left}"))
}

#[test]
fn c34_a_sign_out_everywhere_during_a_sign_in_holds_in_every_order() {
    for kind in KINDS {
        explore(1, |turns| everywhere(turns, kind, Lie::None)).holds(10);
    }
}

/// An account's user is carried over to another site, and signs out everywhere at the same time.
async fn carried(turns: Turns, kind: Kind, lie: Lie) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let desk = stage.signed_in("alice", "base").await;
    let session = desk.session().expect("it is signed in");
    let session = stage.store().load(session).await.expect("the store is there").expect("good");
    let gate = stage.gates[1].clone();
    let carries = Box::pin(async move {
        let now = gate.now();
        super::super::sign_in::carry_over(gate.store(), &session, None, now)
            .await
            .expect("the store is there");
    });
    turns.play([carries, desk.signs_out(0, "?everywhere=1")]).await;
    let left = stage.sessions().await.len();
    promise(left == 0, format!("all are signed out, not {left} left"))
}

#[test]
fn c34_a_session_that_is_carried_over_ends_with_a_sign_out_everywhere_in_every_order() {
    for kind in KINDS {
        explore(1, |turns| carried(turns, kind, Lie::None)).holds(10);
    }
    let lies: Explored = explore(1, |turns| carried(turns, Kind::Memory, Lie::NobodyLeaves));
    lies.breaks("all are signed out");
}
