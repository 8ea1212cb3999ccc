//! Records of a store: what strangers have put there is an error, and what is read is what was written.

use std::sync::Arc;

use super::world::World;
use crate::{
    clock::Timestamp,
    secret::{RefreshToken, SessionKey, UserToken},
    session::{
        AccountSlot, Handle, KeyChange, NewSession, Purpose, Session, SessionId, Subject,
        TokenChange, Tokens, UserChange, UserKey, UserRecord, UserSlot,
        durable::codec::{Unread, open_bytes, open_session, open_user, seal_session, seal_user},
    },
    wechat::{AppId, OpenId},
};

/// The data is a record: once as a stranger has put it there, once as we have sealed it.
pub fn store_records(data: &[u8]) {
    let keys = &World::get().keys;
    let key = key();
    assert_eq!(open_user(keys, "u", &key, data).err(), Some(Unread::Unopened), "c38");
    assert_eq!(open_session(keys, "s", data).err(), Some(Unread::Unopened), "c38");
    let other = open_bytes(keys, Purpose::StoredAppData, "s", data);
    assert_eq!(other.err(), Some(Unread::Unopened), "c38");
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(handle) = Handle::parse(text) {
            assert_eq!(handle.to_string(), text, "a handle has one spelling");
            assert_eq!(Handle::from_bytes(handle.to_bytes()), handle);
        }
        if let Some(id) = SessionId::parse(text) {
            assert_eq!(id.expose(), text, "an id has one spelling");
        }
    }
    user(data);
    session(data);
}

fn key() -> UserKey {
    UserKey {
        appid: AppId::parse("wx0123456789abcdef").expect("it is an appid"),
        openid: OpenId::parse("o-somebody").expect("it is an openid"),
    }
}

fn user(data: &[u8]) {
    let (keys, key) = (&World::get().keys, key());
    let sealed = keys.seal_bytes(Purpose::StoredUser, "u", data);
    assert_eq!(open_user(keys, "v", &key, &sealed).err(), Some(Unread::Unopened), "c40");
    assert_eq!(open_session(keys, "u", &sealed).err(), Some(Unread::Unopened), "c40");
    let read = match open_user(keys, "u", &key, &sealed) {
        Ok(read) => read,
        Err(why) => return assert_eq!(why, Unread::Foreign),
    };
    let again = open_user(keys, "u", &key, &seal_user(keys, "u", &read));
    let again = again.expect("what was written can be read");
    assert_eq!(told(&again), told(&read));
    // A user who is known already is told of in the same way.
    let later = UserRecord::new(&key, Some(&read), UserChange::default());
    let shown = |it: &UserRecord| [it.nickname(), it.avatar()].map(|it| it.map(str::to_owned));
    assert_eq!(shown(&later), shown(&read));
    for (_, value) in read.headers(Subject::Unionid) {
        let visible = |byte: &u8| (b' '..=b'~').contains(byte);
        assert!(value.as_bytes().iter().all(visible), "c19: {value:?}");
    }
    // Other secrets in it make no difference to what is shown.
    let tokens = read.tokens().map(|tokens| Tokens {
        access: UserToken::new("other"),
        refresh: tokens.refresh.as_ref().map(|_| RefreshToken::new("other")),
        ..tokens.clone()
    });
    let other = UserChange {
        tokens: tokens.map_or(TokenChange::Keep, TokenChange::Replace),
        session_key: match read.session_key() {
            Some(_) => KeyChange::Replace(SessionKey::new("other")),
            None => KeyChange::Keep,
        },
        ..UserChange::default()
    };
    let other = UserRecord::new(&key, Some(&read), other);
    assert_eq!(format!("{other:?}"), format!("{read:?}"), "w10");
}

/// All that is known of a user, as text.
fn told(record: &UserRecord) -> String {
    let headers: Vec<_> = [Subject::Account, Subject::Unionid]
        .into_iter()
        .flat_map(|subject| record.headers(subject))
        .collect();
    let tokens = record.tokens().map(|tokens| (tokens.access_ends_at, tokens.refresh_ends_at));
    format!("{headers:?} {tokens:?} {:?} {:?}", record.fetched_at(), secrets(record))
}

fn secrets(record: &UserRecord) -> Vec<String> {
    let mut secrets = Vec::new();
    if let Some(tokens) = record.tokens() {
        secrets.push(tokens.access.expose().to_owned());
        secrets.extend(tokens.refresh.as_ref().map(|token| token.expose().to_owned()));
    }
    secrets.extend(record.session_key().map(|key| key.expose().to_owned()));
    secrets
}

fn session(data: &[u8]) {
    let keys = &World::get().keys;
    let sealed = keys.seal_bytes(Purpose::StoredSession, "s", data);
    assert_eq!(open_session(keys, "t", &sealed).err(), Some(Unread::Unopened), "c40");
    let known = match open_session(keys, "s", &sealed) {
        Ok(known) => known,
        Err(why) => return assert_eq!(why, Unread::Foreign),
    };
    let account = Arc::new(AccountSlot::new(known.epoch.account));
    let record = UserRecord::new(&known.user, None, UserChange::default());
    let slot = UserSlot::restore(known.user.clone(), known.epoch.user, account, record);
    let at: Timestamp = known.signed_in_at;
    let new =
        NewSession { user: Arc::new(slot), scope: known.scope, signed_in_at: at, begins_at: at };
    let session = Session::restore(SessionId::new(), known.epoch, new);
    let again = open_session(keys, "s", &seal_session(keys, "s", &session));
    let Ok(again) = again else { panic!("what was written can be read") };
    assert_eq!((again.user, again.epoch), (known.user, known.epoch));
    assert_eq!((again.scope, again.signed_in_at), (known.scope, known.signed_in_at));
}
