//! A phone that runs a mini-program: what `wx.login`, `wx.getUserProfile` and the phone-number button give it.

use serde::{Deserialize, Serialize};

use super::answer::json;
use super::faults::Fault;
use super::mini_program::SCOPE;
use super::sealed::{self, Sealed};
use super::world::{Account, AccountKind, User};
use super::{Shared, Simulator, TellError, profile};

pub(super) const USER_DATA: &str = "/_simulator/mini-program/user-data";
pub(super) const PHONE: &str = "/_simulator/mini-program/phone";

const TWO_DAYS: u64 = 2 * 24 * 60 * 60;
/// Whose watermark is on data that was meant for somebody else.
const FOREIGN_APPID: &str = "wxfffffffffffffffe";

/// A person's phone while it runs a mini-program: see [`Simulator::mini_program`].
#[derive(Debug, Clone)]
pub struct MiniProgramPhone {
    sim: Shared,
    appid: String,
    user: String,
}

/// The answer of `wx.getUserProfile`, as a mini-program sends it to its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UserData {
    /// The profile as JSON text. What is signed is this text, byte by byte.
    #[serde(rename = "rawData")]
    pub raw_data: String,
    /// SHA-1 of `rawData` and the session key, hexadecimal.
    pub signature: String,
    /// The profile with openid, unionid and watermark.
    #[serde(flatten)]
    pub sealed: Sealed,
}

/// The body of `POST /_simulator/mini-program` and of what is below it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    user: String,
    appid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    nick_name: &'a str,
    gender: u8,
    language: &'static str,
    city: &'static str,
    province: &'static str,
    country: &'static str,
    avatar_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WholeProfile<'a> {
    open_id: &'a str,
    #[serde(flatten)]
    profile: Profile<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    union_id: Option<&'a str>,
    watermark: Watermark<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    phone_number: &'a str,
    pure_phone_number: &'a str,
    country_code: &'a str,
    watermark: Watermark<'a>,
}

#[derive(Serialize)]
struct Watermark<'a> {
    timestamp: u64,
    appid: &'a str,
}

impl Simulator {
    /// A person's phone that runs a mini-program.
    pub fn mini_program(&self, user: &str, appid: &str) -> Result<MiniProgramPhone, TellError> {
        MiniProgramPhone::of(&self.sim, user, appid)
    }
}

impl MiniProgramPhone {
    /// As a script asks for it.
    pub(super) fn told(sim: &Shared, who: &Who) -> Result<Self, TellError> {
        Self::of(sim, &who.user, &who.appid)
    }

    fn of(sim: &Shared, user: &str, appid: &str) -> Result<Self, TellError> {
        let (user, account) = sim.told_of(user, appid, AccountKind::MiniProgram)?;
        Ok(Self { sim: sim.clone(), appid: account.appid.clone(), user: user.name.clone() })
    }

    /// `wx.login`: a fresh `js_code`, and a fresh session key, for which the code will be exchanged.
    pub fn login(&self) -> String {
        self.sim.session_keys().rotate(&self.appid, &self.user);
        let now = self.sim.clock.seconds();
        self.sim.grants().issue_code(&self.appid, &self.user, SCOPE, now)
    }

    /// `wx.getUserProfile`: the profile, signed and encrypted with the session key of the last sign-in.
    pub fn user_data(&self) -> Result<UserData, TellError> {
        let (user, account) = self.who()?;
        let key = self.session_key()?;
        let avatar = profile::picture(user, &self.sim.url);
        let profile = || Profile {
            nick_name: &user.nickname,
            gender: 0,
            language: "",
            city: "",
            province: "",
            country: "",
            avatar_url: &avatar,
        };
        let raw_data = String::from_utf8_lossy(&json(&profile())).into_owned();
        let mut signature = sealed::sign_raw_data(&raw_data, &key);
        if self.sim.faults.takes(Fault::BadSignature, USER_DATA) {
            signature = sealed::sign_raw_data(&raw_data, "");
        }
        let unionid = user.unionid().filter(|_| account.open_platform);
        let whole = json(&WholeProfile {
            open_id: &user.openid(&self.appid),
            profile: profile(),
            union_id: unionid.as_deref(),
            watermark: self.watermark(USER_DATA),
        });
        Ok(UserData { raw_data, signature, sealed: sealed::seal(&key, &whole) })
    }

    /// The phone number that the person agreed to give, encrypted with the session key of the last sign-in.
    pub fn phone_number(&self) -> Result<Sealed, TellError> {
        let (user, _) = self.who()?;
        let key = self.session_key()?;
        let (country, number) = user.phone();
        // A number abroad is written with its country.
        let whole = if country == "86" { number.clone() } else { format!("+{country}{number}") };
        let payload = json(&Payload {
            phone_number: &whole,
            pure_phone_number: &number,
            country_code: &country,
            watermark: self.watermark(PHONE),
        });
        Ok(sealed::seal(&key, &payload))
    }

    fn who(&self) -> Result<(&User, &Account), TellError> {
        self.sim.told_of(&self.user, &self.appid, AccountKind::MiniProgram)
    }

    fn session_key(&self) -> Result<String, TellError> {
        let keys = self.sim.session_keys();
        let key = keys.of(&self.appid, &self.user).map(str::to_owned);
        key.ok_or_else(|| TellError::NoSession {
            user: self.user.clone(),
            appid: self.appid.clone(),
        })
    }

    fn watermark(&self, path: &str) -> Watermark<'_> {
        let now = self.sim.clock.seconds();
        let old = self.sim.faults.takes(Fault::OldWatermark, path);
        let foreign = self.sim.faults.takes(Fault::ForeignWatermark, path);
        Watermark {
            timestamp: if old { now - TWO_DAYS } else { now },
            appid: if foreign { FOREIGN_APPID } else { &self.appid },
        }
    }
}
