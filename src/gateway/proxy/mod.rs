//! The proxy: passes requests on to upstreams, by rules of its own. Knows who somebody is, and nothing of logins.

mod body;
mod cookies;
mod failure;
mod files;
mod hop_by_hop;
mod http1;
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
pub(crate) use cookies::tell_theirs;
pub(super) use failure::Failure;
pub(super) use http1::LONGEST_IDLE;
#[cfg(any(test, fuzzing))]
pub(crate) use http1::read_apart;
#[cfg(feature = "bench")]
pub(crate) use http1::write_head;
#[cfg(any(test, fuzzing, feature = "bench"))]
pub(crate) use request::Length;
#[cfg(any(test, fuzzing))]
pub(crate) use request::tell;
pub(crate) use request::{Forwarding, Identity, Lines};
pub(crate) use rewrite::rewrite;
pub(crate) use target::check_target;
pub(super) use tunnel::Terms;
pub(super) use upstream::{Exchange, Upstream};
pub use url::{InvalidUpstream, UpstreamSpec, UpstreamUrl};

/// How large the head of an answer may be, in bytes, whatever the upstream speaks.
const LARGEST_HEAD: u32 = 64 * 1024;
