//! The proxy: passes requests on to the upstream, by rules of its own. Knows who somebody is, and nothing of logins.

mod connection;
mod cookies;
mod request;
mod response;
mod tunnel;
mod upstream;

pub(super) use connection::LONGEST_IDLE;
pub(super) use connection::UpstreamBody;
pub(super) use request::{BadTarget, check_target, is_websocket, prepare_request};
pub(super) use tunnel::Terms;
pub(super) use upstream::{Failure, Upstream};
pub use upstream::{InvalidUpstream, UpstreamUrl};
