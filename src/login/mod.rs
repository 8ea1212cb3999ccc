//! The tower middleware: a layer that signs people in with WeChat.
//!
//! [`WechatLoginLayer`] wraps any `Service<Request<B>>`. Each request is judged by one pure function,
//! [`decide`](decision::decide), from the path's [`Login`] policy and the request's session:
//!
//! - a **page** without a sign-in is redirected to WeChat and comes back to where it was going;
//! - a **script** gets 401 and `{"error": "...", "login_url": "..."}`;
//! - a request that passes carries a [`WechatUser`].
//!
//! The layer answers four endpoints by itself: `/_wx/login`, `/_wx/callback`, `/_wx/logout` and `/_wx/me`.
//!
//! # Where to put it
//!
//! Last, so that it is outermost: `Router::layer` covers the routes that were added before it. The four endpoints
//! need no route of their own. A nested router's layer sees only what lies below its prefix, so `/_wx/callback` would
//! not reach it. In front of another router, everything works from outside as well: `layer.layer(router)`.
//!
//! # Targets
//!
//! A browser comes back to where it was going, as long as that is unmistakably on the site: a path with an encoded
//! space, control character, slash or backslash comes back to `/` instead, and so does a target of more than 2048
//! characters. Queries may hold anything.
//!
//! # The app's own session data
//!
//! With the feature `tower-sessions`, handlers use `tower_sessions::Session` as they know it, without its manager
//! layer. It has the sign-in's cookie, id and lifetime, is loaded when a handler touches it, saved after the response
//! (not after a 5xx), and starts empty at each sign-in. Where nobody is signed in there is no place for data: saving
//! some is an error and makes the response a 500.

#[cfg(feature = "tower-sessions")]
mod app_data;
#[cfg(not(feature = "tower-sessions"))]
#[path = "no_app_data.rs"]
mod app_data;
mod attempt;
mod body;
mod callback;
pub mod decision;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod gate;
mod identity;
mod layer;
mod log_out;
mod me;
pub mod pages;
mod path;
mod plain;
mod policy;
mod refresh;
mod request;
mod respond;
mod return_to;
mod service;
mod sign_in;
mod start;
mod state;
mod words;

pub use body::LoginBody;
#[cfg(feature = "axum")]
pub use extract::NoUser;
pub use future::ResponseFuture;
pub use gate::{Attended, Gate, Pending, Verdict, Visitor};
pub use identity::WechatUser;
pub use layer::WechatLoginLayer;
pub use plain::PlainPages;
pub use policy::{Login, Policy};
pub use respond::Look;
pub use service::WechatLogin;
#[cfg(feature = "gateway")]
pub(crate) use {
    decision::is_navigation,
    pages::Tongue,
    respond::{is_form, json, nonce},
};

/// What the paths of our own endpoints begin with.
pub const PREFIX: &str = "/_wx";
const LOGOUT: &str = "/_wx/logout";
