//! Other ways in than a page of our own, one file each. Each ends in a session that [`login`](crate::login) has made.

#[cfg(feature = "gateway")]
pub(crate) mod facade;
pub mod scan;

pub use scan::Scan;
