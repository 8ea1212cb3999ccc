//! Other ways in than a page of our own, one file each. Each ends in a session that [`login`](crate::login) has made.

#[cfg(feature = "gateway")]
pub(crate) mod facade;
mod follow_code;
pub mod jssdk;
pub mod mini_program;
pub mod scan;

pub use follow_code::{BadPicture, FollowCode};
pub use jssdk::JsSdk;
pub use mini_program::MiniProgram;
pub use scan::Scan;

// What the documentation shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/doors.md")]
mod documented {}
