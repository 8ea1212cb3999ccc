//! What the API refuses, as numbers and texts.

use std::borrow::Cow;
use std::net::IpAddr;

/// An error on its way to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errcode: i64,
    /// Without the part that names the request.
    pub(super) errmsg: Cow<'static, str>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let (errcode, text) = error.code_and_text();
        let errmsg = match error {
            ApiError::IpNotListed(ip) => {
                let long = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                format!("invalid ip {ip} ipv6 {long}, not in whitelist").into()
            }
            _ => text.into(),
        };
        Self { errcode, errmsg }
    }
}

/// The errors of `api.weixin.qq.com` that the simulator can answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiError {
    Busy,
    InvalidCredential,
    /// The same number for an account's own token, with a longer text.
    InvalidServerToken,
    InvalidGrantType,
    InvalidOpenid,
    InvalidAppid,
    InvalidAccessToken,
    InvalidCode,
    InvalidRefreshToken,
    InvalidUrl,
    InvalidSecret,
    InvalidArgs,
    CodeUsed,
    /// Seen from this address.
    IpNotListed(IpAddr),
    CodeBlocked,
    MissingAccessToken,
    MissingAppid,
    MissingRefreshToken,
    MissingSecret,
    MissingCode,
    MissingOpenid,
    AccessTokenExpired,
    RefreshTokenExpired,
    RequireGet,
    RequirePost,
    DailyQuota,
    MinuteQuota,
    NotJson,
    Unauthorized,
    InvalidSignature,
}

impl ApiError {
    fn code_and_text(self) -> (i64, &'static str) {
        match self {
            Self::Busy => (-1, "system error"),
            Self::InvalidCredential => {
                (40001, "invalid credential, access_token is invalid or not latest")
            }
            Self::InvalidServerToken => (
                40001,
                "invalid credential, access_token is invalid or not latest, could get access_token by \
                 getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
            ),
            Self::InvalidGrantType => (40002, "invalid grant_type"),
            Self::InvalidOpenid => (40003, "invalid openid"),
            Self::InvalidAppid => (40013, "invalid appid"),
            Self::InvalidAccessToken => (40014, "invalid access_token"),
            Self::InvalidCode => (40029, "invalid code"),
            Self::InvalidRefreshToken => (40030, "invalid refresh_token"),
            Self::InvalidUrl => (40066, "invalid url"),
            Self::InvalidArgs => (40097, "invalid args"),
            Self::InvalidSecret => (40125, "invalid appsecret"),
            Self::CodeUsed => (40163, "code been used"),
            Self::IpNotListed(_) => (40164, "invalid ip, not in whitelist"),
            Self::CodeBlocked => (40226, "code blocked"),
            Self::MissingAccessToken => (41001, "access_token missing"),
            Self::MissingAppid => (41002, "appid missing"),
            Self::MissingRefreshToken => (41003, "refresh_token missing"),
            Self::MissingSecret => (41004, "appsecret missing"),
            Self::MissingCode => (41008, "missing code"),
            Self::MissingOpenid => (41009, "missing openid"),
            Self::AccessTokenExpired => (42001, "access_token expired"),
            Self::RefreshTokenExpired => (42002, "refresh_token expired"),
            Self::RequireGet => (43001, "require GET method"),
            Self::RequirePost => (43002, "require POST method"),
            Self::DailyQuota => (45009, "reach max api daily quota limit"),
            Self::MinuteQuota => {
                (45011, "api minute-quota reach limit mustslower retry next minute")
            }
            Self::NotJson => (47001, "data format error"),
            Self::Unauthorized => (48001, "api unauthorized"),
            Self::InvalidSignature => (87009, "invalid signature"),
        }
    }
}
