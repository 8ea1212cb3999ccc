//! What happens meanwhile: faults of every kind at WeChat, time that passes, and users who are signed out by others.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::json;
use tokio::time::sleep;
use wxgate::simulator::{Fault, FaultSwitch};

use super::{PEOPLE, Stage};
use crate::{
    doors::MESSAGE_TOKEN,
    world::{APPID, http_client},
};

/// All that there are.
const FAULTS: [Fault; 23] = [
    Fault::TwinSameCode,
    Fault::TwinNewCode,
    Fault::ReplayLater,
    Fault::BusyBurnsCode,
    Fault::BusyKeepsCode,
    Fault::Slow,
    Fault::Drop,
    Fault::Quota,
    Fault::MinuteQuota,
    Fault::Snapshot,
    Fault::SnapshotUnflagged,
    Fault::DenyStateOnly,
    Fault::DenySilent,
    Fault::ControlCharacters,
    Fault::BrokenUtf8,
    Fault::SexAsString,
    Fault::NoUnionid,
    Fault::CodeBlocked,
    Fault::IpNotListed,
    Fault::DeadToken,
    Fault::BadSignature,
    Fault::ForeignWatermark,
    Fault::OldWatermark,
];

/// Goes on until the people are done.
pub async fn decide(stage: Arc<Stage>, mut random: fastrand::Rng) {
    let http = http_client();
    for round in 0_u64.. {
        if stage.is_over.load(Ordering::SeqCst) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
        let fault = FAULTS[random.usize(..FAULTS.len())];
        stage.sim.faults([FaultSwitch::new(fault, 1).ms(random.u64(1..60))]);
        stage.count("faults");
        if round % 5 == 0 {
            // Sign-ins under way may be too late, profiles come due, sessions end, replays start.
            let by = Duration::from_secs(random.u64(..300));
            let _moves = stage.standing.write().await;
            stage.clock.advance(by);
            stage.sim.advance(by);
        }
        if round % 25 == 0 {
            revokes(&stage, &http, &mut random).await;
        }
        if round % 200 == 0 {
            // Some wait for requests that hardly anybody makes.
            stage.sim.clear_faults();
        }
    }
    stage.sim.clear_faults();
    stage.sim.settle().await;
}

/// By the operator, or by WeChat.
async fn revokes(stage: &Stage, http: &reqwest::Client, random: &mut fastrand::Rng) {
    let name = format!("p{}", random.usize(..PEOPLE));
    let (url, body) = if random.bool() {
        let openid = stage.sim.world().user(&name).expect("they live there").openid(APPID);
        let admin = stage.admins[random.usize(..stage.admins.len())];
        (format!("http://{admin}/sessions/revoke"), json!({ "account": "main", "openid": openid }))
    } else {
        let body = json!({
            "event": "user_authorization_revoke", "appid": APPID, "user": name,
            "url": format!("{}/_wx/messages", stage.url), "token": MESSAGE_TOKEN,
        });
        (format!("{}/_simulator/push", stage.sim.url()), body)
    };
    let request = http.post(url).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.expect("they are there");
    stage.count("revocations");
    if !answer.status().is_success() {
        stage.wrong(format!("a revocation was answered with {}", answer.status()));
    }
}
