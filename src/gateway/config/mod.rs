//! The configuration of a gateway: read from a file or made from flags, checked as a whole.
//!
//! [`KEYS`] lists what a file may say. Everything that is wrong is reported at once, see [`Problems`]; a configuration
//! that is wrong anywhere is not used at all. Relative paths are relative to the folder of the file.
//!
//! ```
//! use std::path::Path;
//! use wxgate::gateway::config::Config;
//!
//! let text = r#"
//!     [account.main]
//!     appid = "wx0123456789abcdef"
//!
//!     [site.h5]
//!     public_url = "https://h5.example.com"
//!     upstream = "http://127.0.0.1:3000"
//! "#;
//! let env = |name: &str| (name == "WXGATE_ACCOUNT_MAIN_SECRET").then(|| "0123456789abcdef0123456789abcdef".into());
//! let config = Config::from_toml(text, Path::new("."), &env)?;
//! assert_eq!(config.sites["h5"].public_url.as_str(), "https://h5.example.com");
//! # Ok::<(), wxgate::gateway::config::Problems>(())
//! ```

mod account;
mod checks;
mod data;
mod files;
mod flags;
pub mod keys;
mod kinds;
mod problem;
mod read;
mod reader;
mod route;
mod server;
mod site;
mod store;
mod summary;
mod unknown;
mod urls;
mod values;

#[cfg(test)]
mod tests;

pub use data::{
    AssertionConfig, ClientApp, Config, Inject, Limits, LogFormat, PathRule, ProofFile, RedisPlace,
    Route, SessionConfig, Site, StoreKind, TlsFiles,
};
pub use flags::Flags;
pub use keys::{KEYS, Key};
pub use problem::{Problem, Problems};
