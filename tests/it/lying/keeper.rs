//! What all users share, fetched from a platform that lies: asked for once, and not again before a pause.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use wxgate::{
    Account, AppSecret,
    clock::{Clock, ManualClock, SystemClock},
    keeper::{JsapiTickets, KeeperError, ServerTokens},
    session::MemoryStore,
};

use super::{
    calls::client,
    endpoints::Endpoint,
    fields::about_fields,
    lies::{Told, about_http, made_for},
    panics,
    platform::{Platform, Step},
};

/// One account for each case: what is kept of one says nothing of the others.
fn account(case: usize) -> Account {
    let secret = AppSecret::new(format!("secret-case{case:0>5}x"));
    Account::official_account(&format!("wx{case:0>16x}"), secret).unwrap()
}

#[tokio::test]
async fn w08_what_all_share_is_not_asked_for_again_and_again_of_a_liar() {
    let platform = Platform::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
    let patience = Duration::from_secs(30);
    let tokens = ServerTokens::new(client(&platform, patience), store, clock.clone());
    let tickets = JsapiTickets::new(tokens.clone());
    let mut next = 0;
    let mut case = move || {
        next += 1;
        next
    };
    let mut rows = Vec::new();
    for endpoint in [Endpoint::StableToken, Endpoint::Ticket] {
        let from = case();
        let http = about_http(&endpoint.honest(from).to_string(), "http://127.0.0.1:1");
        // The client has met those that keep it waiting, or are asked again at once.
        let waits = |steps: &[Step]| {
            steps.iter().any(|step| matches!(step, Step::Hang | Step::Endless(..)))
        };
        let http = http.into_iter().filter(|row| row.told != Told::Good && !waits(&row.steps));
        for row in http.step_by(4) {
            let case = case();
            rows.push((endpoint, case, made_for(row, from, case)));
        }
        let fields = std::cell::RefCell::new(&mut case);
        let fields = about_fields(endpoint, || (fields.borrow_mut())());
        let bad = fields.into_iter().filter(|(_, row)| row.told == Told::Field);
        rows.extend(bad.map(|(case, row)| (endpoint, case, row)));
    }
    assert!(rows.len() > 40, "{}", rows.len());
    let ask = async |endpoint: Endpoint, case: usize| match endpoint {
        Endpoint::Ticket => {
            tickets.get(&account(case)).await.map(|held| held.token.expose().to_owned())
        }
        _ => tokens.get(&account(case)).await.map(|held| held.token.expose().to_owned()),
    };
    for (endpoint, case, row) in &rows {
        let (endpoint, case) = (*endpoint, *case);
        platform.lie(endpoint, case, row.steps.clone());
        let told = join_all((0..10).map(|_| ask(endpoint, case))).await;
        assert!(told.iter().all(Result::is_err), "{}: {told:?}", row.lie);
        let first = told.into_iter().next().unwrap().unwrap_err();
        assert!(matches!(first, KeeperError::Wechat(_)), "{}: {first}", row.lie);
        let again = ask(endpoint, case).await.unwrap_err();
        assert!(matches!(again, KeeperError::Resting { .. }), "{}: {again}", row.lie);
        assert_eq!(platform.asked(endpoint, case), 1, "{}", row.lie);
    }
    clock.advance(Duration::from_secs(61));
    for (endpoint, case, row) in rows {
        platform.stop_lying(endpoint, case);
        let told = ask(endpoint, case).await.unwrap();
        assert!(told.contains(&format!("case{case:0>5}x")), "{}: {told}", row.lie);
        assert_eq!(platform.asked(endpoint, case), 2, "{}", row.lie);
    }
    assert_eq!(panics(), [""; 0]);
}

#[tokio::test]
async fn a_token_that_is_said_to_last_for_ever_is_renewed_nevertheless() {
    let platform = Platform::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
    let tokens =
        ServerTokens::new(client(&platform, Duration::from_secs(30)), store, clock.clone());
    let endpoint = Endpoint::StableToken;
    let mut answer = endpoint.honest(1);
    answer["expires_in"] = i64::MAX.into();
    platform.lie(endpoint, 1, super::platform::honest(&answer.to_string()));
    tokens.get(&account(1)).await.unwrap();
    clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
    tokens.get(&account(1)).await.unwrap();
    assert_eq!(platform.asked(endpoint, 1), 2);
}
