//! The tower middleware: a layer that signs people in with WeChat.
//!
//! [`WechatLoginLayer`] wraps any `Service<Request<B>>`. Each request is judged by one pure function,
//! [`decide`](decision::decide), from the path's [`Login`] policy and the request's session:
//!
//! - a **page** without a sign-in is redirected to WeChat and comes back to where it was going;
//! - a **script** gets 401 and `{"error": "...", "login_url": "..."}`;
//! - a request that passes carries a [`WechatUser`].
//!
//! The layer answers a few endpoints by itself: `/_wx/login`, `/_wx/callback`, `/_wx/logout`, `/_wx/me`, the script
//! `/_wx/wx.js` for single-page apps, and `/_wx/accept` on a site that [signs people in
//! elsewhere](WechatLoginLayer::sign_in_at). With the feature `messages`, and an account that has the keys for it, WeChat
//! tells `/_wx/messages` of users who take their authorization back; they are forgotten, and their sessions end.
//!
//! # Where to put it
//!
//! Last, so that it is outermost: `Router::layer` covers the routes that were added before it. The endpoints
//! need no route of their own. A nested router's layer sees only what lies below its prefix, so `/_wx/callback` would
//! not reach it. In front of another router, everything works from outside as well: `layer.layer(router)`.
//!
//! # Targets
//!
//! A browser comes back to where it was going, as long as that is unmistakably on the site: a path with an encoded
//! space, control character, slash or backslash comes back to `/` instead, and so does a target of more than 2048
//! characters. A fragment that makes it longer than that is left out. Queries may hold anything.
//!
//! # Single-page apps
//!
//! `<script src="/_wx/wx.js"></script>` gives a page four things:
//!
//! - `wxgate.user`: a promise of what `/_wx/me` tells, or of `null` where nobody is signed in;
//! - `wxgate.login(scope)`: signs in, for `"base"` (the default) or `"userinfo"`, and comes back to this address with its
//!   query and fragment. Ask for `"userinfo"` when somebody has tapped something, or WeChat shows a snapshot page;
//! - `wxgate.fetch`: as `fetch`. Where the answer is 401 and the gateway's, the page leaves for a sign-in, once, however
//!   many requests are under way; they stay unanswered, since the page is loaded anew. Any other 401 is handed on;
//! - `wxgate.jssdk()`: a promise of what `wx.config` wants for this page, where the login has the door for it.
//!
//! With `?account=NAME` the script speaks of that account of the site. Not as a module: it looks for its own address.
//! Where the first answer to a page is to keep its fragment, see [`Demand::keep_fragment`].
//!
//! # Other ways in
//!
//! What is not WeChat's browser is [offered](WechatLoginLayer::outside_wechat) a page that says how to open the address there;
//! or a sign-in with a [website application](WechatLoginLayer::website), into the same session. An account of WeCom signs
//! members in, in WeCom and on desktops. A path can be for [followers only](Demand::followers_only).
//!
//! With the feature `doors`, [`WechatLoginLayer::door`] opens more, at addresses of their own:
//!
//! | door | what |
//! | --- | --- |
//! | `doors::Scan` | a code on a desktop that a phone scans; goes with [`Outside::Scan`] |
//! | `doors::MiniProgram` | `/_wx/mini-program/login` and what mini-programs need beside it |
//! | `doors::JsSdk` | `/_wx/jssdk`: signatures for pages that use WeChat's JS-SDK |
//! | `doors::FollowCode` | the picture of the account's code for those who do not follow it yet |
//!
//! One person has another openid at each account; [`WechatLoginLayer::subject`] makes the unionid the one name.
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
pub(crate) mod attempt;
mod body;
pub(crate) mod callback;
mod client_addr;
pub mod decision;
// Doors alone look through it.
#[cfg_attr(not(feature = "doors"), allow(dead_code))]
mod door;
#[cfg(feature = "axum")]
mod extract;
mod follower;
mod future;
mod gate;
mod identity;
#[cfg(all(test, feature = "conformance", feature = "memory"))]
pub(crate) mod interleaved;
mod layer;
mod log_out;
mod me;
#[cfg(feature = "messages")]
mod messages;
#[cfg(not(feature = "messages"))]
#[path = "no_messages.rs"]
mod messages;
mod observe;
mod once;
pub mod pages;
mod parameters;
pub(crate) mod path;
pub(crate) mod pattern;
mod plain;
mod policy;
mod refresh;
mod request;
mod respond;
mod return_to;
mod service;
mod sign_in;
mod start;
pub(crate) mod state;
pub(crate) mod ticket;
#[cfg(feature = "doors")]
mod vouch;
mod wecom;
mod words;

#[cfg(feature = "bench")]
pub(crate) use attempt::{Attempt, Start};
pub use body::LoginBody;
pub use client_addr::ClientAddr;
pub use door::Door;
#[cfg(feature = "axum")]
pub use extract::NoUser;
pub use future::ResponseFuture;
pub use gate::{Attended, Gate, Pending, Verdict, Visitor};
pub use identity::WechatUser;
pub use layer::WechatLoginLayer;
pub use observe::{Event, Observer, Revoked, ScanStep};
pub use pattern::{InvalidPattern, PathPattern};
pub use plain::PlainPages;
pub use policy::{Demand, Login, Outside, Policy};
pub use respond::Look;
#[cfg(any(feature = "bench", feature = "doors"))]
pub(crate) use return_to::ReturnTo;
pub use service::WechatLogin;
#[cfg(feature = "doors")]
pub(crate) use {
    attempt::{LIFE as PENDING_LIFE, SCAN},
    decision::{Known, agent_says, is_inside, is_same_origin},
    door::{Call, Doorway},
    follower::CODE as FOLLOW_CODE,
    pages::{DoorPage, Page, Tongue},
    request::{full_uri, parameter, parameters},
    respond::Reply,
    sign_in::{Proof, carry_over, sign_in},
    vouch::Voucher,
};
#[cfg(feature = "gateway")]
pub(crate) use {
    callback::Flights,
    decision::{Asker, Endpoint, is_navigation},
    path::canonicalise,
    pattern::{Rule, TwoReadings, first_fit},
    respond::{is_form, json as json_reply, nonce},
    start::ACCOUNT,
    ticket::SignInSite,
};

/// What the paths of our own endpoints begin with.
pub const PREFIX: &str = "/_wx";
const LOGOUT: &str = "/_wx/logout";
