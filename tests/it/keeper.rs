//! Tokens, tickets and followers, kept by several instances at once and fetched by one of them.

mod followers;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use wxgate::{
    Account, AppSecret,
    clock::{Clock, ManualClock, SystemClock},
    keeper::{Followers, KeeperError, ServerTokens},
    secret::ServerToken,
    session::{MemoryStore, Store},
    simulator::{Fault, FaultSwitch, Simulator},
    wechat::{ErrCode, Kind, Lang, OpenId, ServerTokenKind},
};

use crate::{
    stores::{
        redis,
        redis_server::{Server, until},
    },
    world::{self, APPID},
};

const STABLE: &str = "/cgi-bin/stable_token";
const CLASSIC: &str = "/cgi-bin/token";
const USER_INFO: &str = "/cgi-bin/user/info";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn classic() -> Account {
    world::account().with_basic_token(ServerTokenKind::Classic)
}

/// Two instances over one store, and a WeChat whose time moves with theirs.
struct Pair {
    sim: Simulator,
    clock: ManualClock,
    tokens: [ServerTokens; 2],
}

impl Pair {
    /// Over one store in memory.
    async fn start() -> Self {
        let clock = ManualClock::new(SystemClock.now());
        let store = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
        Self::over([store.clone(), store], clock).await
    }

    async fn over(stores: [Arc<dyn Store>; 2], clock: ManualClock) -> Self {
        let sim = Simulator::start().await;
        let tokens =
            stores.map(|store| ServerTokens::new(world::client(&sim), store, clock.clone()));
        Self { sim, clock, tokens }
    }

    fn advance(&self, by: Duration) {
        self.sim.advance(by);
        self.clock.advance(by);
    }

    fn openid(&self, user: &str) -> OpenId {
        let user = self.sim.world().user(user).expect("the simulator knows them");
        OpenId::parse(&user.openid(APPID)).unwrap()
    }

    /// As many callers at once, half of them at each instance.
    async fn callers<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        count: usize,
        call: impl Fn(ServerTokens) -> F,
    ) -> Vec<T> {
        let calls = (0..count).map(|n| tokio::spawn(call(self.tokens[n % 2].clone())));
        join_all(calls).await.into_iter().map(|outcome| outcome.unwrap()).collect()
    }

    /// The token that all callers get, which is one.
    async fn token(&self, account: &Account) -> ServerToken {
        let tokens = self.callers(200, |tokens| {
            let account = account.clone();
            async move { tokens.get(&account).await.unwrap().token }
        });
        let tokens = tokens.await;
        let first = tokens[0].clone();
        assert!(tokens.iter().all(|token| token.expose() == first.expose()));
        first
    }

    /// What WeChat makes of a token.
    async fn uses(&self, token: &ServerToken) -> Result<bool, i64> {
        let client = world::client(&self.sim);
        match client.user_info(token, &self.openid("alice"), Lang::ZhCn).await {
            Ok(follower) => Ok(follower.subscribe),
            Err(error) => match error.kind() {
                Kind::Refused(code, _) => Err(code.number()),
                other => panic!("{other:?}"),
            },
        }
    }

    /// A token that WeChat does not take any more, as all instances still have it.
    async fn dead_token(&self, account: &Account) -> ServerToken {
        let token = self.token(account).await;
        self.sim.fault(Fault::DeadToken, 1);
        assert_eq!(self.uses(&token).await, Err(40001));
        token
    }
}

/// Two instances over one Redis.
async fn over_redis(server: &Server) -> Pair {
    let [one, two] = redis::instances(&server.url());
    Pair::over([Arc::new(one), Arc::new(two)], ManualClock::new(SystemClock.now())).await
}

fn is_refused(error: &KeeperError, code: i64) -> bool {
    let KeeperError::Wechat(error) = error else { return false };
    matches!(error.kind(), Kind::Refused(found, _) if *found == ErrCode::new(code))
}

#[tokio::test]
async fn two_hundred_callers_at_two_instances_fetch_one_token() {
    let pair = Pair::start().await;
    let token = pair.token(&world::account()).await;
    assert_eq!(pair.uses(&token).await, Ok(true));
    assert_eq!(pair.sim.count(STABLE), 1);
    let token = pair.token(&classic()).await;
    assert_eq!(pair.uses(&token).await, Ok(true));
    assert_eq!((pair.sim.count(STABLE), pair.sim.count(CLASSIC)), (1, 1));
}

#[tokio::test]
async fn two_hundred_callers_at_two_processes_fetch_one_token_by_way_of_redis() {
    let server = Server::start().await;
    let pair = over_redis(&server).await;
    pair.sim.faults([FaultSwitch::new(Fault::Slow, 9).ms(100).path(CLASSIC)]);
    let token = pair.token(&classic()).await;
    assert_eq!((pair.uses(&token).await, pair.sim.count(CLASSIC)), (Ok(true), 1));
}

/// Callers all the time, for a little more than two lives of a token: each gets one that WeChat takes. How often one was fetched.
async fn no_caller_is_refused(pair: &Pair, account: &Account, path: &str) -> usize {
    let mut seen = Vec::<String>::new();
    for _ in 0..(2 * 7200 + 100) / 20 {
        let used = pair.callers(6, |tokens| {
            let account = account.clone();
            async move {
                let token = tokens.get(&account).await.unwrap().token;
                tokens.client().jsapi_ticket(&account, &token).await.map(|_| token)
            }
        });
        for token in used.await {
            let token = token.expect("WeChat takes it");
            if !seen.iter().any(|seen| seen == token.expose()) {
                seen.push(token.expose().to_owned());
            }
        }
        pair.advance(20 * SECOND);
    }
    assert_eq!(seen.len(), 3, "one at the start, and one at each end");
    pair.sim.count(path)
}

#[tokio::test]
async fn across_its_end_no_caller_gets_a_stable_token_that_is_refused() {
    let fetched = no_caller_is_refused(&Pair::start().await, &world::account(), STABLE).await;
    assert!((3..=4).contains(&fetched), "{fetched}");
}

#[tokio::test]
async fn across_its_end_no_caller_gets_a_classic_token_that_is_refused() {
    let fetched = no_caller_is_refused(&Pair::start().await, &classic(), CLASSIC).await;
    assert_eq!(fetched, 3);
}

/// `WeCom` gives the same token until it ends, so that it cannot be renewed before.
#[tokio::test]
async fn across_its_end_no_caller_gets_a_corp_s_token_that_is_refused() {
    let secret = AppSecret::new("3".repeat(43));
    let corp = Account::wecom("ww3333333333333333", Some(1_000_002), secret).unwrap();
    let fetched = no_caller_is_refused(&Pair::start().await, &corp, "/cgi-bin/gettoken").await;
    assert!((3..=20).contains(&fetched), "{fetched}");
}

#[tokio::test]
async fn nobody_waits_for_a_renewal() {
    let pair = Pair::start().await;
    let account = world::account();
    let old = pair.token(&account).await;
    pair.advance(116 * MINUTE);
    pair.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(4000).path(STABLE)]);
    let before = std::time::Instant::now();
    let mut rounds = 0;
    // Less than the renewal takes, and less than the lease lasts.
    while before.elapsed() < 2 * SECOND && rounds < 20 {
        assert_eq!(pair.token(&account).await.expose(), old.expose());
        pair.advance(SECOND);
        rounds += 1;
    }
    assert!(rounds > 1, "{rounds}");
    until("the token is renewed", async || {
        let tokens = join_all(pair.tokens.each_ref().map(|tokens| tokens.get(&account))).await;
        tokens.into_iter().any(|held| held.unwrap().token.expose() != old.expose())
    })
    .await;
    pair.advance(SECOND);
    assert_ne!(pair.token(&account).await.expose(), old.expose());
    assert_eq!(pair.sim.count(STABLE), 2);
}

#[tokio::test]
async fn a_dead_token_is_replaced_once_however_many_report_it() {
    let pair = Pair::start().await;
    for (account, fetches) in [(world::account(), [3, 0]), (classic(), [3, 2])] {
        let dead = pair.dead_token(&account).await;
        let replaced = pair.callers(200, |tokens| {
            let (account, dead) = (account.clone(), dead.clone());
            async move { tokens.replace(&account, &dead).await.unwrap().token }
        });
        let replaced = replaced.await;
        let new = &replaced[0];
        assert!(replaced.iter().all(|token| token.expose() == new.expose()));
        assert_ne!(new.expose(), dead.expose());
        assert_eq!(pair.uses(new).await, Ok(true));
        // The stable one is asked for first, and forced only where it is the dead one still.
        assert_eq!([pair.sim.count(STABLE), pair.sim.count(CLASSIC)], fetches);
        assert_eq!(pair.token(&account).await.expose(), new.expose());
    }
}

#[tokio::test]
async fn a_dead_token_is_replaced_once_by_way_of_redis() {
    let server = Server::start().await;
    let pair = over_redis(&server).await;
    let dead = pair.dead_token(&classic()).await;
    let replaced = pair.callers(100, |tokens| {
        let dead = dead.clone();
        async move { tokens.replace(&classic(), &dead).await.unwrap().token }
    });
    let replaced = replaced.await;
    assert!(replaced.iter().all(|token| token.expose() == replaced[0].expose()));
    assert_eq!((pair.uses(&replaced[0]).await, pair.sim.count(CLASSIC)), (Ok(true), 2));
}

#[tokio::test]
async fn what_another_instance_has_replaced_is_seen_within_a_second() {
    let pair = Pair::start().await;
    let [here, there] = &pair.tokens;
    let dead = pair.dead_token(&classic()).await;
    let new = there.replace(&classic(), &dead).await.unwrap().token;
    pair.advance(SECOND);
    assert_eq!(here.get(&classic()).await.unwrap().token.expose(), new.expose());
    // Whoever reports it late is told of the new one, and nothing is fetched.
    let late = here.replace(&classic(), &dead).await.unwrap().token;
    assert_eq!((late.expose(), pair.sim.count(CLASSIC)), (new.expose(), 2));
}

#[tokio::test]
async fn a_call_with_a_dead_token_is_made_again_once() {
    let pair = Pair::start().await;
    let followers = Followers::new(pair.tokens[0].clone());
    pair.sim.fault(Fault::DeadToken, 1);
    assert!(followers.ask(&world::account(), &pair.openid("alice")).await.unwrap().subscribe);
    assert_eq!(pair.sim.count(USER_INFO), 2);
    pair.advance(MINUTE);
    pair.sim.fault(Fault::DeadToken, 2);
    let error = followers.ask(&world::account(), &pair.openid("bob")).await.unwrap_err();
    assert!(is_refused(&error, 40001), "{error}");
    assert_eq!(pair.sim.count(USER_INFO), 4);
}

#[tokio::test]
async fn tokens_that_somebody_else_ends_are_not_fetched_for_ever() {
    let pair = Pair::start().await;
    let tokens = &pair.tokens[0];
    let mut refused = None;
    for _ in 0..10 {
        let dead = tokens.get(&classic()).await.unwrap().token;
        refused = tokens.replace(&classic(), &dead).await.err();
        if refused.is_some() {
            break;
        }
    }
    let error = refused.expect("it comes to an end").to_string();
    assert!(error.contains("another program fetches tokens"), "{error}");
    let fetched = pair.sim.count(CLASSIC);
    assert!(tokens.get(&classic()).await.is_ok(), "the last one may be good after all");
    assert_eq!((pair.sim.count(CLASSIC), fetched), (6, 6));
    pair.advance(MINUTE);
    let dead = tokens.get(&classic()).await.unwrap().token;
    assert!(tokens.replace(&classic(), &dead).await.is_ok(), "it may be tried again");
}

#[tokio::test]
async fn while_it_cannot_be_renewed_the_old_one_serves_and_tries_grow_rare() {
    let pair = Pair::start().await;
    let account = world::account();
    let old = pair.token(&account).await;
    for fault in [Fault::IpNotListed, Fault::BusyKeepsCode] {
        pair.sim.faults([FaultSwitch::new(fault, 1000).path(STABLE)]);
        pair.advance(if fault == Fault::IpNotListed { 115 * MINUTE } else { Duration::ZERO });
        let before = pair.sim.count(STABLE);
        for _ in 0..120 {
            assert_eq!(pair.token(&account).await.expose(), old.expose());
            pair.advance(SECOND);
        }
        // A busy WeChat is asked three times in a row.
        let tries =
            (pair.sim.count(STABLE) - before) / if fault == Fault::BusyKeepsCode { 3 } else { 1 };
        assert!((1..=7).contains(&tries), "{tries} of {fault:?}");
        pair.sim.clear_faults();
    }
    pair.advance(MINUTE);
    until("it is renewed", async || {
        pair.advance(SECOND);
        pair.token(&account).await.expose() != old.expose()
    })
    .await;
    let token = pair.token(&account).await;
    assert_eq!(pair.uses(&token).await, Ok(true));
}

#[tokio::test]
async fn where_there_is_none_all_are_told_why_and_wechat_is_asked_once_a_pause() {
    let pair = Pair::start().await;
    let account = world::account();
    pair.sim.faults([FaultSwitch::new(Fault::IpNotListed, 1000)]);
    let ask = async || {
        let errors = pair.callers(50, |tokens| {
            let account = account.clone();
            async move { tokens.get(&account).await.unwrap_err() }
        });
        errors.await
    };
    let errors = ask().await;
    assert_eq!(pair.sim.count(STABLE), 1);
    for error in &errors {
        let text = error.to_string();
        assert!(text.contains("40164") && text.contains("127.0.0.1"), "{text}");
        assert!(text.contains("IP白名单"), "{text}");
    }
    assert!(errors.iter().any(|error| is_refused(error, 40164)));
    assert!(errors.iter().any(|error| error.retry_after() == Some(2 * SECOND)));
    pair.advance(SECOND);
    ask().await;
    assert_eq!(pair.sim.count(STABLE), 1, "the pause lasts");
    pair.advance(SECOND);
    ask().await;
    assert_eq!(pair.sim.count(STABLE), 2);
    pair.sim.clear_faults();
    pair.advance(4 * SECOND);
    pair.token(&account).await;
    assert_eq!(pair.sim.count(STABLE), 3);
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_nothing() {
    let pair = Pair::start().await;
    pair.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(300).path(CLASSIC)]);
    let tokens = pair.tokens[0].clone();
    let caller = tokio::spawn(async move { tokens.get(&classic()).await });
    until("the call is made", async || pair.sim.count(CLASSIC) == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let token = pair.tokens[0].get(&classic()).await.unwrap().token;
    assert_eq!((pair.uses(&token).await, pair.sim.count(CLASSIC)), (Ok(true), 1));
}

#[tokio::test]
async fn while_the_store_is_down_the_last_one_serves_and_nobody_fetches() {
    let mut server = Server::start_durable().await;
    let pair = over_redis(&server).await;
    let token = pair.token(&classic()).await;
    server.kill();
    pair.advance(10 * SECOND);
    assert_eq!(pair.token(&classic()).await.expose(), token.expose());
    // Due, and nobody may fetch it.
    pair.advance(116 * MINUTE);
    assert_eq!(pair.token(&classic()).await.expose(), token.expose());
    let error = pair.tokens[0].replace(&classic(), &token).await.unwrap_err();
    assert!(matches!(error, KeeperError::Store(_)), "{error}");
    pair.advance(4 * MINUTE);
    let error = pair.tokens[0].get(&classic()).await.unwrap_err();
    assert!(matches!(error, KeeperError::Store(_)), "{error}");
    assert_eq!(pair.sim.count(CLASSIC), 1);
    server.restart().await;
    until("the store is found again", async || pair.tokens[0].get(&classic()).await.is_ok()).await;
    let token = pair.token(&classic()).await;
    assert_eq!((pair.uses(&token).await, pair.sim.count(CLASSIC)), (Ok(true), 2));
}

#[tokio::test]
async fn a_store_that_has_forgotten_is_told_and_nothing_is_fetched() {
    let server = Server::start().await;
    let pair = over_redis(&server).await;
    let [here, there] = &pair.tokens;
    let token = here.get(&classic()).await.unwrap().token;
    server.forget_everything().await;
    pair.advance(SECOND);
    assert_eq!(here.get(&classic()).await.unwrap().token.expose(), token.expose());
    assert_eq!(there.get(&classic()).await.unwrap().token.expose(), token.expose());
    assert_eq!(pair.sim.count(CLASSIC), 1);
}

#[tokio::test]
async fn w10_neither_a_keeper_nor_redis_shows_a_token() {
    let server = Server::start().await;
    let pair = over_redis(&server).await;
    let token = pair.token(&world::account()).await;
    let held = pair.tokens[0].get(&world::account()).await.unwrap();
    let shown = format!("{held:?} {:?} {:#?}", pair.tokens[0], pair.tokens[1]);
    assert!(!shown.contains(token.expose()), "{shown}");
    let mut names: Vec<String> = server.ask(::redis::cmd("KEYS").arg("wxgate:*")).await;
    names.retain(|name| name.contains("access_token"));
    assert_eq!(names, [format!("wxgate:r:kept:access_token:{APPID}")]);
    let kept: Vec<u8> = server.ask(::redis::cmd("GET").arg(&names[0])).await;
    assert!(!String::from_utf8_lossy(&kept).contains(token.expose()));
}
