//! One user of one account: what is known of them, shared by all of their sessions.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    clock::Timestamp,
    secret::{RefreshToken, SessionKey, UserToken},
    wechat::{AppId, OpenId, UnionId, Userinfo},
};

/// `X-WeChat-Subject`: who the user is, in the one form that is used everywhere.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("x-wechat-subject");
/// `X-WeChat-Appid`
pub(crate) const APPID: HeaderName = HeaderName::from_static("x-wechat-appid");
/// `X-WeChat-Openid`
pub(crate) const OPENID: HeaderName = HeaderName::from_static("x-wechat-openid");
/// `X-WeChat-Unionid`
pub(crate) const UNIONID: HeaderName = HeaderName::from_static("x-wechat-unionid");
/// `X-WeChat-Nickname`: percent-encoded UTF-8.
pub(crate) const NICKNAME: HeaderName = HeaderName::from_static("x-wechat-nickname");
/// `X-WeChat-Avatar`: a URL.
pub(crate) const AVATAR: HeaderName = HeaderName::from_static("x-wechat-avatar");
/// `X-WeChat-Phone`: the number that a mini-program's user has given, with its country code.
pub(crate) const PHONE: HeaderName = HeaderName::from_static("x-wechat-phone");
/// `X-WeChat-Former-Subject`: what the subject was before the user's unionid appeared.
pub(crate) const FORMER_SUBJECT: HeaderName = HeaderName::from_static("x-wechat-former-subject");
/// `X-Forwarded-User`: the subject again, for apps that know this name.
pub(crate) const FORWARDED_USER: HeaderName = HeaderName::from_static("x-forwarded-user");

/// What JavaScript's `decodeURIComponent` and every other decoder undoes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// A URL keeps its own characters; only what a header cannot hold is encoded.
const URL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

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
    profile: Option<(Profile, Timestamp)>,
    tokens: Option<Tokens>,
    phone: Option<Box<str>>,
    session_key: Option<SessionKey>,
    told: Told,
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
        let profile = change.profile.or_else(|| old?.profile.clone());
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
        let shown = profile.as_ref().map(|(profile, _)| profile);
        let phone = change.phone.or_else(|| old?.phone.clone());
        let told = Told::new(key, unionid.as_ref(), shown, phone.as_deref());
        let session_key = match change.session_key {
            KeyChange::Keep => old.and_then(|old| old.session_key.clone()),
            KeyChange::Replace(key) => Some(key),
            KeyChange::Forget => None,
        };
        Self { unionid, was_without_unionid, profile, tokens, phone, session_key, told }
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
            _ => self.told.subject(),
        }
    }

    /// Who the user was before the unionid appeared, where the subject is the unionid.
    pub fn former_subject(&self, subject: Subject) -> Option<&str> {
        self.has_changed(subject).then(|| self.told.subject())
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
        self.phone.as_deref()
    }

    /// Nickname and avatar, once the user has granted them.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref().map(|(profile, _)| profile)
    }

    /// When the profile was fetched.
    pub fn fetched_at(&self) -> Option<Timestamp> {
        self.profile.as_ref().map(|(_, at)| *at)
    }

    /// The user's tokens, where a grant with userinfo scope gave some.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// The identity headers of this user, ready to be sent: all but the session's scope.
    pub fn headers(&self, subject: Subject) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.parts(subject).map(|(name, part)| {
            let value = HeaderValue::from_maybe_shared(self.told.text.slice(self.told.range(part)));
            (name, value.expect("what is told is fit for a header"))
        })
    }

    /// The same, for whoever writes them over a connection.
    #[cfg(feature = "gateway")]
    pub(crate) fn lines(&self, subject: Subject) -> impl Iterator<Item = (HeaderName, &[u8])> {
        self.parts(subject).map(|(name, part)| (name, &self.told.text[self.told.range(part)]))
    }

    /// Which parts of what is told make which headers.
    fn parts(&self, subject: Subject) -> impl Iterator<Item = (HeaderName, Part)> {
        let named = match (subject, &self.unionid) {
            (Subject::Unionid, Some(_)) => Part::Unionid,
            _ => Part::Subject,
        };
        let profile = self.profile.as_ref().map(|(profile, _)| profile);
        let has_avatar = profile.is_some_and(|profile| profile.avatar.is_some());
        let has_phone = !self.told.range(Part::Phone).is_empty();
        [
            (SUBJECT, named, true),
            (FORWARDED_USER, named, true),
            (FORMER_SUBJECT, Part::Subject, self.has_changed(subject)),
            (APPID, Part::Appid, true),
            (OPENID, Part::Openid, true),
            (UNIONID, Part::Unionid, self.unionid.is_some()),
            (NICKNAME, Part::Nickname, profile.is_some()),
            (AVATAR, Part::Avatar, has_avatar),
            (PHONE, Part::Phone, has_phone),
        ]
        .into_iter()
        .filter_map(|(name, part, is_known)| is_known.then_some((name, part)))
    }
}

/// What an upstream is told of a user, in one piece of memory of which each header is a part: there is one for every user
/// who is signed in, and pieces of their own would take several times as much.
#[derive(Debug)]
struct Told {
    /// `appid:openid`, and behind it what is known of the rest, encoded for headers.
    text: Bytes,
    /// Where the parts end from the openid on.
    ends: [u32; 5],
}

/// A part of it.
#[derive(Clone, Copy)]
enum Part {
    Subject,
    Appid,
    Openid,
    Unionid,
    Nickname,
    Avatar,
    Phone,
}

impl Told {
    fn new(
        key: &UserKey,
        unionid: Option<&UnionId>,
        profile: Option<&Profile>,
        phone: Option<&str>,
    ) -> Self {
        let mut text = key.to_string();
        let mut ends = [end(&text); 5];
        text.push_str(unionid.map_or("", UnionId::as_str));
        ends[1] = end(&text);
        text.extend(
            profile.map(|it| utf8_percent_encode(&it.nickname, COMPONENT)).into_iter().flatten(),
        );
        ends[2] = end(&text);
        let avatar = profile.and_then(|it| it.avatar.as_deref());
        text.extend(avatar.map(|url| utf8_percent_encode(url, URL)).into_iter().flatten());
        ends[3] = end(&text);
        // Identifiers were checked and text is encoded; of this nobody has said what may be in it.
        text.push_str(phone.filter(|it| HeaderValue::from_str(it).is_ok()).unwrap_or_default());
        ends[4] = end(&text);
        // Not a byte more than it takes.
        Self { text: Bytes::from(text.into_boxed_str().into_boxed_bytes()), ends }
    }

    fn subject(&self) -> &str {
        std::str::from_utf8(&self.text[self.range(Part::Subject)]).expect("identifiers are ASCII")
    }

    fn range(&self, part: Part) -> Range<usize> {
        let [openid, unionid, nickname, avatar, phone] = self.ends.map(|end| end as usize);
        match part {
            Part::Subject => 0..openid,
            Part::Appid => 0..AppId::LENGTH,
            Part::Openid => AppId::LENGTH + 1..openid,
            Part::Unionid => openid..unionid,
            Part::Nickname => unionid..nickname,
            Part::Avatar => nickname..avatar,
            Part::Phone => avatar..phone,
        }
    }
}

fn end(text: &str) -> u32 {
    u32::try_from(text.len()).expect("nobody has a name of gigabytes")
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
