//! Who is signed in on a request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::decision::Known;
use crate::{
    clock::Timestamp,
    session::{Session, Subject, UserRecord},
    wechat::{AppId, OpenId, Scope, UnionId},
};

/// `X-WeChat-Scope`: what the user granted in this sign-in.
static SCOPE: HeaderName = HeaderName::from_static("x-wechat-scope");

/// The user who is signed in, as WeChat told it. Cheap to clone.
///
/// A request that passed the layer has it as an extension, and with the feature `axum` it is an extractor:
/// `WechatUser` where somebody must be signed in, `Option<WechatUser>` where nobody has to be.
#[derive(Clone, Debug)]
pub struct WechatUser {
    session: Arc<Session>,
    record: Arc<UserRecord>,
    subject: Subject,
}

impl WechatUser {
    pub(crate) fn new(session: Arc<Session>, subject: Subject) -> Self {
        let record = session.user().record();
        Self { session, record, subject }
    }

    /// Who the user is, in the one form that is used everywhere: `appid:openid`, or the unionid where the login [names
    /// people by it](super::WechatLoginLayer::subject). Key your own records by it.
    pub fn subject(&self) -> &str {
        self.record.subject(self.subject)
    }

    /// Who the user was until WeChat told the unionid, where that is the subject now: `appid:openid`. Whatever is yours
    /// under that name belongs to this user.
    pub fn former_subject(&self) -> Option<&str> {
        self.record.former_subject(self.subject)
    }

    /// The account that the user signed in with.
    pub fn appid(&self) -> &AppId {
        &self.session.user().key().appid
    }

    /// The user, as the account knows them. An identifier, not a proof: do not take it from a request.
    pub fn openid(&self) -> &OpenId {
        &self.session.user().key().openid
    }

    /// The user across the operator's accounts, where WeChat told it.
    pub fn unionid(&self) -> Option<&UnionId> {
        self.record.unionid()
    }

    /// Arbitrary Unicode, once the user has granted `snsapi_userinfo`. Escape it for wherever it goes.
    pub fn nickname(&self) -> Option<&str> {
        self.record.nickname()
    }

    /// The avatar's URL, where the user has granted `snsapi_userinfo` and has one.
    pub fn avatar(&self) -> Option<&str> {
        self.record.avatar()
    }

    /// The phone number with its country code, such as `+8613580006666`, where a mini-program's user has given it.
    pub fn phone(&self) -> Option<&str> {
        self.record.phone()
    }

    /// What the user granted in this sign-in.
    pub fn scope(&self) -> Scope {
        self.session.scope()
    }

    /// The moment of the sign-in.
    pub fn signed_in_at(&self) -> Timestamp {
        self.session.signed_in_at()
    }

    /// The headers that tell an upstream who the user is.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let scope = HeaderValue::from_static(self.scope().as_str());
        self.record.headers(self.subject).chain([(SCOPE.clone(), scope)])
    }

    /// The same, for whoever writes them elsewhere.
    #[cfg(feature = "gateway")]
    pub(crate) fn tell(&self, line: &mut dyn FnMut(&HeaderName, &str)) {
        self.record.tell(self.subject, line);
        line(&SCOPE, self.scope().as_str());
    }

    /// What a page of the app may be told.
    #[cfg(feature = "doors")]
    pub(crate) fn told(&self) -> impl serde::Serialize {
        super::me::Me::of(self)
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn record(&self) -> &UserRecord {
        &self.record
    }

    /// A profile that was granted once serves a later silent sign-in too.
    pub(crate) fn known(&self) -> Known {
        if self.record.fetched_at().is_some() { Known::Profile } else { Known::Openid }
    }
}
