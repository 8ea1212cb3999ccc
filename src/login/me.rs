//! Who is signed in, as `/_wx/me` tells it.

use serde::Serialize;

use super::identity::WechatUser;
use crate::wechat::UnionId;

/// Who is signed in, as `/_wx/me` tells it.
#[derive(Serialize)]
pub(super) struct Me<'a> {
    subject: &'a str,
    appid: &'a str,
    openid: &'a str,
    unionid: Option<&'a str>,
    scope: &'a str,
    nickname: Option<&'a str>,
    avatar: Option<&'a str>,
    signed_in_at: u64,
}

impl<'a> Me<'a> {
    pub(super) fn of(user: &'a WechatUser) -> Self {
        Self {
            subject: user.subject(),
            appid: user.appid().as_str(),
            openid: user.openid().as_str(),
            unionid: user.unionid().map(UnionId::as_str),
            scope: user.scope().as_str(),
            nickname: user.nickname(),
            avatar: user.avatar(),
            signed_in_at: user.signed_in_at().unix(),
        }
    }
}
