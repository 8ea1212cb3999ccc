//! How records are written: sealed JSON, so that a newer wxgate can read what an older one has written.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::super::{
    Epoch, KeyChange, KeyRing, Profile, Purpose, Session, TokenChange, Tokens, UserChange, UserKey,
    UserRecord,
};
use crate::{
    clock::Timestamp,
    secret::{RefreshToken, SessionKey, UserToken},
    wechat::{AppId, OpenId, Scope, UnionId},
};

/// A session as it is kept.
#[derive(Serialize, Deserialize)]
struct SavedSession {
    appid: String,
    openid: String,
    user_epoch: u64,
    account_epoch: u64,
    scope: String,
    signed_in_at: u64,
}

/// What is known of a user, as it is kept.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct SavedUser {
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    was_without_unionid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<SavedProfile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<SavedTokens>,
}

#[derive(Serialize, Deserialize)]
struct SavedProfile {
    nickname: Box<str>,
    avatar: Option<Box<str>>,
    fetched_at: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedTokens {
    access: String,
    access_ends_at: u64,
    refresh: Option<String>,
    refresh_ends_at: u64,
}

/// Why a record says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It does not open.
    Unopened,
    /// It opens, and is written in another way.
    Foreign,
}

/// What the record of a session says.
pub(crate) struct Known {
    pub(crate) user: UserKey,
    pub(crate) epoch: Epoch,
    pub(crate) scope: Scope,
    pub(crate) signed_in_at: Timestamp,
}

pub(crate) fn seal_session(keys: &KeyRing, name: &str, session: &Session) -> Vec<u8> {
    let (user, epoch) = (session.user().key(), session.epoch());
    let saved = SavedSession {
        appid: user.appid.as_str().to_owned(),
        openid: user.openid.as_str().to_owned(),
        user_epoch: epoch.user,
        account_epoch: epoch.account,
        scope: session.scope().as_str().to_owned(),
        signed_in_at: session.signed_in_at().unix(),
    };
    seal(keys, Purpose::StoredSession, name, &saved)
}

pub(crate) fn open_session(keys: &KeyRing, name: &str, sealed: &[u8]) -> Result<Known, Unread> {
    let saved: SavedSession = open(keys, Purpose::StoredSession, name, sealed)?;
    let user = user_key(&saved).ok_or(Unread::Foreign)?;
    Ok(Known {
        user,
        epoch: Epoch { user: saved.user_epoch, account: saved.account_epoch },
        scope: Scope::widest(&saved.scope),
        signed_in_at: Timestamp::from_unix(saved.signed_in_at),
    })
}

fn user_key(saved: &SavedSession) -> Option<UserKey> {
    let appid = AppId::parse(&saved.appid).ok()?;
    Some(UserKey { appid, openid: OpenId::parse(&saved.openid).ok()? })
}

pub(crate) fn seal_user(keys: &KeyRing, name: &str, record: &UserRecord) -> Vec<u8> {
    let saved = SavedUser {
        unionid: record.unionid().map(|unionid| unionid.as_str().to_owned()),
        was_without_unionid: record.was_without_unionid(),
        phone: record.phone().map(Into::into),
        session_key: record.session_key().map(|key| key.expose().to_owned()),
        profile: record.fetched_at().map(|fetched_at| SavedProfile {
            nickname: record.nickname().unwrap_or_default().into(),
            avatar: record.avatar().map(Into::into),
            fetched_at: fetched_at.unix(),
        }),
        tokens: record.tokens().map(|tokens| SavedTokens {
            access: tokens.access.expose().to_owned(),
            access_ends_at: tokens.access_ends_at.unix(),
            refresh: tokens.refresh.as_ref().map(|token| token.expose().to_owned()),
            refresh_ends_at: tokens.refresh_ends_at.unix(),
        }),
    };
    seal(keys, Purpose::StoredUser, name, &saved)
}

pub(crate) fn open_user(
    keys: &KeyRing,
    name: &str,
    key: &UserKey,
    sealed: &[u8],
) -> Result<UserRecord, Unread> {
    let saved: SavedUser = open(keys, Purpose::StoredUser, name, sealed)?;
    let change = UserChange {
        unionid: saved.unionid.and_then(|unionid| UnionId::parse(&unionid).ok()),
        profile: saved.profile.map(|saved| {
            let profile = Profile { nickname: saved.nickname, avatar: saved.avatar };
            (profile, Timestamp::from_unix(saved.fetched_at))
        }),
        tokens: saved.tokens.map_or(TokenChange::Keep, |saved| {
            TokenChange::Replace(Tokens {
                access: UserToken::new(saved.access),
                access_ends_at: Timestamp::from_unix(saved.access_ends_at),
                refresh: saved.refresh.map(RefreshToken::new),
                refresh_ends_at: Timestamp::from_unix(saved.refresh_ends_at),
            })
        }),
        phone: saved.phone,
        session_key: saved
            .session_key
            .map_or(KeyChange::Keep, |key| KeyChange::Replace(SessionKey::new(key))),
    };
    let record = UserRecord::new(key, None, change);
    Ok(if saved.was_without_unionid { record.with_former_subject() } else { record })
}

fn seal(keys: &KeyRing, purpose: Purpose, name: &str, saved: &impl Serialize) -> Vec<u8> {
    let plain = serde_json::to_vec(saved).expect("strings and numbers can be written");
    keys.seal_bytes(purpose, name, &plain)
}

fn open<T: DeserializeOwned>(
    keys: &KeyRing,
    purpose: Purpose,
    name: &str,
    sealed: &[u8],
) -> Result<T, Unread> {
    let plain = open_bytes(keys, purpose, name, sealed)?;
    serde_json::from_slice(&plain).map_err(|_| Unread::Foreign)
}

pub(crate) fn open_bytes(
    keys: &KeyRing,
    purpose: Purpose,
    name: &str,
    sealed: &[u8],
) -> Result<Vec<u8>, Unread> {
    keys.open_bytes(purpose, name, sealed).map_err(|_| Unread::Unopened)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{AccountSlot, NewSession, Subject, UserSlot};

    fn key() -> UserKey {
        UserKey {
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("o6_bmjrPTlm6_2sgVt7hMZOPfL2M").unwrap(),
        }
    }

    fn record() -> UserRecord {
        let profile =
            Profile { nickname: "小明 😀".into(), avatar: Some("https://a/0".into()) };
        let tokens = Tokens {
            access: UserToken::new("planted-access"),
            access_ends_at: Timestamp::from_unix(2),
            refresh: Some(RefreshToken::new("planted-refresh")),
            refresh_ends_at: Timestamp::from_unix(3),
        };
        let change = UserChange {
            unionid: UnionId::parse("u1").ok(),
            profile: Some((profile, Timestamp::from_unix(1))),
            tokens: TokenChange::Replace(tokens),
            phone: Some("+8613580006666".into()),
            session_key: KeyChange::Replace(SessionKey::new("planted-key")),
        };
        let earlier = UserRecord::new(&key(), None, UserChange::default());
        UserRecord::new(&key(), Some(&earlier), change)
    }

    #[test]
    fn what_is_known_of_a_user_comes_back_whole() {
        let keys = KeyRing::random();
        for record in [record(), UserRecord::new(&key(), None, UserChange::default())] {
            let sealed = seal_user(&keys, "u", &record);
            let back = open_user(&keys, "u", &key(), &sealed).unwrap();
            assert_eq!(back.nickname(), record.nickname());
            assert_eq!(back.avatar(), record.avatar());
            assert_eq!(back.unionid(), record.unionid());
            assert_eq!(back.fetched_at(), record.fetched_at());
            assert_eq!(back.phone(), record.phone());
            let key = |record: &UserRecord| record.session_key().map(|key| key.expose().to_owned());
            assert_eq!(key(&back), key(&record));
            for subject in [Subject::Account, Subject::Unionid] {
                assert!(back.headers(subject).eq(record.headers(subject)));
                assert_eq!(back.former_subject(subject), record.former_subject(subject));
            }
            let told = |record: &UserRecord| {
                record.tokens().map(|tokens| {
                    let refresh = tokens.refresh.as_ref().map(|token| token.expose().to_owned());
                    let ends = (tokens.access_ends_at, tokens.refresh_ends_at);
                    (tokens.access.expose().to_owned(), refresh, ends)
                })
            };
            assert_eq!(told(&back), told(&record));
        }
    }

    #[test]
    fn a_session_comes_back_whole() {
        let keys = KeyRing::random();
        let slot = UserSlot::restore(key(), 5, Arc::new(AccountSlot::new(6)), record());
        let at = Timestamp::from_unix(1_700_000_000);
        let new = NewSession {
            user: Arc::new(slot),
            scope: Scope::Login,
            signed_in_at: at,
            begins_at: at,
        };
        let session = Session::begin(new);
        let sealed = seal_session(&keys, "s", &session);
        let known = open_session(&keys, "s", &sealed).unwrap();
        assert_eq!((known.user, known.scope, known.signed_in_at), (key(), Scope::Login, at));
        assert_eq!(known.epoch, Epoch { user: 5, account: 6 });
    }

    #[test]
    fn c38_c40_a_record_opens_under_its_own_name_and_kind_only_and_shows_nothing() {
        let keys = KeyRing::random();
        let sealed = seal_user(&keys, "u", &record());
        assert_ne!(sealed, seal_user(&keys, "u", &record()), "the same twice");
        assert!(open_user(&keys, "u", &key(), &sealed).is_ok());
        let other_name = open_user(&keys, "v", &key(), &sealed).err();
        let other_keys = open_user(&KeyRing::random(), "u", &key(), &sealed).err();
        let other_kind = open_session(&keys, "u", &sealed).err();
        assert_eq!([other_name, other_keys, other_kind], [const { Some(Unread::Unopened) }; 3]);
        for secret in ["planted-access", "planted-refresh", "planted-key", "小明"] {
            let shows = sealed.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!shows, "{secret}");
        }
    }

    #[test]
    fn a_newer_record_with_more_in_it_can_be_read() {
        let keys = KeyRing::random();
        let newer = br#"{"unionid":"u1","mood":"good"}"#;
        let sealed = keys.seal_bytes(Purpose::StoredUser, "u", newer);
        let record = open_user(&keys, "u", &key(), &sealed).unwrap();
        assert_eq!(record.unionid().map(UnionId::as_str), Some("u1"));
        let other = keys.seal_bytes(Purpose::StoredUser, "u", b"[1]");
        assert_eq!(open_user(&keys, "u", &key(), &other).unwrap_err(), Unread::Foreign);
    }
}
