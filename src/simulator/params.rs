//! The parameters of a request: the query, and a form's body after it.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::Method;
use url::form_urlencoded;

/// Names and values in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn first(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The value, or `missing` where there is none or an empty one.
    pub(super) fn required<E>(&self, wanted: &str, missing: E) -> Result<&str, E> {
        self.first(wanted).filter(|value| !value.is_empty()).ok_or(missing)
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let mut params = Self::parse(request.uri().query().unwrap_or_default().as_bytes());
        if request.method() == Method::POST {
            // A body too long for a form has no parameters.
            let body = Bytes::from_request(request, state).await;
            params.0.extend(Self::parse(&body.unwrap_or_default()).0);
        }
        Ok(params)
    }
}
