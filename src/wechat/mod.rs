//! A client for WeChat: the authorize URL, a user's calls and the account's own. Knows nothing of sessions or of serving HTTP.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wxgate::wechat::{Account, AuthorizeUrl, Client, Endpoints, Lang, Scope};
//! use wxgate::{AppSecret, Code};
//!
//! let account = Account::official_account("wx0123456789abcdef", AppSecret::from_env("WXGATE_SECRET")?)?;
//! let client = Client::new(Endpoints::default());
//!
//! let url = AuthorizeUrl::new(&account, "https://h5.example.com/back", Scope::Userinfo, "a1B2c3")
//!     .build(client.endpoints())?;
//! // ... the browser goes to `url` and comes back with a code ...
//! let grant = client.exchange(&account, &Code::new("071AdBVI1ZHOd509MKUI1jwjVI1AdBVV")).await?;
//! let user = client.userinfo(&grant.access_token, &grant.openid, Lang::ZhCn).await?;
//! # Ok(()) }
//! ```

mod authorize;
mod client;
#[cfg(any(feature = "doors", feature = "messages"))]
mod digest;
mod endpoints;
mod errcode;
mod error;
#[cfg(feature = "doors")]
pub mod jssdk;
#[cfg(feature = "messages")]
mod message;
mod mini_program;
#[cfg(test)]
pub(crate) mod played;
mod server_token;
mod short;
mod types;
mod wecom;
pub(crate) mod wire;

pub use authorize::{AuthorizeUrl, InvalidAuthorizeUrl};
pub use client::{Backoff, Client, ClientBuilder};
pub use endpoints::Endpoints;
pub use errcode::{ErrCode, Fault, Reaction};
pub use error::{AnswerFault, Call, Error, Kind, Rid};
#[cfg(feature = "messages")]
pub use message::{BadMessage, InvalidAesKey, Malformed, Message, MessageKeys, Stamp};
pub use mini_program::MiniProgramSession;
#[cfg(feature = "doors")]
pub use mini_program::{BadOpenData, Expected, OpenData, PhoneNumber, UserData, hmac_sha256};
pub use server_token::{Follower, IssuedTicket, IssuedToken};
pub use types::{
    Account, AccountKind, AppId, Grant, InvalidId, Lang, OpenId, Scope, ServerTokenKind, UnionId,
    Userinfo,
};
pub use wecom::WecomUser;
