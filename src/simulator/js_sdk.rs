//! What `wx.config` says to the signature of a page, as the script of a page would hear it.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Shared, TellError, sealed};

/// The body of `POST /_simulator/js-sdk`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    appid: String,
    /// The address of the page.
    url: String,
    timestamp: Timestamp,
    #[serde(alias = "noncestr", rename = "nonceStr")]
    nonce: String,
    signature: String,
}

/// Scripts write it either way.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Timestamp {
    Number(u64),
    Text(String),
}

#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    #[serde(rename = "errMsg")]
    message: &'static str,
}

pub(super) fn config(sim: &Shared, config: &Config) -> Result<Verdict, TellError> {
    let account = sim.world.account(&config.appid);
    let account = account.ok_or_else(|| TellError::NoAccount(config.appid.clone()))?;
    let message = if !Url::parse(&config.url).is_ok_and(|url| account.has_callback_host(&url)) {
        "config:invalid url domain"
    } else if expected(sim, config) == config.signature {
        "config:ok"
    } else {
        "config:invalid signature"
    };
    Ok(Verdict { message })
}

fn expected(sim: &Shared, config: &Config) -> String {
    let (ticket, _) = sim.server_tokens().ticket(&config.appid, sim.clock.seconds());
    let timestamp = match &config.timestamp {
        Timestamp::Number(number) => &number.to_string(),
        Timestamp::Text(text) => text,
    };
    sealed::sign_page(&ticket, &config.nonce, timestamp, &config.url)
}
