//! The words of the protocol as types: accounts, identifiers, scopes, and what the calls answer.

use std::{fmt, time::Duration};

#[cfg(feature = "messages")]
use super::message::MessageKeys;
use crate::secret::{AppSecret, RefreshToken, UserToken};

/// Declares an identifier: a short string of characters that are safe in a header, a URL and a store key.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

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
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// The id of a WeChat account: `wx` and 16 hexadecimal digits.
    AppId, "appid (wx and 16 hexadecimal digits)",
    |text| text.len() == 18 && text.starts_with("wx") && text[2..].bytes().all(|b| b.is_ascii_hexdigit())
}

identifier! {
    /// Who a user is for one account. An identifier, never a proof: only WeChat's token endpoint is believed.
    OpenId, "openid", is_user_id
}

identifier! {
    /// Who a user is for all accounts of one operator, where those are bound to an Open Platform account.
    UnionId, "unionid", is_user_id
}

/// Real ones have 28 characters of this alphabet; the length is left open.
fn is_user_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
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
}

/// One WeChat account: its id, its secret and its kind.
#[derive(Clone, Debug)]
pub struct Account {
    appid: AppId,
    secret: AppSecret,
    kind: AccountKind,
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

    fn new(appid: &str, secret: AppSecret, kind: AccountKind) -> Result<Self, InvalidId> {
        Ok(Self {
            appid: AppId::parse(appid)?,
            secret,
            kind,
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

    /// The account's id.
    pub fn appid(&self) -> &AppId {
        &self.appid
    }

    /// The account's kind.
    pub fn kind(&self) -> AccountKind {
        self.kind
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_take_what_wechat_sends_and_refuse_what_could_break_a_header() {
        assert!(AppId::parse("wx0123456789abcdef").is_ok());
        for bad in ["", "wx0123", "gh_0123456789abcde", "wx0123456789abcdeg", "wx0123456789abcdé"]
        {
            assert!(AppId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(OpenId::parse("o6_bmjrPTlm6_2sgVt7hMZOPfL2M").is_ok());
        for bad in ["", "o\r\nX-Evil: 1", "o:x", "o x", &"o".repeat(129)] {
            assert!(OpenId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_widest_scope_of_a_list_counts() {
        assert_eq!(Scope::widest("snsapi_base"), Scope::Base);
        assert_eq!(Scope::widest("snsapi_base,snsapi_userinfo"), Scope::Userinfo);
        assert_eq!(Scope::widest("snsapi_userinfo, snsapi_base"), Scope::Userinfo);
        assert_eq!(Scope::widest("snsapi_new"), Scope::Base);
    }
}
