//! How much memory a user takes who is signed in.

use std::process::{Command, Stdio};

use wxgate::session::{Lookup, MemoryStore, Store};

use crate::{
    process::resident,
    report::{at_most, found, say},
    world::{self, Known},
};

const USERS: usize = 1_000_000;
const MOST: f64 = 1000.0;

/// Fills a store in a fresh process for each kind of record, so that none is given what another has freed.
pub(crate) fn measure() -> bool {
    say(format_args!("memory per signed-in user, at {USERS} users with a session each"));
    let whole = bytes_of("whole");
    found("the openid alone, as of a silent sign-in", bytes_of("openid"), "bytes resident");
    at_most("400 bytes of text", whole, MOST, "bytes resident")
}

fn bytes_of(known: &str) -> f64 {
    let output = Command::new(std::env::current_exe().expect("it is there"))
        .args(["users", &USERS.to_string(), known])
        .stderr(Stdio::inherit())
        .output()
        .expect("it runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("it prints a number")
}

/// Signs so many in and prints the bytes that each has taken.
#[allow(clippy::cast_precision_loss)] // Nobody has so many users.
pub(crate) fn fill(count: usize, known: &str) -> bool {
    let known = if known == "whole" { Known::Whole } else { Known::Openid };
    if known == Known::Whole {
        assert_eq!(world::text_of(1, known), 400);
    }
    let store = MemoryStore::new();
    let before = resident(std::process::id());
    let mut ids = Vec::with_capacity(count);
    ids.extend((0..count).map(|number| world::sign_in(&store, number, known).id()));
    let taken = resident(std::process::id()) - before - (count * size_of_val(&ids[0])) as f64;
    // A user who was dropped on the way would count as one that takes nothing.
    let is_good = |id: &_| matches!(store.peek(*id), Lookup::Hit(_));
    assert!(ids.iter().all(is_good), "all of them are signed in");
    say(taken / count as f64);
    true
}
