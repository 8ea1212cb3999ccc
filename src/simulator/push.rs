//! WeChat's messages to the message server of an account, signed and, where there is a key, encrypted.

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use http::Method;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Shared, ids, outgoing, sealed};

/// A key of 43 letters and digits holds two bits more than 32 bytes, which may be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What is to be sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Push {
    /// Such as `user_authorization_revoke`.
    event: String,
    appid: String,
    /// Whom it is about, by name.
    user: String,
    /// The account's message server, on this machine.
    url: String,
    token: String,
    /// The `EncodingAESKey`, for 安全模式.
    #[serde(default)]
    aes_key: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Xml,
    Json,
}

/// What came back.
#[derive(Debug, Serialize)]
pub(super) struct Pushed {
    status: u16,
    body: String,
}

/// Sends a message as WeChat does. What cannot be sent is told in words.
pub(super) async fn push(sim: &Shared, push: Push) -> Result<Pushed, String> {
    let user = sim.world.user(&push.user);
    let user = user.ok_or_else(|| format!("there is no user {:?}", push.user))?;
    if sim.world.account(&push.appid).is_none() {
        return Err(format!("there is no account {:?}", push.appid));
    }
    let openid = user.openid(&push.appid);
    let timestamp = sim.clock.seconds().to_string();
    let nonce = ids::number().to_string();
    let signature = sign(&[&push.token, &timestamp, &nonce]);

    let original = "gh_0123456789ab";
    let mut message = write(
        push.format,
        &[
            ("ToUserName", original),
            ("FromUserName", &openid),
            ("CreateTime", &timestamp),
            ("MsgType", "event"),
            ("Event", &push.event),
            ("OpenID", &openid),
            ("AppID", &push.appid),
            ("RevokeInfo", "1"),
        ],
    );
    let mut url = Url::parse(&push.url).map_err(|error| format!("{:?}: {error}", push.url))?;
    url.query_pairs_mut()
        .append_pair("signature", &signature)
        .append_pair("timestamp", &timestamp)
        .append_pair("nonce", &nonce)
        .append_pair("openid", &openid);
    if let Some(key) = &push.aes_key {
        let sealed = encrypt(key, &message, &push.appid)?;
        let signature = sign(&[&push.token, &timestamp, &nonce, &sealed]);
        url.query_pairs_mut()
            .append_pair("encrypt_type", "aes")
            .append_pair("msg_signature", &signature);
        message = write(push.format, &[("ToUserName", original), ("Encrypt", &sealed)]);
    }
    match outgoing::send(Method::POST, &url, message).await {
        None => Err("messages are sent to plain http on loopback addresses only".to_owned()),
        Some(Err(error)) => Err(format!("the message server does not answer: {error}")),
        Some(Ok(answer)) => Ok(Pushed { status: answer.status, body: answer.body }),
    }
}

fn sign(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    sealed::sha1_hex(&parts)
}

fn write(format: Format, fields: &[(&str, &str)]) -> String {
    match format {
        Format::Xml => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, text)| match text.parse::<u64>() {
                    Ok(number) => format!("<{name}>{number}</{name}>\n"),
                    Err(_) => format!("<{name}><![CDATA[{text}]]></{name}>\n"),
                })
                .collect();
            format!("<xml>\n{}</xml>", fields.concat())
        }
        Format::Json => {
            let fields = fields.iter().map(|(name, text)| match text.parse::<u64>() {
                Ok(number) => ((*name).to_owned(), number.into()),
                Err(_) => ((*name).to_owned(), (*text).into()),
            });
            serde_json::Value::Object(fields.collect()).to_string()
        }
    }
}

/// AES-256-CBC over 16 random bytes, the message's length, the message and the appid, filled up to whole 32 bytes.
fn encrypt(key: &str, message: &str, appid: &str) -> Result<String, String> {
    const NO_KEY: &str = "aes_key is not an EncodingAESKey: 43 letters and digits";
    let key = BASE64.decode(format!("{key}=")).map_err(|_| NO_KEY)?;
    let vector = key.get(..16).ok_or(NO_KEY)?;
    let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&key, vector);
    let cipher = cipher.map_err(|_| NO_KEY)?;
    let length = u32::try_from(message.len()).map_err(|_| "the message is too long")?;
    let mut plain = ids::random::<16>().to_vec();
    plain.extend(length.to_be_bytes());
    plain.extend(message.as_bytes());
    plain.extend(appid.as_bytes());
    let padding = 32 - plain.len() % 32;
    let filler = u8::try_from(padding).map_err(|_| "the padding is at most 32 bytes")?;
    plain.resize(plain.len() + padding, filler);
    Ok(BASE64.encode(cipher.encrypt_padded_vec::<NoPadding>(&plain)))
}
