//! What looking a session up costs, with a thousand users and with a million.

use std::{hint::black_box, process::Command, time::Instant};

use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    session::{Lookup, MemoryStore, SessionId, Store},
};

use crate::{
    report::{at_most, found, say},
    world::{self, Known},
};

const FEW: usize = 1000;
const MANY: usize = 1_000_000;
/// A million would take a quarter of an hour to sign in under the counting machine.
const MANY_COUNTED: usize = 100_000;
const COUNTED: usize = 100_000;
const TIMED: usize = 2_000_000;

pub(crate) fn measure() -> bool {
    let [few, many] = [FEW, MANY].map(|users| {
        let (store, ids) = filled(users);
        let nanos = time(&store, &ids);
        found(&format!("look-up, random of {users}"), nanos, "ns");
        nanos
    });
    let (Some(counted_few), Some(counted_many)) = (count(FEW), count(MANY_COUNTED)) else {
        say("MISSED  instructions were not counted: valgrind is missing");
        return false;
    };
    found("instructions, random of 1,000", counted_few, "");
    found("instructions, random of 100,000", counted_many, "");
    let ratio = counted_many / counted_few;
    // What a million takes beyond what its instructions do is waiting for memory that no cache has.
    found("of it waiting for memory, with 1,000,000", (1.0 - few * ratio / many) * 100.0, "%");
    at_most("instructions, of 100,000 to 1,000", ratio, 1.5, "times")
}

/// The time of a look-up of one of these, in no order, at the best of some rounds.
fn time(store: &MemoryStore, ids: &[SessionId]) -> f64 {
    let order = order(ids, TIMED);
    let round = || {
        let began = Instant::now();
        look_up_all(store, &order);
        began.elapsed().as_secs_f64() * 1e9 / per(TIMED)
    };
    std::iter::repeat_with(round).take(3).fold(f64::INFINITY, f64::min)
}

/// The instructions of one.
fn count(users: usize) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*look_up_all*")
        .arg(std::env::current_exe().expect("it is there"))
        .args(["lookup", &users.to_string(), &COUNTED.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|it| it.1);
    let collected: f64 = collected.and_then(|it| it.trim().parse().ok()).expect("it has counted");
    assert!(collected > 0.0, "it has found what to count");
    Some(collected / per(COUNTED))
}

/// Looks so many up, once.
pub(crate) fn look_up(users: usize, lookups: usize) -> bool {
    let (store, ids) = filled(users);
    look_up_all(&store, &order(&ids, lookups));
    true
}

/// With a clock that stands: a use is noted once a second, and how many of the look-ups are the first in theirs depends on
/// how fast the machine is.
fn filled(users: usize) -> (MemoryStore, Vec<SessionId>) {
    let store = MemoryStore::builder().clock(ManualClock::new(SystemClock.now())).build();
    let ids = (0..users).map(|number| world::sign_in(&store, number, Known::Openid).id()).collect();
    (store, ids)
}

/// The same random ones each time.
fn order(ids: &[SessionId], lookups: usize) -> Vec<SessionId> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..lookups).map(|_| ids[random.usize(..ids.len())]).collect()
}

/// What is counted, under a name by which it is found.
#[inline(never)]
fn look_up_all(store: &MemoryStore, ids: &[SessionId]) {
    for id in ids {
        let Lookup::Hit(session) = black_box(store.peek(*id)) else { panic!("it is signed in") };
        drop(session);
    }
}

#[allow(clippy::cast_precision_loss)] // They are few.
fn per(lookups: usize) -> f64 {
    lookups as f64
}
