//! In place of WeChat's messages, where the feature is off: no account takes any.

use std::future::{Ready, ready};

use http::request::Parts;
use http_body::Body;

use super::{gate::Gate, pages::Page, respond::Reply};

pub(super) fn are_taken(_: &Gate) -> bool {
    false
}

pub(super) fn answer<B: Body>(_: &Gate, _: &Parts, _: B) -> Ready<Reply> {
    ready(Reply::page(Page::NotFound))
}
