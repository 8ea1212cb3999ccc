//! Desktops and phones at once, in every order of what they ask of the store.

use std::sync::{Arc, Mutex};

use super::{
    code::Scan,
    record::{Record, Verdict, Whose},
};
use crate::{
    login::{
        Voucher,
        interleaved::{KINDS, Kind, Stage, promise, user},
    },
    session::{
        stepped::Lie,
        turns::{Part, Turns, explore},
    },
    wechat::Scope,
};

fn scan(stage: &Stage) -> Scan {
    Scan::new(stage.gates[0].now(), Scope::Base)
}

/// Two people scan one code.
async fn owners(turns: Turns, kind: Kind, lie: Lie) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let scan = scan(&stage);
    let told = Arc::new(Mutex::new(Vec::new()));
    let parts = [("alice", 0), ("bob", 1)].map(|(name, gate)| -> Part {
        let (gate, told) = (stage.gates[gate].clone(), told.clone());
        Box::pin(async move {
            let record = Record { store: gate.store(), scan: &scan };
            let whose = record.belongs_to(&user(name)).await.expect("the store is there");
            told.lock().unwrap().push(whose);
        })
    });
    turns.play(parts).await;
    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|whose| *whose != Whose::NewlyOurs);
    promise(told == [Whose::NewlyOurs, Whose::Foreign], format!("one owner, not {told:?}"))
}

#[test]
fn c48_a_code_that_two_people_scan_is_one_s_in_every_order() {
    for kind in KINDS {
        explore(1, |turns| owners(turns, kind, Lie::None)).holds(10);
    }
    explore(1, |turns| owners(turns, Kind::Memory, Lie::EverybodyLeads)).breaks("one owner");
}

/// One window confirms, another one cancels, and a third one taps a wrong number.
async fn verdicts(turns: Turns, kind: Kind, lie: Lie) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let phone = stage.signed_in("alice", "base").await;
    let session = phone.session().expect("it is signed in");
    let scan = scan(&stage);
    let won = Arc::new(Mutex::new(Vec::new()));
    let all = [Verdict::Confirmed(session), Verdict::Cancelled, Verdict::WrongNumber];
    let parts = all.into_iter().enumerate().map(|(number, verdict)| -> Part {
        let (gate, won) = (stage.gates[number % 2].clone(), won.clone());
        Box::pin(async move {
            let record = Record { store: gate.store(), scan: &scan };
            if record.decide(verdict).await.expect("the store is there") {
                won.lock().unwrap().push(verdict);
            }
        })
    });
    turns.play(parts).await;
    let record = Record { store: stage.store(), scan: &scan };
    let verdict = record.verdict().await.expect("the store is there");
    let won = won.lock().unwrap();
    promise(won.len() == 1, format!("one decision, not {}", won.len()))?;
    promise(verdict == Some(won[0]), "what was decided is what is told")
}

#[test]
fn c48_a_code_is_decided_once_in_every_order() {
    for kind in KINDS {
        explore(1, |turns| verdicts(turns, kind, Lie::None)).holds(10);
    }
    explore(1, |turns| verdicts(turns, Kind::Memory, Lie::EverybodyWins)).breaks("one decision");
}

/// Two windows of the desktop go on at once, and the phone may sign out meanwhile.
async fn takes(turns: Turns, kind: Kind, lie: Lie, leaves: bool) -> Result<(), String> {
    let stage = Stage::new(&turns, kind, lie);
    let phone = stage.signed_in("alice", "base").await;
    let session = phone.session().expect("it is signed in");
    let scan = scan(&stage);
    let made = Arc::new(Mutex::new(Vec::new()));
    let mut parts: Vec<Part> = Vec::new();
    for gate in &stage.gates {
        let (gate, made) = (gate.clone(), made.clone());
        parts.push(Box::pin(async move {
            let (once, life) = Record { store: gate.store(), scan: &scan }.taken();
            let secret = scan.id.to_text();
            let voucher = Voucher { session, once, life, secret, replaces: None };
            let session = gate.vouch(voucher).await.expect("the store is there");
            made.lock().unwrap().extend(session.map(|session| session.id()));
        }));
    }
    if leaves {
        parts.push(phone.signs_out(0, "?everywhere=1"));
    }
    turns.play(parts).await;
    let left = stage.sessions().await.len();
    if leaves {
        return promise(left == 0, format!("all are signed out, not {left} left"));
    }
    let made = made.lock().unwrap();
    let is_one = made.len() == 2 && made[0] == made[1];
    promise(is_one && left == 2, format!("one session for both windows, not {left} in all"))
}

#[test]
fn c48_a_confirmed_code_makes_one_session_in_every_order() {
    explore(1, |turns| takes(turns, Kind::Memory, Lie::None, false)).holds(10);
    explore(1, |turns| takes(turns, Kind::Durable, Lie::None, false)).holds(10);
    explore(1, |turns| takes(turns, Kind::Memory, Lie::EverybodyWins, false))
        .breaks("one session for both windows");
}

#[test]
fn c34_a_phone_that_signs_out_everywhere_takes_the_desktop_with_it_in_every_order() {
    explore(1, |turns| takes(turns, Kind::Memory, Lie::None, true)).holds(10);
    explore(1, |turns| takes(turns, Kind::Durable, Lie::None, true)).holds(10);
    explore(1, |turns| takes(turns, Kind::Memory, Lie::NobodyLeaves, true))
        .breaks("all are signed out");
}
