//! wxgate
pub mod clock;
pub mod login;
pub mod origin;
pub mod secret;
pub mod session;
pub mod wechat;
pub use secret::*;
