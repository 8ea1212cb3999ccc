//! wxgate signs people in with WeChat: a gateway in front of H5 pages, a layer for Rust web apps, and a WeChat to test
//! against.
//!
//! # The layer
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use wxgate::{Account, AppSecret, Origin, Scope, WechatLoginLayer, WechatUser};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let account = Account::official_account("wx0123456789abcdef", AppSecret::from_env("WXGATE_SECRET")?)?;
//!     let wechat = WechatLoginLayer::new(account, Origin::parse("https://h5.example.com")?).scope(Scope::Base);
//!     let app = Router::new()
//!         .route("/me", get(|user: WechatUser| async move { format!("hello {}", user.subject()) }))
//!         .layer(wechat); // last, so that it covers every route
//!     axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! [`login`] says what it does with a request; [`doors`] are the other ways in: desktops that scan a code, mini-programs;
//! [`session`] says where sign-ins are kept; [`keeper`] what an account has in common for all of its users; [`wechat`] is the
//! client alone.
//!
//! # Features
//!
//! | feature | default | what |
//! | --- | --- | --- |
//! | `memory` | yes | the in-process session store |
//! | `redis` | | sessions in Redis: one server, Sentinel or Cluster |
//! | `axum` | yes | `WechatUser` as an extractor |
//! | `tower-sessions` | yes | `tower_sessions::Session` for the app's own data |
//! | `conformance` | | the suite that every session store passes |
//! | `embedded` | | sessions in one file: a restart signs nobody out |
//! | `doors` | | other ways in: a code to scan, mini-programs; and JS-SDK signatures |
//! | `messages` | | WeChat's messages of users who take their authorization back |
//! | `gateway` | | the reverse proxy |
//! | `simulator` | | a WeChat to test against |
//! | `demo` | | a login site, the gateway in front of it, and the simulator behind it |
//! | `full` | | everything; the `wxgate` command is built with it |

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
pub mod clock;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "doors")]
pub mod doors;
#[cfg(all(any(test, fuzzing), feature = "full"))]
pub mod fuzzing;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod keeper;
pub mod login;
pub mod origin;
pub mod secret;
pub mod session;
#[cfg(feature = "simulator")]
pub mod simulator;
mod trust;
pub mod wechat;

pub use login::{Login, WechatLoginLayer, WechatUser};
pub use origin::Origin;
pub use secret::{AppSecret, Code};
pub use wechat::{Account, Scope};
