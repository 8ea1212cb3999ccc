//! The doors of a login: which is at an address, and what they offer.

use http::{StatusCode, request::Parts};
use http_body::Body;

use super::{
    super::{
        PREFIX,
        door::{Call, Door, Doorway},
        identity::WechatUser,
        pages::Page,
        policy::Outside,
        request::{Unread, full_uri, read_small_body},
        respond::Reply,
        return_to::ReturnTo,
    },
    Gate,
};
use crate::wechat::Scope;

impl Gate {
    /// The door that is at a path.
    pub(crate) fn door(&self, path: &str) -> Option<&dyn Doorway> {
        let path = path.strip_prefix(PREFIX)?;
        self.0.doors.iter().map(Door::way).find(|door| door.is_at(path))
    }

    /// Whether it has this for browsers that are not WeChat's.
    pub(crate) fn can_offer(&self, outside: Outside) -> bool {
        match outside {
            Outside::Help => true,
            Outside::Scan => self.0.doors.iter().any(|door| door.way().has_offer()),
            Outside::Website => self.0.website.is_some(),
        }
    }

    /// What the doors offer a browser that is not WeChat's.
    pub(crate) fn offer(&self, head: &Parts, scope: Scope, target: &ReturnTo) -> Option<Reply> {
        self.0.doors.iter().find_map(|door| door.way().offer(self, head, scope, target))
    }

    pub(super) async fn open_door<B: Body>(
        &self,
        head: &Parts,
        body: B,
        user: Option<WechatUser>,
    ) -> Reply {
        let Some(door) = self.door(full_uri(head).path()) else {
            return Reply::page(Page::NotFound);
        };
        let (status, word) = match read_small_body(head, body).await {
            Ok(body) => return door.answer(self, Call { head, body, user }).await,
            Err(Unread::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Err(Unread::CutOff) => (StatusCode::BAD_REQUEST, "incomplete_request"),
        };
        Reply::json(status, &serde_json::json!({ "error": word }))
    }
}
