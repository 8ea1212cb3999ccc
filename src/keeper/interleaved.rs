//! Several instances that want one token, in every order of what they ask of the store and of WeChat.

use std::sync::{Arc, Mutex};

use super::{Held, ServerTokens};
use crate::{
    clock::{ManualClock, Timestamp},
    secret::{AppSecret, ServerToken},
    session::{
        KeyRing, MemoryStore, Store,
        durable::{DurableStore, tests::InMap},
        stepped::{Lie, Stepped},
        turns::{Part, Turns, explore},
    },
    wechat::{Account, Client, Endpoints},
};

/// Two instances, and how often WeChat was asked.
struct Stage {
    keepers: [ServerTokens; 2],
    account: Account,
    fetched: Arc<Mutex<u32>>,
}

fn stage(turns: &Turns, client: &Client, is_durable: bool, lie: Lie) -> Stage {
    let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
    let fetched = Arc::<Mutex<u32>>::default();
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
    let (records, keys) = (InMap::new(clock.clone(), turns.clone()), KeyRing::random());
    let keeper = || {
        let (told, wechat) = (turns.clone(), fetched.clone());
        let client = client.clone().played_by(move |_, _| {
            let (turns, fetched) = (told.clone(), wechat.clone());
            Box::pin(async move {
                turns.turn("wechat is asked").await;
                let number = {
                    let mut fetched = fetched.lock().unwrap();
                    *fetched += 1;
                    *fetched
                };
                turns.turn("wechat answers").await;
                format!(r#"{{"access_token":"t{number}","expires_in":7200}}"#)
            })
        });
        let (store, turns): (Arc<dyn Store>, _) = if is_durable {
            let store = DurableStore::builder(records.clone(), keys.clone()).clock(clock.clone());
            (Arc::new(store.build()), Turns::default())
        } else {
            (memory.clone(), turns.clone())
        };
        ServerTokens::new(client, Arc::new(Stepped { store, turns, lie }), clock.clone())
    };
    let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
    let account = Account::official_account("wx0123456789abcdef", secret).unwrap();
    Stage { keepers: [keeper(), keeper()], account, fetched }
}

/// Three ask, two of them at one instance: for any token, or all for another one than the same dead one.
async fn asked(turns: Turns, client: &Client, over: (bool, Lie), dies: bool) -> Result<(), String> {
    let stage = stage(&turns, client, over.0, over.1);
    let dead = if dies {
        Some(stage.keepers[0].get(&stage.account).await.expect("there is one").token)
    } else {
        None
    };
    let before = *stage.fetched.lock().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let parts = [0, 1, 0].map(|at| -> Part {
        let (keeper, account) = (stage.keepers[at].clone(), stage.account.clone());
        let (told, dead) = (told.clone(), dead.clone());
        Box::pin(async move {
            let held: Held<ServerToken> = match dead {
                Some(dead) => keeper.replace(&account, &dead).await,
                None => keeper.get(&account).await,
            }
            .expect("there is one");
            told.lock().unwrap().push(held.token.expose().to_owned());
        })
    });
    turns.play(parts).await;
    let fetched = *stage.fetched.lock().unwrap() - before;
    if fetched != 1 {
        return Err(format!("one fetch for all, not {fetched}"));
    }
    let newest = format!("t{}", before + 1);
    let told = told.lock().unwrap();
    if *told == [newest.clone(), newest.clone(), newest] {
        Ok(())
    } else {
        Err(format!("all have the same: {told:?}"))
    }
}

#[test]
fn a_token_is_fetched_once_for_all_who_want_it_in_every_order() {
    let client = Client::new(Endpoints::all_at("http://127.0.0.1:1").unwrap());
    for is_durable in [false, true] {
        for dies in [false, true] {
            explore(1, |turns| asked(turns, &client, (is_durable, Lie::None), dies)).holds(10);
        }
    }
    let lies = (false, Lie::EverybodyLeads);
    explore(1, |turns| asked(turns, &client, lies, false)).breaks("one fetch for all");
}
