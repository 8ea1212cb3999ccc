//! The words of the protocol as types: accounts, identifiers, scopes, and what the calls answer.

use std::{fmt, time::Duration};

#[cfg(feature = "messages")]
use super::message::MessageKeys;
use super::short::Short;
use crate::secret::{AppSecret, RefreshToken, UserToken};

/// Declares an identifier: a short string of characters that are safe in a header, a URL and a store key. There is one of
/// most kinds for every user who is signed in, so those of the usual length are kept in place.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident in $length:literal, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Short<$length>);

        impl $name {
            #[doc = concat!("Takes an ", $what, " in.")]
            ///
            /// # Errors
            /// When it does not have the form of one.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, value: text.chars().take(64).collect() })
                }
            }

            /// The identifier as WeChat spells it.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

identifier! {
    /// The id of a WeChat account: `wx` and 16 hexadecimal digits. That of a WeCom corp (its corpid) may begin with `ww`.
    AppId in 22, "appid (wx and 16 hexadecimal digits)",
    |text| {
        text.len() == AppId::LENGTH
            && (text.starts_with("wx") || text.starts_with("ww"))
            && text[2..].bytes().all(|b| b.is_ascii_hexdigit())
    }
}

identifier! {
    /// Who a user is for one account. An identifier, never a proof: only WeChat's token endpoint is believed.
    ///
    /// For a WeCom corp it holds a member's `userid`, as the corp's administrators chose it.
    OpenId in 30, "openid", |text| is_user_id(text, b"_-.@")
}

identifier! {
    /// Who a user is for all accounts of one operator, where those are bound to an Open Platform account.
    UnionId in 30, "unionid", |text| is_user_id(text, b"_-")
}

/// Real ones have 28 letters, digits, `_` and `-`; the length is left open. What else a WeCom userid may hold is safe in
/// headers and store keys as well, and has no colon, so that a subject `appid:openid` says where one ends.
fn is_user_id(text: &str, marks: &[u8]) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
}

impl AppId {
    /// How many characters each has.
    pub(crate) const LENGTH: usize = 18;

    /// Whether only a WeCom corp can have it.
    pub fn is_corpid(&self) -> bool {
        self.as_str().starts_with("ww")
    }
}

/// A value that does not have the form of the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not an {what}")]
pub struct InvalidId {
    what: &'static str,
    value: String,
}

/// What kind of WeChat account people sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A verified service account (公众号): inside WeChat, scopes `snsapi_base` and `snsapi_userinfo`.
    OfficialAccount,
    /// A website application (网站应用): any desktop browser, scope `snsapi_login`, by scanning a code.
    Website,
    /// A mini-program (小程序): its own code brings a `js_code`, without any redirect.
    MiniProgram,
    /// A corp at WeCom (企业微信), with one of its apps: its members, inside WeCom or by scanning a code on a desktop.
    Wecom,
}

/// Where the account's own `access_token` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerTokenKind {
    /// `/cgi-bin/stable_token`: whoever asks gets the same token, so several servers may.
    #[default]
    Stable,
    /// `/cgi-bin/token`: each token ends the one before it, five minutes later. For servers that take it from here
    /// because they cannot take the stable one.
    Classic,
}

/// One WeChat account: its id, its secret and its kind.
#[derive(Clone, Debug)]
pub struct Account {
    appid: AppId,
    secret: AppSecret,
    kind: AccountKind,
    agentid: Option<u32>,
    basic_token: ServerTokenKind,
    #[cfg(feature = "messages")]
    message_keys: Option<MessageKeys>,
}

impl Account {
    /// A service account.
    ///
    /// # Errors
    /// When `appid` does not have the form of one.
    pub fn official_account(appid: &str, secret: AppSecret) -> Result<Self, InvalidId> {
        Self::new(appid, secret, AccountKind::OfficialAccount)
    }

    /// A website application.
    ///
    /// # Errors
    /// When `appid` does not have the form of one.
    pub fn website(appid: &str, secret: AppSecret) -> Result<Self, InvalidId> {
        Self::new(appid, secret, AccountKind::Website)
    }

    /// A mini-program.
    ///
    /// # Errors
    /// When `appid` does not have the form of one.
    pub fn mini_program(appid: &str, secret: AppSecret) -> Result<Self, InvalidId> {
        Self::new(appid, secret, AccountKind::MiniProgram)
    }

    /// A WeCom corp and one of its apps, whose secret it is. The app's `agentid` is needed for names and avatars, and
    /// for signing in on a desktop.
    ///
    /// # Errors
    /// When `corpid` does not have the form of one.
    pub fn wecom(corpid: &str, agentid: Option<u32>, secret: AppSecret) -> Result<Self, InvalidId> {
        Ok(Self { agentid, ..Self::new(corpid, secret, AccountKind::Wecom)? })
    }

    fn new(appid: &str, secret: AppSecret, kind: AccountKind) -> Result<Self, InvalidId> {
        let id = AppId::parse(appid)?;
        if kind != AccountKind::Wecom && id.is_corpid() {
            return Err(InvalidId {
                what: "appid (wx and 16 hexadecimal digits), but the corpid of a WeCom corp",
                value: appid.to_owned(),
            });
        }
        Ok(Self {
            appid: id,
            secret,
            kind,
            agentid: None,
            basic_token: ServerTokenKind::default(),
            #[cfg(feature = "messages")]
            message_keys: None,
        })
    }

    /// Takes WeChat's messages that are checked with these keys, at `/_wx/messages`: users who take their authorization
    /// back are forgotten. Default: none are taken.
    #[cfg(feature = "messages")]
    pub fn with_messages(mut self, keys: MessageKeys) -> Self {
        self.message_keys = Some(keys);
        self
    }

    /// Where its own `access_token` comes from. Default: the stable one. A WeCom corp has but one kind.
    pub fn with_basic_token(mut self, kind: ServerTokenKind) -> Self {
        self.basic_token = kind;
        self
    }

    /// The account's id.
    pub fn appid(&self) -> &AppId {
        &self.appid
    }

    /// The account's kind.
    pub fn kind(&self) -> AccountKind {
        self.kind
    }

    /// The WeCom app's id within its corp.
    pub fn agentid(&self) -> Option<u32> {
        self.agentid
    }

    /// Where its own `access_token` comes from.
    pub fn basic_token(&self) -> ServerTokenKind {
        self.basic_token
    }

    pub(crate) fn secret(&self) -> &AppSecret {
        &self.secret
    }

    /// What its messages are checked with, where it takes any.
    #[cfg(feature = "messages")]
    pub fn message_keys(&self) -> Option<&MessageKeys> {
        self.message_keys.as_ref()
    }
}

/// What a sign-in asks a user for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `snsapi_base`: silent, tells the openid.
    Base,
    /// `snsapi_userinfo`: asks for consent, tells nickname and avatar as well.
    Userinfo,
    /// `snsapi_login`: a website application's one scope; tells what `snsapi_userinfo` tells.
    Login,
}

impl Scope {
    /// WeChat's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "snsapi_base",
            Self::Userinfo => "snsapi_userinfo",
            Self::Login => "snsapi_login",
        }
    }

    /// The widest scope of a comma-separated list; an unknown word counts for nothing.
    pub(crate) fn widest(list: &str) -> Self {
        let known = |word: &str| match word.trim() {
            "snsapi_userinfo" => Some(Self::Userinfo),
            "snsapi_login" => Some(Self::Login),
            _ => None,
        };
        list.split(',').filter_map(known).max().unwrap_or(Self::Base)
    }

    /// Whether a token of this scope may ask for the user's nickname and avatar.
    pub const fn has_userinfo(self) -> bool {
        matches!(self, Self::Userinfo | Self::Login)
    }
}

/// The language in which `userinfo` names places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Simplified Chinese.
    #[default]
    ZhCn,
    /// Traditional Chinese.
    ZhTw,
    /// English.
    En,
}

impl Lang {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ZhCn => "zh_CN",
            Self::ZhTw => "zh_TW",
            Self::En => "en",
        }
    }
}

/// What an exchange or a refresh answers.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Whose it is.
    pub openid: OpenId,
    /// The user across accounts; only with `snsapi_userinfo` on a bound account.
    pub unionid: Option<UnionId>,
    /// The widest scope that was granted.
    pub scope: Scope,
    /// Good for `expires_in`.
    pub access_token: UserToken,
    /// Good for thirty days from the authorization. A refresh does not extend that.
    pub refresh_token: Option<RefreshToken>,
    /// How long `access_token` is good for, usually two hours.
    pub expires_in: Duration,
    /// The user is on a snapshot page: openid, unionid and profile are virtual and belong to nobody.
    pub is_snapshot_user: bool,
}

/// What `userinfo` answers. WeChat has left sex, language and place blank since 2021.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Userinfo {
    /// Whose it is.
    pub openid: OpenId,
    /// The user across accounts, where the account is bound.
    pub unionid: Option<UnionId>,
    /// The user is on a snapshot page, which the exchange should have told: all of this is virtual and belongs to nobody.
    pub is_snapshot_user: bool,
    /// Arbitrary Unicode, may be empty; encode it for wherever it goes.
    pub nickname: String,
    /// The avatar's URL; `None` without an avatar. Dies when the user changes the avatar.
    pub headimgurl: Option<String>,
    /// 0 unknown, 1 male, 2 female.
    pub sex: u8,
    /// Usually empty.
    pub language: String,
    /// Usually empty.
    pub city: String,
    /// Usually empty.
    pub province: String,
    /// Usually empty.
    pub country: String,
    /// Usually empty.
    pub privilege: Vec<String>,
}

impl Userinfo {
    /// Whether the grant that this was asked for with is somebody else's.
    pub(crate) fn contradicts(&self, grant: &Grant) -> bool {
        let other = self.unionid.as_ref().zip(grant.unionid.as_ref()).is_some_and(|(a, b)| a != b);
        other || self.openid != grant.openid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_take_what_wechat_sends_and_refuse_what_could_break_a_header() {
        for bad in ["", "wx0123", "gh_0123456789abcde", "wx0123456789abcdeg", "wx0123456789abcdé"]
        {
            assert!(AppId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(AppId::parse("wx0123456789abcdef").is_ok_and(|id| !id.is_corpid()));
        assert!(AppId::parse("ww0123456789abcdef").is_ok_and(|id| id.is_corpid()));
        assert!(OpenId::parse("o6_bmjrPTlm6_2sgVt7hMZOPfL2M").is_ok());
        for bad in ["", "o\r\nX-Evil: 1", "o:x", "o x", &"o".repeat(129)] {
            assert!(OpenId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_wecom_userid_is_an_openid_and_no_unionid() {
        for userid in ["AliceZhang", "zhang.san@corp-1", "a", "7_up", &"u".repeat(64)] {
            assert!(OpenId::parse(userid).is_ok(), "{userid}");
        }
        for bad in ["zhang san", "zhang/san", "a,b", "a=b", "a;b", "张三", "a%40b"] {
            assert!(OpenId::parse(bad).is_err(), "{bad}");
        }
        assert!(UnionId::parse("zhang.san@corp").is_err());
    }

    #[test]
    fn a_corpid_is_for_a_wecom_corp_only() {
        let secret = || AppSecret::new("s");
        for corpid in ["ww0123456789abcdef", "wx0123456789abcdef"] {
            let corp = Account::wecom(corpid, Some(1_000_002), secret()).unwrap();
            assert_eq!((corp.kind(), corp.agentid()), (AccountKind::Wecom, Some(1_000_002)));
        }
        let error = Account::official_account("ww0123456789abcdef", secret()).unwrap_err();
        assert!(error.to_string().ends_with("but the corpid of a WeCom corp"), "{error}");
        assert!(Account::website("ww0123456789abcdef", secret()).is_err());
        assert!(Account::mini_program("ww0123456789abcdef", secret()).is_err());
        let mini_program = Account::mini_program("wx0123456789abcdef", secret()).unwrap();
        assert_eq!(mini_program.basic_token(), ServerTokenKind::Stable);
        let classic = mini_program.with_basic_token(ServerTokenKind::Classic);
        assert_eq!(classic.basic_token(), ServerTokenKind::Classic);
    }

    #[test]
    fn the_widest_scope_of_a_list_counts() {
        assert_eq!(Scope::widest("snsapi_base"), Scope::Base);
        assert_eq!(Scope::widest("snsapi_base,snsapi_userinfo"), Scope::Userinfo);
        assert_eq!(Scope::widest("snsapi_userinfo, snsapi_base"), Scope::Userinfo);
        assert_eq!(Scope::widest("snsapi_new"), Scope::Base);
    }
}
