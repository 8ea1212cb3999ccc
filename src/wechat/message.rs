//! What WeChat sends to an account's message server: whether it is from WeChat, and what it says. Knows nothing of serving HTTP.
//!
//! ```
//! use wxgate::wechat::{AppId, MessageKeys, Stamp};
//! use wxgate::secret::MessageToken;
//!
//! let keys = MessageKeys::new(MessageToken::new("spring"));
//! let stamp = Stamp { timestamp: "1700000000", nonce: "42" };
//! assert!(keys.has_signed(stamp, "9b3e0a68171d1c2f8e974272e0135d7b1bf95f19"));
//! assert!(!keys.has_signed(stamp, "0000000000000000000000000000000000000000"));
//!
//! let appid = AppId::parse("wx0123456789abcdef")?;
//! let message = keys.read(&appid, b"<xml><Event><![CDATA[user_info_modified]]></Event></xml>", stamp, None)?;
//! assert_eq!(message.field("Event"), Some("user_info_modified"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fields;

use std::sync::Arc;

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::NoPadding};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretBox};
use subtle::ConstantTimeEq;

use super::{digest::sha1_hex, types::AppId};
use crate::secret::{EncodingAesKey, MessageToken};

pub use fields::{Malformed, Message};

/// WeChat's padding goes up to this many bytes, twice the cipher's block.
const LONGEST_PADDING: usize = 32;
/// In front of the length, so that no two messages begin alike.
const RANDOM: usize = 16;

/// Base64 as WeChat's console makes keys: 43 letters and digits hold two bits more than 32 bytes do, and these may be
/// set. Messages end in padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an account's messages are checked with, and opened with where they are encrypted.
#[derive(Clone, Debug)]
pub struct MessageKeys {
    token: MessageToken,
    aes_key: Option<Arc<SecretBox<[u8; 32]>>>,
}

/// The parameters that WeChat signs.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// `timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `nonce`
    pub nonce: &'a str,
}

/// A text that is not an `EncodingAESKey`. Does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an EncodingAESKey is 43 letters and digits")]
pub struct InvalidAesKey;

/// Why a message is not believed, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadMessage {
    /// The account has an AES key, and this message is open.
    #[error(
        "the message is not encrypted, and this account has an AES key; choose 安全模式 at WeChat's console"
    )]
    Open,
    /// The message is encrypted, and the account has no AES key.
    #[error("the message is encrypted, and this account has no AES key (EncodingAESKey)")]
    NoKey,
    /// `msg_signature` is missing or wrong.
    #[error("the encrypted message is not signed with this account's token")]
    Unsigned,
    /// It does not open.
    #[error("the message does not open with this account's AES key: {0}")]
    Sealed(&'static str),
    /// It is for another account.
    #[error("the message is for another account")]
    OtherAccount,
    /// It is not a message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl MessageKeys {
    /// For messages that are signed with this token and not encrypted (明文模式).
    pub fn new(token: MessageToken) -> Self {
        Self { token, aes_key: None }
    }

    /// For encrypted messages, and no others (安全模式).
    ///
    /// # Errors
    /// When it is not 43 letters and digits.
    pub fn encrypted_with(mut self, key: &EncodingAesKey) -> Result<Self, InvalidAesKey> {
        let text = key.expose();
        if text.len() != 43 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(InvalidAesKey);
        }
        let decoded = BASE64.decode(text).map_err(|_| InvalidAesKey)?;
        let decoded = Box::<[u8; 32]>::try_from(decoded).map_err(|_| InvalidAesKey)?;
        self.aes_key = Some(Arc::new(SecretBox::new(decoded)));
        Ok(self)
    }

    /// Whether only encrypted messages are taken.
    pub fn are_encrypted(&self) -> bool {
        self.aes_key.is_some()
    }

    /// Whether `signature` is that of somebody who knows the token. It covers the stamp alone: whoever sees one can send
    /// another message under it, unless messages are encrypted.
    pub fn has_signed(&self, stamp: Stamp<'_>, signature: &str) -> bool {
        self.is_signed([stamp.timestamp, stamp.nonce, ""], signature)
    }

    /// What a message in XML or JSON says. One that is encrypted has to be signed with `msg_signature`.
    ///
    /// # Errors
    /// When it is not for this account, not encrypted as it should be, or cannot be read.
    pub fn read(
        &self,
        appid: &AppId,
        body: &[u8],
        stamp: Stamp<'_>,
        msg_signature: Option<&str>,
    ) -> Result<Message, BadMessage> {
        let outer = Message::parse(body)?;
        let message = match (outer.field("Encrypt"), &self.aes_key) {
            (Some(sealed), Some(key)) => {
                let signed = [stamp.timestamp, stamp.nonce, sealed];
                if !msg_signature.is_some_and(|signature| self.is_signed(signed, signature)) {
                    return Err(BadMessage::Unsigned);
                }
                Message::parse(&open(key.expose_secret(), appid, sealed)?)?
            }
            (None, Some(_)) => return Err(BadMessage::Open),
            // In WeChat's 兼容模式 the message stands beside its encrypted form.
            (Some(_), None) if outer.field("MsgType").is_none() => return Err(BadMessage::NoKey),
            (_, None) => outer,
        };
        match message.field("AppID") {
            Some(other) if other != appid.as_str() => Err(BadMessage::OtherAccount),
            _ => Ok(message),
        }
    }

    fn is_signed(&self, parts: [&str; 3], signature: &str) -> bool {
        self.signature(parts).as_bytes().ct_eq(signature.as_bytes()).into()
    }

    fn signature(&self, parts: [&str; 3]) -> String {
        let mut parts = [self.token.expose(), parts[0], parts[1], parts[2]];
        parts.sort_unstable();
        sha1_hex(&parts)
    }
}

/// Opens what WeChat has encrypted for an account. Whoever calls this has checked its signature, so that nobody can try
/// paddings out.
fn open(key: &[u8; 32], appid: &AppId, sealed: &str) -> Result<Vec<u8>, BadMessage> {
    let sealed =
        BASE64.decode(sealed.trim()).map_err(|_| BadMessage::Sealed("it is not base64"))?;
    let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(key, &key[..16])
        .expect("the lengths are those of the cipher");
    let plain = cipher
        .decrypt_padded_vec::<NoPadding>(&sealed)
        .map_err(|_| BadMessage::Sealed("it is not made of whole blocks"))?;
    let plain = unpad(&plain).ok_or(BadMessage::Sealed("its padding is wrong"))?;
    let parts = || {
        let (length, rest) = plain.get(RANDOM..)?.split_first_chunk::<4>()?;
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
    };
    let (message, for_whom) = parts().ok_or(BadMessage::Sealed("its length is wrong"))?;
    if for_whom != appid.as_str().as_bytes() {
        return Err(BadMessage::OtherAccount);
    }
    Ok(message.to_vec())
}

fn unpad(plain: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*plain.last()?);
    let (text, padding) = plain.split_at_checked(plain.len().checked_sub(length)?)?;
    let is_good = (1..=LONGEST_PADDING).contains(&length)
        && padding.iter().all(|byte| usize::from(*byte) == length);
    is_good.then_some(text)
}

#[cfg(test)]
mod tests;
