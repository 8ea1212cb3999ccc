//! One request, as far as the pages care, and its answer.

use std::convert::Infallible;

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;

use super::{
    SiteFacts,
    lang::{LANG_COOKIE, Lang},
    visitor::{Received, Visitor, cookies, received},
};

/// One request, as far as the pages care.
pub(super) struct Visit {
    pub(super) lang: Lang,
    /// The language was chosen just now, with `?lang=`.
    chosen: bool,
    pub(super) user: Option<Visitor>,
    pub(super) received: Vec<Received>,
    /// A cookie of the gateway arrived, which must never happen.
    pub(super) leaked: bool,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let chosen = parts
            .uri
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")))
            .and_then(Lang::from_tag);
        let headers = &parts.headers;
        let lang = chosen
            .or_else(|| {
                cookies(headers)
                    .find(|(name, _)| name == LANG_COOKIE)
                    .and_then(|(_, tag)| Lang::from_tag(&tag))
            })
            .unwrap_or_else(|| Lang::preferred(headers));
        Ok(Self {
            lang,
            chosen: chosen.is_some(),
            user: Visitor::from_headers(headers),
            received: received(headers),
            leaked: cookies(headers)
                .any(|(name, _)| name.trim_start_matches("__Host-").starts_with("wxgate")),
        })
    }
}

/// An answer for a script.
pub(super) fn tell(told: &Value) -> Response {
    let fixed = [(CACHE_CONTROL, "no-store"), (CONTENT_TYPE, "application/json")];
    (fixed, told.to_string()).into_response()
}

impl Visit {
    pub(super) fn has_cookies(&self) -> bool {
        self.received.iter().any(|header| header.name == COOKIE)
    }

    pub(super) fn answer(
        &self,
        facts: &SiteFacts,
        status: StatusCode,
        page: &impl Template,
    ) -> Response {
        let Ok(html) = page.render() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let fixed = [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        let mut answer = (status, fixed, Html(html)).into_response();
        if self.chosen
            && let Ok(cookie) = self.lang.cookie(facts.public_url.starts_with("https://")).parse()
        {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        answer
    }
}
