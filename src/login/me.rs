//! Who is signed in, as `/_wx/me` tells it.

use serde::Serialize;

use super::identity::WechatUser;
use crate::wechat::UnionId;

/// Who is signed in, as `/_wx/me` tells it.
#[derive(Serialize)]
pub(super) struct Me<'a> {
    subject: &'a str,
    /// Only where there is one, which most people never have.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_subject: Option<&'a str>,
    appid: &'a str,
    openid: &'a str,
    unionid: Option<&'a str>,
    scope: &'a str,
    nickname: Option<&'a str>,
    avatar: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    signed_in_at: u64,
}

impl<'a> Me<'a> {
    pub(super) fn of(user: &'a WechatUser) -> Self {
        Self {
            subject: user.subject(),
            former_subject: user.former_subject(),
            appid: user.appid().as_str(),
            openid: user.openid().as_str(),
            unionid: user.unionid().map(UnionId::as_str),
            scope: user.scope().as_str(),
            nickname: user.nickname(),
            avatar: user.avatar(),
            phone: user.phone(),
            signed_in_at: user.signed_in_at().unix(),
        }
    }
}
