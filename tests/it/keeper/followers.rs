//! Who follows, and the tickets for the JS-SDK: what is asked for with the tokens that are kept.

use futures_util::future::join_all;
use wxgate::{
    clock::Clock,
    keeper::{Followers, JsapiTickets},
    session::UserKey,
    simulator::{Fault, FaultSwitch},
    wechat::OpenId,
};

use super::{MINUTE, Pair, SECOND, STABLE, USER_INFO, is_refused};
use crate::{
    stores::redis_server::until,
    world::{self, APPID},
};

const TICKET: &str = "/cgi-bin/ticket/getticket";

#[tokio::test]
async fn a_ticket_is_fetched_once_for_all_and_anew_after_its_end() {
    let pair = Pair::start().await;
    let tickets = pair.tokens.clone().map(JsapiTickets::new);
    let ask = async || {
        let calls = (0..100).map(|n| {
            let tickets = tickets[n % 2].clone();
            tokio::spawn(async move { tickets.get(&world::account()).await.unwrap() })
        });
        let all = join_all(calls).await;
        let all: Vec<_> = all.into_iter().map(|held| held.unwrap()).collect();
        assert!(all.iter().all(|held| held.token.expose() == all[0].token.expose()));
        all[0].clone()
    };
    let first = ask().await;
    assert_eq!((pair.sim.count(TICKET), pair.sim.count(STABLE)), (1, 1));
    assert_eq!(first.ends_at, pair.clock.now() + 120 * MINUTE);
    // A dead token is no end of a ticket, and no obstacle to the next one.
    pair.advance(120 * MINUTE);
    pair.sim.fault(Fault::DeadToken, 1);
    let second = ask().await;
    assert_ne!(second.token.expose(), first.token.expose());
    assert_eq!(pair.sim.count(TICKET), 3);
}

#[tokio::test]
async fn a_follower_is_remembered_for_a_while_and_anybody_else_for_a_moment() {
    let pair = Pair::start().await;
    let followers = Followers::new(pair.tokens[0].clone());
    let account = world::account();
    let [alice, bob] = ["alice", "bob"]
        .map(|user| UserKey { appid: account.appid().clone(), openid: pair.openid(user) });
    let asked = || pair.sim.count(USER_INFO);
    let follows =
        async |user: &UserKey| followers.ask(&account, &user.openid).await.unwrap().subscribe;
    assert_eq!((followers.peek(&alice), followers.peek(&bob)), (None, None));
    assert!(follows(&alice).await && !follows(&bob).await);
    assert_eq!((followers.peek(&alice), followers.peek(&bob)), (Some(true), Some(false)));
    assert!(follows(&alice).await && !follows(&bob).await);
    assert_eq!(asked(), 2);

    // Somebody who was sent to follow comes right back.
    pair.sim.follow("bob", APPID, true).unwrap();
    pair.advance(SECOND);
    assert!(!follows(&bob).await);
    pair.advance(SECOND);
    assert_eq!(followers.peek(&bob), None);
    assert!(follows(&bob).await);
    assert_eq!(asked(), 3);

    pair.sim.follow("alice", APPID, false).unwrap();
    pair.advance(597 * SECOND);
    assert!(follows(&alice).await, "she is still believed to");
    // Unless WeChat tells of it.
    followers.forget(&alice);
    assert_eq!(followers.peek(&alice), None);
    assert!(!follows(&alice).await);
    assert_eq!(followers.peek(&bob), Some(true));
    pair.advance(3 * SECOND);
    assert_eq!(followers.peek(&bob), None, "ten minutes are over");
}

#[tokio::test]
async fn all_who_ask_about_one_user_at_once_share_one_call() {
    let pair = Pair::start().await;
    let followers = Followers::new(pair.tokens[0].clone());
    let openid = pair.openid("alice");
    pair.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(100).path(USER_INFO)]);
    let calls = (0..100).map(|_| {
        let (followers, openid) = (followers.clone(), openid.clone());
        tokio::spawn(async move { followers.ask(&world::account(), &openid).await.unwrap() })
    });
    let told = join_all(calls).await;
    assert!(told.into_iter().all(|follower| follower.unwrap().subscribe));
    assert_eq!(pair.sim.count(USER_INFO), 1);
    // Somebody of another account is nobody here, and that is not remembered.
    let nobody = OpenId::parse("o_nobody").unwrap();
    let error = followers.ask(&world::account(), &nobody).await.unwrap_err();
    assert!(is_refused(&error, 40003), "{error}");
}

#[tokio::test]
async fn who_is_forgotten_while_they_are_asked_about_is_not_remembered_as_they_were() {
    let pair = Pair::start().await;
    let followers = Followers::new(pair.tokens[0].clone());
    let account = world::account();
    let alice = UserKey { appid: account.appid().clone(), openid: pair.openid("alice") };
    pair.token(&account).await;
    pair.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(300).path(USER_INFO)]);
    let early = {
        let (followers, account, openid) =
            (followers.clone(), account.clone(), alice.openid.clone());
        tokio::spawn(async move { followers.ask(&account, &openid).await.unwrap().subscribe })
    };
    until("she is asked about", async || pair.sim.count(USER_INFO) == 1).await;
    pair.sim.follow("alice", APPID, false).unwrap();
    followers.forget(&alice);
    assert!(!followers.ask(&account, &alice.openid).await.unwrap().subscribe);
    assert!(early.await.unwrap(), "what was asked before is answered as it was");
    assert_eq!(followers.peek(&alice), Some(false));
}
