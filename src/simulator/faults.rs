//! What the simulated WeChat can be told to do wrong, and how often.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Something that WeChat does wrong, or that people do.
///
/// Each is attested for the real platform. A fault waits until the request that it is about, then happens `times` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The next redirect to the callback comes twice, with one code. See the [module](super#twins).
    TwinSameCode,
    /// The next redirect to the callback comes twice, with one `state` and two codes.
    TwinNewCode,
    /// The next callback is requested again by the simulator itself, without cookies, three hours later. Loopback only.
    ReplayLater,
    /// -1 to an exchange, whose code is used up all the same. With a `path`, to any call, which is done and not told.
    BusyBurnsCode,
    /// -1 to an exchange, whose code stays good. With a `path`, to any call, of which nothing is done.
    BusyKeepsCode,
    /// An answer that comes after `ms` milliseconds of real time, 6000 by default. What was asked is done at once.
    Slow,
    /// What was asked is done, and the connection closes without an answer.
    Drop,
    /// 45009, the daily quota. Nothing is done.
    Quota,
    /// 45011, the quota of a minute; WeCom's 45033. Nothing is done.
    MinuteQuota,
    /// The next exchange is of a snapshot page: virtual openid and profile, `is_snapshotuser` 1.
    Snapshot,
    /// The next exchange is of a snapshot page, and nothing says so.
    SnapshotUnflagged,
    /// The person says no, whatever was tapped: the callback gets the `state` alone.
    DenyStateOnly,
    /// The person says no, and nothing comes back.
    DenySilent,
    /// The next userinfo has raw control characters in the nickname, which is not JSON.
    ControlCharacters,
    /// The next userinfo has a nickname that is not UTF-8.
    BrokenUtf8,
    /// The next userinfo has `sex` as `"1"`, as documentation once showed it.
    SexAsString,
    /// The next exchange, and the userinfo of its token, have no unionid.
    NoUnionid,
    /// 40226 to a mini-program's exchange: WeChat takes the person for dangerous. Nothing is done.
    CodeBlocked,
    /// 40164 to the next `/cgi-bin/token` or `/cgi-bin/stable_token`, whatever the account's `ip_list`.
    IpNotListed,
    /// The next good token of an account is refused with 40001, and is dead from then on. `/cgi-bin/stable_token` goes
    /// on giving it until it is forced to give another. WeCom says 40014, and gives another when asked.
    DeadToken,
    /// The next user data of a mini-program has a `signature` that does not belong to it.
    BadSignature,
    /// The next encrypted data of a mini-program has the watermark of another appid.
    ForeignWatermark,
    /// The next encrypted data of a mini-program has a watermark that is two days old.
    OldWatermark,
}

/// A fault, and when it happens: one entry of `POST /_simulator/faults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultSwitch {
    /// What goes wrong.
    pub fault: Fault,
    /// How often. Default: once.
    #[serde(default = "once")]
    pub times: u32,
    /// For [`Fault::Slow`]: the delay in milliseconds. Default: 6000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Only requests to this path, such as `/sns/userinfo`. Default: every request that the fault can be about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl FaultSwitch {
    /// A switch for any path, with the default delay.
    pub fn new(fault: Fault, times: u32) -> Self {
        Self { fault, times, ms: None, path: None }
    }

    /// Waits so many milliseconds, for [`Fault::Slow`].
    pub fn ms(mut self, ms: u64) -> Self {
        self.ms = Some(ms);
        self
    }

    /// Only for requests to this path.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    fn is_about(&self, path: &str) -> bool {
        match &self.path {
            Some(only) => only == path,
            None => self.fault.is_about(path),
        }
    }
}

impl Fault {
    /// Which requests the fault can happen to, where no path narrows it.
    fn is_about(self, path: &str) -> bool {
        match self {
            Self::Slow | Self::Drop | Self::Quota | Self::MinuteQuota => path.starts_with("/sns/"),
            Self::BusyBurnsCode | Self::BusyKeepsCode => {
                matches!(
                    path,
                    "/sns/oauth2/access_token"
                        | "/sns/jscode2session"
                        | "/cgi-bin/auth/getuserinfo"
                        | "/cgi-bin/user/getuserinfo"
                )
            }
            Self::Snapshot | Self::SnapshotUnflagged | Self::NoUnionid => {
                path == "/sns/oauth2/access_token"
            }
            Self::CodeBlocked => path == "/sns/jscode2session",
            Self::IpNotListed => matches!(path, "/cgi-bin/token" | "/cgi-bin/stable_token"),
            Self::DeadToken => path.starts_with("/cgi-bin/") || path.starts_with("/wxa/"),
            Self::BadSignature => path == "/_simulator/mini-program/user-data",
            Self::ForeignWatermark | Self::OldWatermark => {
                path.starts_with("/_simulator/mini-program/")
            }
            Self::ControlCharacters | Self::BrokenUtf8 | Self::SexAsString => {
                path == "/sns/userinfo"
            }
            Self::TwinSameCode
            | Self::TwinNewCode
            | Self::ReplayLater
            | Self::DenyStateOnly
            | Self::DenySilent => matches!(
                path,
                "/connect/oauth2/authorize" | "/connect/qrconnect" | "/wwlogin/sso/login"
            ),
        }
    }
}

/// The faults that are still to happen, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pending: Mutex<Vec<FaultSwitch>>,
}

impl Faults {
    pub(super) fn add(&self, switches: impl IntoIterator<Item = FaultSwitch>) {
        let mut pending = self.lock();
        pending.extend(switches.into_iter().filter(|switch| switch.times > 0));
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn all(&self) -> Vec<FaultSwitch> {
        self.lock().clone()
    }

    /// Whether `fault` happens to this request, which uses up one of its times.
    pub(super) fn takes(&self, fault: Fault, path: &str) -> bool {
        self.take(fault, path).is_some()
    }

    /// Like [`Faults::takes`], with the switch for its details.
    pub(super) fn take(&self, fault: Fault, path: &str) -> Option<FaultSwitch> {
        let mut pending = self.lock();
        let index =
            pending.iter().position(|switch| switch.fault == fault && switch.is_about(path))?;
        let switch = pending[index].clone();
        pending[index].times -= 1;
        if pending[index].times == 0 {
            pending.remove(index);
        }
        Some(switch)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FaultSwitch>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_as_often_as_asked_and_only_where_asked() {
        let faults = Faults::default();
        faults.add([FaultSwitch::new(Fault::Drop, 2).path("/sns/userinfo")]);
        assert!(!faults.takes(Fault::Drop, "/sns/auth"));
        assert!(faults.takes(Fault::Drop, "/sns/userinfo"));
        assert!(faults.takes(Fault::Drop, "/sns/userinfo"));
        assert!(!faults.takes(Fault::Drop, "/sns/userinfo"));
    }

    #[test]
    fn an_unknown_fault_is_refused_with_the_names_that_exist() {
        assert!(serde_json::from_str::<FaultSwitch>(r#"{"fault":"twin_same_code"}"#).is_ok());
        let error = serde_json::from_str::<FaultSwitch>(r#"{"fault":"gremlins"}"#).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("gremlins") && text.contains("broken_utf8"), "{text}");
    }
}
