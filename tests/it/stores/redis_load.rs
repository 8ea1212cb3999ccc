//! How much room many sessions take in Redis, and that they make it again.

use std::{collections::HashMap, time::Duration};

use ::redis::{Cmd, cmd};
use wxgate::{
    clock::{Clock, SystemClock},
    secret::{RefreshToken, UserToken},
    session::{NewSession, Profile, Store, TokenChange, Tokens, UserChange},
    wechat::Scope,
};

use super::{
    redis::{instances, user},
    redis_server::{Server, until},
};

const SESSIONS: u64 = 1_000_000;
const USERS: u64 = 100_000;
/// Long enough for them to be counted, and short enough to be waited for.
const SHORT: Duration = Duration::from_secs(15);

/// Writes what is in one record under many names, as long as they were written by themselves.
const COPY: &str = "for number = 1, ARGV[2] do \
        local key = ARGV[1] .. string.format('%032x', number) \
        redis.call('HSET', key, unpack(ARGV, 4)) \
        redis.call('PEXPIRE', key, ARGV[3]) \
    end return 1";

fn copies(prefix: &str, count: u64, fields: &HashMap<Vec<u8>, Vec<u8>>) -> Cmd {
    let life = u64::try_from(SHORT.as_millis()).unwrap();
    let mut command = cmd("EVAL");
    command.arg(COPY).arg(0).arg(prefix).arg(count).arg(life).arg(fields);
    command
}

/// The sessions of users with everything that a grant with `userinfo` tells.
#[tokio::test]
async fn a_million_sessions_take_little_room_and_make_it_again() {
    let server = Server::start().await;
    let [store] = instances(&server.url());
    let now = SystemClock.now();
    let (access, refresh) = (UserToken::new("a".repeat(90)), RefreshToken::new("r".repeat(90)));
    let tokens =
        Tokens { access, access_ends_at: now, refresh: Some(refresh), refresh_ends_at: now };
    let avatar = Some(format!("https://thirdwx.qlogo.cn/mmopen/{}/132", "x".repeat(90)).into());
    let profile = Some((Profile { nickname: "爱丽丝🌸".into(), avatar }, now));
    let tokens = TokenChange::Replace(tokens);
    let change = UserChange { profile, tokens, ..UserChange::default() };
    let user = store.put_user(user("o6_bmjrPTlm6_2sgVt7hMZOPfL2M"), change).await.unwrap();
    let new = NewSession { user, scope: Scope::Userinfo, signed_in_at: now, begins_at: now };
    store.create(new).await.unwrap();

    let mut sizes = Vec::new();
    for (prefix, count) in [("wxgate:u:", USERS), ("wxgate:s:", SESSIONS)] {
        let keys: Vec<String> = server.ask(cmd("KEYS").arg(format!("{prefix}*"))).await;
        let fields: HashMap<Vec<u8>, Vec<u8>> = server.ask(cmd("HGETALL").arg(&keys[0])).await;
        let before = server.info("used_memory").await;
        let _: u64 = server.ask_for_long(&copies(prefix, count, &fields)).await;
        sizes.push((server.info("used_memory").await - before) / count);
        println!(
            "{count} records {prefix}*: each sealed {} bytes, in redis {} bytes",
            fields[&b"d"[..]].len(),
            sizes.last().unwrap()
        );
    }
    // A user has a profile, an avatar and two tokens, and may have several sessions.
    assert!(sizes[0] < 1_500 && sizes[1] < 1_000, "{sizes:?}");
    // The one session and its user that were real, the account, and the mark of the keys.
    until("they go by themselves", async || server.keys().await == 4).await;
}
