//! What sign-ins and look-ups take while each sign-in makes a full store forget somebody.

use std::time::Instant;

use wxgate::session::{Lookup, MemoryStore, Store};

use crate::{
    report::{at_most, found, percentile, say},
    world::{self, Known},
};

const USERS: usize = 100_000;
const SIGN_INS: usize = 100_000;
/// Between two sign-ins.
const LOOKUPS: usize = 10;
/// How much slower either may become. What is compared are short times on a machine that others use too.
const MOST: f64 = 2.0;

pub(crate) fn measure() -> bool {
    say(format_args!(
        "{SIGN_INS} sign-ins and {LOOKUPS} look-ups after each, beside {USERS} users"
    ));
    let [(in_free, look_free), (in_full, look_full)] =
        [("room for all", 10 * USERS), ("a full store", USERS)].map(|(what, room)| {
            let (sign_ins, lookups) = press(room);
            say_all(&format!("sign-in, {what}"), &sign_ins);
            say_all(&format!("look-up, {what}"), &lookups);
            (sign_ins, lookups)
        });
    let sign_ins = ("sign-in", &in_free, &in_full);
    let lookups = ("look-up", &look_free, &look_full);
    [sign_ins, lookups].into_iter().fold(true, |all, (what, free, full)| {
        [(500, "median"), (990, "p99"), (999, "p99.9")].into_iter().fold(all, |all, (at, name)| {
            let ratio = nanos(percentile(full, at)) / nanos(percentile(free, at));
            let what = format!("{what}, {name}, of a full store to one with room");
            at_most(&what, ratio, MOST, "times") && all
        })
    })
}

fn say_all(what: &str, sorted: &[u64]) {
    for (name, at) in [("median", 500), ("p99", 990), ("p99.9", 999), ("longest", 1000)] {
        found(&format!("{what}, {name}"), nanos(percentile(sorted, at)), "ns");
    }
}

#[allow(clippy::cast_precision_loss)] // They are seconds at the most.
fn nanos(value: u64) -> f64 {
    value as f64
}

/// The times of all sign-ins and of all look-ups, in order of size.
fn press(room: usize) -> (Vec<u64>, Vec<u64>) {
    let room = room as u64;
    let store = MemoryStore::builder().max_users(room).max_sessions(room).build();
    let mut random = fastrand::Rng::with_seed(1);
    let sign_in = |number| world::sign_in(&store, number, Known::Whole).id();
    let mut ids: Vec<_> = (0..USERS).map(sign_in).collect();
    let (mut sign_ins, mut lookups) = (Vec::new(), Vec::new());
    for number in 0..SIGN_INS {
        let (took, id) = timed(|| sign_in(USERS + number));
        sign_ins.push(took);
        ids.push(id);
        for _ in 0..LOOKUPS {
            // Those of the last quarter are never the ones to go, so that all look-ups find what they look for.
            let recent = ids[ids.len() - 1 - random.usize(..USERS / 4)];
            let (took, found) = timed(|| store.peek(recent));
            assert!(matches!(found, Lookup::Hit(_)), "the newest stay");
            lookups.push(took);
        }
    }
    // The first, who have gone unless there was room.
    let kept = ids[..1000].iter().filter(|id| matches!(store.peek(**id), Lookup::Hit(_))).count();
    assert_eq!(kept > 0, room > USERS as u64, "{kept} of the first are kept");
    sign_ins.sort_unstable();
    lookups.sort_unstable();
    (sign_ins, lookups)
}

fn timed<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let began = Instant::now();
    let done = work();
    (u64::try_from(began.elapsed().as_nanos()).expect("it is short"), done)
}
