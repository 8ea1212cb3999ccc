//! `/_wx/jssdk`: signatures that let pages of our own site use WeChat's JS-SDK.
//!
//! `GET /_wx/jssdk?url=` answers `{"appId", "timestamp", "nonceStr", "signature"}`, which is what `wx.config` wants. `url` is
//! the address of the page; a fragment counts for nothing. Others than our own are refused: whoever has a signature acts in
//! the account's name. The script [`/_wx/wx.js`](crate::login#single-page-apps) asks with the right address by
//! `wxgate.jssdk()`.
//!
//! ```
//! use wxgate::{Account, AppSecret, Origin, WechatLoginLayer, doors::JsSdk};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let account = Account::official_account("wx0123456789abcdef", AppSecret::new("..."))?;
//! let wechat = WechatLoginLayer::new(account, Origin::parse("https://h5.example.com")?).door(JsSdk::new());
//! # Ok(()) }
//! ```

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::{
    keeper::KeeperError,
    login::{Call, Door, Doorway, Gate, Page, Reply, parameters},
    origin::Origin,
    wechat::{Kind, Rid, jssdk},
};

const ADDRESS: &str = "/jssdk";
/// What browsers keep of an address is shorter.
const LONGEST_URL: usize = 4096;

/// Signs for the pages of a login's site. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct JsSdk {
    others: Vec<Origin>,
}

impl JsSdk {
    /// For the pages under the login's public URL.
    pub fn new() -> Self {
        Self::default()
    }

    /// For pages under these addresses as well, which are names of the same site.
    pub fn and_pages_of(mut self, origins: impl IntoIterator<Item = Origin>) -> Self {
        self.others.extend(origins);
        self
    }

    pub(crate) fn is_own(&self, gate: &Gate, page: &Url) -> bool {
        let has_nobody = page.username().is_empty() && page.password().is_none();
        let origin = page.origin().ascii_serialization();
        let mut own = std::iter::once(gate.public_url()).chain(&self.others);
        has_nobody && own.any(|own| own.as_str() == origin)
    }
}

impl From<JsSdk> for Door {
    fn from(jssdk: JsSdk) -> Self {
        Self::new(jssdk)
    }
}

#[async_trait]
impl Doorway for JsSdk {
    fn is_at(&self, path: &str) -> bool {
        path == ADDRESS
    }

    async fn answer(&self, gate: &Gate, call: Call<'_>) -> Reply {
        if call.head.method != Method::GET {
            return Reply::page(Page::MethodNotAllowed).for_programs();
        }
        let refuse = |status, word: &str| Reply::json(status, &json!({ "error": word }));
        let Ok([Some(url)]) = parameters(call.query(), ["url"]) else {
            return refuse(StatusCode::BAD_REQUEST, "malformed_request");
        };
        let page = Url::parse(&url).ok().filter(|_| url.len() <= LONGEST_URL);
        let Some(page) = page else { return refuse(StatusCode::BAD_REQUEST, "malformed_request") };
        if !self.is_own(gate, &page) {
            return refuse(StatusCode::FORBIDDEN, "foreign_page");
        }
        let ticket = match gate.keeper().tickets.get(gate.account()).await {
            Ok(ticket) => ticket,
            Err(error) => return failed(gate, &error),
        };
        // Nobody guesses what has been asked for before.
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let timestamp = gate.now().unix();
        let told = json!({
            "appId": gate.account().appid().as_str(),
            "timestamp": timestamp,
            "nonceStr": nonce,
            "signature": jssdk::signature(&ticket.token, &nonce, timestamp, &url),
        });
        Reply::json(StatusCode::OK, &told)
    }
}

fn failed(gate: &Gate, error: &KeeperError) -> Reply {
    if let KeeperError::Store(error) = error {
        return gate.store_down(error).for_programs();
    }
    tracing::error!(%error, "a page gets no JS-SDK signature");
    Reply::json(StatusCode::SERVICE_UNAVAILABLE, &refusal(error))
}

/// What has gone wrong, with the code of WeChat's where there is one.
fn refusal(error: &KeeperError) -> Value {
    let mut told = json!({ "error": "wechat_unavailable" });
    if let KeeperError::Wechat(error) = error
        && let Kind::Refused(code, rid) = error.kind()
    {
        told["errcode"] = code.number().into();
        told["rid"] = rid.as_ref().map(Rid::as_str).into();
    }
    told
}
