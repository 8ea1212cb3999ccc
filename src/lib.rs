//! wxgate
pub mod clock;
pub mod secret;
pub mod session;
pub mod wechat;
pub use secret::*;
