//! The proxy: passes requests on to upstreams, by rules of its own. Knows who somebody is, and nothing of logins.

mod body;
mod connection;
mod cookies;
mod failure;
mod files;
mod jail;
mod patience;
mod peer;
mod plain;
mod request;
mod request_body;
mod response;
mod rewrite;
mod shared;
mod target;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;
mod url;

pub(super) use body::UpstreamBody;
pub(super) use connection::LONGEST_IDLE;
pub(crate) use cookies::cut_ours;
pub(super) use failure::Failure;
pub(crate) use request::{Forwarding, identify, is_websocket, prepare_request};
pub(crate) use target::check_target;
pub(super) use tunnel::Terms;
pub(super) use upstream::{Exchange, Upstream};
pub use url::{InvalidUpstream, UpstreamSpec, UpstreamUrl};
