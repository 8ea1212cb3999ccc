//! One user of one account: what is known of them, shared by all of their sessions.

mod text;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};

use text::{Part, Text};

use crate::{
    clock::Timestamp,
    secret::{RefreshToken, SessionKey, UserToken},
    wechat::{AppId, OpenId, UnionId, Userinfo},
};

/// `X-WeChat-Subject`: who the user is, in the one form that is used everywhere.
static SUBJECT: HeaderName = HeaderName::from_static("x-wechat-subject");
/// `X-WeChat-Appid`
static APPID: HeaderName = HeaderName::from_static("x-wechat-appid");
/// `X-WeChat-Openid`
static OPENID: HeaderName = HeaderName::from_static("x-wechat-openid");
/// `X-WeChat-Unionid`
static UNIONID: HeaderName = HeaderName::from_static("x-wechat-unionid");
/// `X-WeChat-Nickname`: percent-encoded UTF-8.
static NICKNAME: HeaderName = HeaderName::from_static("x-wechat-nickname");
/// `X-WeChat-Avatar`: a URL.
static AVATAR: HeaderName = HeaderName::from_static("x-wechat-avatar");
/// `X-WeChat-Phone`: the number that a mini-program's user has given, with its country code.
static PHONE: HeaderName = HeaderName::from_static("x-wechat-phone");
/// `X-WeChat-Former-Subject`: what the subject was before the user's unionid appeared.
static FORMER_SUBJECT: HeaderName = HeaderName::from_static("x-wechat-former-subject");
/// `X-Forwarded-User`: the subject again, for apps that know this name.
static FORWARDED_USER: HeaderName = HeaderName::from_static("x-forwarded-user");

/// The epoch of a slot that has lost its place in the store. No session of it is good, and random epochs are never 0.
const RETIRED: u64 = 0;

/// The numbers that a session must have been made with to be good: its user's and its account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// A new one ends all sessions of the user.
    pub user: u64,
    /// A new one ends all sessions of the account.
    pub account: u64,
}

impl Epoch {
    /// Whether sessions can be good in it.
    pub fn is_open(self) -> bool {
        self.user != RETIRED
    }
}

/// What all users of an account share.
#[derive(Debug)]
pub struct AccountSlot(AtomicU64);

impl AccountSlot {
    /// An account in the epoch in which a store has it.
    pub fn new(epoch: u64) -> Self {
        Self(AtomicU64::new(epoch))
    }

    /// Ends all sessions of the account.
    pub fn step_epoch(&self) {
        self.0.store(super::random(), Ordering::Release);
    }
}

/// Which user of which account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserKey {
    /// The account.
    pub appid: AppId,
    /// The user, as that account knows them.
    pub openid: OpenId,
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.appid, self.openid)
    }
}

/// What `userinfo` told of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Arbitrary Unicode.
    pub nickname: Box<str>,
    /// A URL, where the user has an avatar.
    pub avatar: Option<Box<str>>,
}

impl Profile {
    /// With an avatar only where that is a web address.
    pub(crate) fn new(nickname: String, avatar: Option<String>) -> Self {
        let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        Self { nickname: nickname.into(), avatar: avatar.filter(is_web).map(Into::into) }
    }
}

impl From<Userinfo> for Profile {
    fn from(user: Userinfo) -> Self {
        Self::new(user.nickname, user.headimgurl)
    }
}

/// A user's tokens. They stay on the server.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Opens `userinfo`.
    pub access: UserToken,
    /// When `access` ends.
    pub access_ends_at: Timestamp,
    /// Gives a new access token.
    pub refresh: Option<RefreshToken>,
    /// When `refresh` ends: thirty days after the authorization, which a refresh does not extend.
    pub refresh_ends_at: Timestamp,
}

/// What a sign-in or a refresh has learnt. What is `None` leaves the record as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The user across accounts.
    pub unionid: Option<UnionId>,
    /// The profile and the moment it was fetched.
    pub profile: Option<(Profile, Timestamp)>,
    /// The tokens of a grant with userinfo scope.
    pub tokens: TokenChange,
    /// The phone number, with its country code: `+86 13580006666` is `+8613580006666`.
    pub phone: Option<Box<str>>,
    /// What a mini-program's user data is checked with.
    pub session_key: KeyChange,
}

/// What becomes of the key that a mini-program's user data is checked with.
#[derive(Clone, Debug, Default)]
pub enum KeyChange {
    /// It stays.
    #[default]
    Keep,
    /// This one takes its place.
    Replace(SessionKey),
    /// It is no good any more.
    Forget,
}

/// What becomes of a user's tokens.
#[derive(Clone, Debug, Default)]
pub enum TokenChange {
    /// They stay.
    #[default]
    Keep,
    /// These take their place, unless those are of a later authorization.
    Replace(Tokens),
    /// Those of the authorization whose refresh token ends then are dead. Newer ones stay.
    Forget(Timestamp),
}

/// What is known of a user at one moment. Replaced whole, never changed.
#[derive(Debug)]
pub struct UserRecord {
    unionid: Option<UnionId>,
    /// Whether the user was known before the unionid was.
    was_without_unionid: bool,
    has_profile: bool,
    /// When the profile was fetched, where there is one.
    fetched_at: Timestamp,
    tokens: Option<Tokens>,
    session_key: Option<SessionKey>,
    text: Text,
}

/// What the subject of a user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `appid:openid`: another one for each account that a person uses. The default.
    #[default]
    Account,
    /// The unionid, which is the same for all accounts of one operator. `appid:openid` until WeChat tells it.
    Unionid,
}

impl UserRecord {
    /// A record with what was known and what was learnt.
    pub fn new(key: &UserKey, old: Option<&Self>, change: UserChange) -> Self {
        let known = old.and_then(|old| old.unionid.clone());
        let told = change.unionid;
        if let (Some(known), Some(told)) = (&known, &told)
            && known != told
        {
            tracing::warn!(
                appid = %key.appid,
                "wechat tells another unionid of a user than before: the known one stays until the user is forgotten"
            );
        }
        let was_without_unionid = old.is_some_and(|old| {
            old.was_without_unionid || (old.unionid.is_none() && told.is_some())
        });
        let unionid = known.or(told);
        let tokens = match change.tokens {
            TokenChange::Keep => old.and_then(|old| old.tokens.clone()),
            TokenChange::Forget(end) => old
                .and_then(|old| old.tokens.clone())
                .filter(|tokens| tokens.refresh_ends_at != end),
            TokenChange::Replace(tokens) => {
                // A refresh that was under way brings what is older than a sign-in in the meantime.
                let newer = old.and_then(|old| old.tokens.as_ref());
                let newer = newer.filter(|newer| newer.refresh_ends_at > tokens.refresh_ends_at);
                Some(newer.cloned().unwrap_or(tokens))
            }
        };
        let (fetched_at, nickname, avatar) = match (&change.profile, old) {
            (Some((profile, at)), _) => {
                (Some(*at), Some(&*profile.nickname), profile.avatar.as_deref())
            }
            (None, Some(old)) => (old.fetched_at(), old.nickname(), old.avatar()),
            (None, None) => (None, None, None),
        };
        let phone = change.phone.as_deref().or_else(|| old?.phone());
        let text = Text::new(key, nickname, avatar, phone);
        let session_key = match change.session_key {
            KeyChange::Keep => old.and_then(|old| old.session_key.clone()),
            KeyChange::Replace(key) => Some(key),
            KeyChange::Forget => None,
        };
        Self {
            unionid,
            was_without_unionid,
            has_profile: fetched_at.is_some(),
            fetched_at: fetched_at.unwrap_or(Timestamp::from_unix(0)),
            tokens,
            session_key,
            text,
        }
    }

    /// Says that the user was known before the unionid was, as a store has noted it.
    pub(super) fn with_former_subject(mut self) -> Self {
        self.was_without_unionid = true;
        self
    }

    /// Who the user is.
    pub fn subject(&self, subject: Subject) -> &str {
        match (subject, &self.unionid) {
            (Subject::Unionid, Some(unionid)) => unionid.as_str(),
            _ => self.text.subject(),
        }
    }

    /// Who the user was before the unionid appeared, where the subject is the unionid.
    pub fn former_subject(&self, subject: Subject) -> Option<&str> {
        self.has_changed(subject).then(|| self.text.subject())
    }

    /// Whether the user was known before the unionid was.
    pub(super) fn was_without_unionid(&self) -> bool {
        self.was_without_unionid
    }

    /// Whether the user was somebody else before the unionid appeared.
    fn has_changed(&self, subject: Subject) -> bool {
        self.was_without_unionid && subject == Subject::Unionid
    }

    /// The user across accounts, where WeChat told it. The first that was told stays.
    pub fn unionid(&self) -> Option<&UnionId> {
        self.unionid.as_ref()
    }

    /// What a mini-program's user data is checked with. It stays on the server.
    pub fn session_key(&self) -> Option<&SessionKey> {
        self.session_key.as_ref()
    }

    /// The phone number, with its country code, where a mini-program's user has given it.
    pub fn phone(&self) -> Option<&str> {
        self.text.known(Part::Phone)
    }

    /// The nickname, once the user has granted it. It may be empty.
    pub fn nickname(&self) -> Option<&str> {
        self.has_profile.then(|| self.text.known(Part::Nickname).unwrap_or_default())
    }

    /// The avatar's URL, once the user has granted it and where there is one.
    pub fn avatar(&self) -> Option<&str> {
        self.text.known(Part::Avatar)
    }

    /// When the profile was fetched: nickname and avatar. None as long as the user has not granted them.
    pub fn fetched_at(&self) -> Option<Timestamp> {
        self.has_profile.then_some(self.fetched_at)
    }

    /// The user's tokens, where a grant with userinfo scope gave some.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// The identity headers of this user, ready to be sent: all but the session's scope.
    pub fn headers(&self, subject: Subject) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let mut headers = Vec::with_capacity(9);
        self.tell(subject, &mut |name, value| {
            let value = HeaderValue::from_str(value).expect("what is told is fit for a header");
            headers.push((name.clone(), value));
        });
        headers.into_iter()
    }

    /// The same, for whoever writes them elsewhere.
    pub(crate) fn tell(&self, subject: Subject, line: &mut dyn FnMut(&HeaderName, &str)) {
        let text = &self.text;
        let named = self.subject(subject);
        line(&SUBJECT, named);
        line(&FORWARDED_USER, named);
        if let Some(former) = self.former_subject(subject) {
            line(&FORMER_SUBJECT, former);
        }
        let (appid, openid) = text.identifiers();
        line(&APPID, appid);
        line(&OPENID, openid);
        if let Some(unionid) = &self.unionid {
            line(&UNIONID, unionid.as_str());
        }
        if self.has_profile {
            line(&NICKNAME, text.told(Part::Nickname));
        }
        for (name, part) in [(&AVATAR, Part::Avatar), (&PHONE, Part::Phone)] {
            let told = text.told(part);
            if !told.is_empty() {
                line(name, told);
            }
        }
    }
}

/// The place of one user of one account. Lives at least as long as the longest session that may use it.
#[derive(Debug)]
pub struct UserSlot {
    key: UserKey,
    epoch: AtomicU64,
    account: Arc<AccountSlot>,
    record: ArcSwap<UserRecord>,
    /// Until when nobody needs to try a refresh of the profile.
    refresh_not_before: AtomicU64,
}

impl UserSlot {
    /// A slot in a new epoch.
    pub fn new(key: UserKey, account: Arc<AccountSlot>, change: UserChange) -> Self {
        let record = UserRecord::new(&key, None, change);
        Self::restore(key, super::random(), account, record)
    }

    /// A slot as a store has kept it.
    pub fn restore(
        key: UserKey,
        epoch: u64,
        account: Arc<AccountSlot>,
        record: UserRecord,
    ) -> Self {
        Self {
            key,
            epoch: AtomicU64::new(epoch),
            account,
            record: ArcSwap::from_pointee(record),
            refresh_not_before: AtomicU64::new(0),
        }
    }

    /// Which user it is.
    pub fn key(&self) -> &UserKey {
        &self.key
    }

    /// What is known of the user now.
    pub fn record(&self) -> Arc<UserRecord> {
        self.record.load_full()
    }

    /// Takes in what was learnt; all sessions of the user see it at once.
    pub fn update(&self, change: &UserChange) {
        self.record.rcu(|old| UserRecord::new(&self.key, Some(old), change.clone()));
    }

    /// Takes in a record that was read anew.
    pub fn replace(&self, record: UserRecord) {
        self.record.store(Arc::new(record));
    }

    /// The numbers that a session must have been made with to be good.
    pub fn epoch(&self) -> Epoch {
        let account = self.account.0.load(Ordering::Acquire);
        Epoch { user: self.epoch.load(Ordering::Acquire), account }
    }

    /// Ends all sessions of the user.
    pub fn step_epoch(&self) {
        // A retired slot stays retired: an error here means just that.
        let step = |old| (old != RETIRED).then(super::random);
        self.epoch.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).ok();
    }

    /// Ends all sessions of the user for good: the slot has lost its place in the store.
    pub fn retire(&self) {
        self.epoch.store(RETIRED, Ordering::Release);
    }

    /// True for one caller only, who then refreshes the profile; everybody else is refused for `pause`.
    pub fn claim_refresh(&self, now: Timestamp, pause: Duration) -> bool {
        self.refresh_not_before
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |not_before| {
                (now.unix() >= not_before).then(|| (now + pause).unix())
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests;
