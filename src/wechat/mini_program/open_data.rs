//! What a mini-program sends of its user: whether it comes from WeChat, and what it says.

use std::{fmt, time::Duration};

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::super::{
    digest::{hex, sha1_hex},
    types::{AppId, OpenId, UnionId},
    wire::Answer,
};
use crate::{clock::Timestamp, secret::SessionKey};

/// Clocks differ by less than this.
const MOST_AHEAD: Duration = Duration::from_secs(5 * 60);

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `encryptedData` and `iv`, as `wx.getUserProfile` or the phone button gives them to a mini-program.
#[derive(Clone, Copy, Debug)]
pub struct OpenData<'a> {
    /// `encryptedData`, in base64.
    pub encrypted_data: &'a str,
    /// `iv`, in base64.
    pub iv: &'a str,
}

/// Whose data it has to be, and how old it may be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The mini-program.
    pub appid: &'a AppId,
    /// The user whose session key it is.
    pub openid: &'a OpenId,
    /// The present moment.
    pub now: Timestamp,
    /// The age above which it is refused. What is younger may have been sent before.
    pub max_age: Duration,
}

/// The user's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserData {
    /// `openId`, which today's mini-programs are not given any more. It is the expected one.
    pub openid: Option<OpenId>,
    /// `unionId`, likewise. That of the login is the better one.
    pub unionid: Option<UnionId>,
    /// Arbitrary Unicode, may be empty.
    pub nickname: String,
    /// The avatar's URL.
    pub avatar: Option<String>,
}

/// The user's phone number. Does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    /// `phoneNumber`: with the country code where that is not China's.
    pub phone_number: String,
    /// `purePhoneNumber`: without the country code.
    pub pure_phone_number: String,
    /// `countryCode`, such as `86`.
    pub country_code: String,
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber([redacted])")
    }
}

/// Which check failed, for the operator alone. Encrypted data is not signed: a sender who is told what is wrong with each of
/// many altered copies can make one that says what they like. Tell them that it is refused, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOpenData {
    /// Of `rawData`: it was altered, or the user has logged in again since.
    #[error("the signature is not that of the raw data and the session key")]
    Signature,
    /// WeChat gave something else.
    #[error("the session key is not 16 bytes in base64")]
    SessionKey,
    /// The mini-program sent something else.
    #[error("the iv is not 16 bytes in base64")]
    Iv,
    /// The mini-program sent something else.
    #[error("the encrypted data is not whole blocks in base64")]
    Blocks,
    /// It was altered, or the user has logged in again since.
    #[error("the encrypted data does not open with the session key")]
    Sealed,
    /// A field is missing or has the wrong form.
    #[error("its field `{0}` is missing or has the wrong form")]
    Field(&'static str),
    /// It comes from another mini-program.
    #[error("its watermark names another appid")]
    OtherAccount,
    /// It is not about the user whose session key it is.
    #[error("it is about another openid")]
    OtherUser,
    /// It may be a copy.
    #[error("its watermark is too old")]
    TooOld,
    /// No clock is that wrong.
    #[error("its watermark is of the future")]
    OfTheFuture,
}

impl UserData {
    /// The profile in `rawData`, which is signed instead of encrypted. Nothing tells how old it is.
    ///
    /// # Errors
    /// When it is not signed with this key, or is no profile.
    pub fn signed(key: &SessionKey, raw_data: &str, signature: &str) -> Result<Self, BadOpenData> {
        let expected = sha1_hex(&[raw_data, key.expose()]);
        if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
            return Err(BadOpenData::Signature);
        }
        Self::read(&Answer::object(raw_data).ok_or(BadOpenData::Field("rawData"))?)
    }

    fn read(data: &Answer) -> Result<Self, BadOpenData> {
        let openid = data.nonempty("openId").map(OpenId::parse).transpose();
        let unionid = data.nonempty("unionId").map(UnionId::parse).transpose();
        Ok(Self {
            openid: openid.map_err(|_| BadOpenData::Field("openId"))?,
            unionid: unionid.map_err(|_| BadOpenData::Field("unionId"))?,
            nickname: data.text("nickName").ok_or(BadOpenData::Field("nickName"))?.to_owned(),
            avatar: data.nonempty("avatarUrl").map(str::to_owned),
        })
    }
}

impl OpenData<'_> {
    /// The profile in it.
    ///
    /// # Errors
    /// When it is not what WeChat has encrypted with this key for this mini-program and user, within the time.
    pub fn user(&self, key: &SessionKey, expected: &Expected<'_>) -> Result<UserData, BadOpenData> {
        let user = UserData::read(&self.open(key, expected)?)?;
        match &user.openid {
            Some(openid) if openid != expected.openid => Err(BadOpenData::OtherUser),
            _ => Ok(user),
        }
    }

    /// The phone number in it.
    ///
    /// # Errors
    /// As [`OpenData::user`]. It does not say whose it is: the key alone does.
    pub fn phone(
        &self,
        key: &SessionKey,
        expected: &Expected<'_>,
    ) -> Result<PhoneNumber, BadOpenData> {
        let data = self.open(key, expected)?;
        let text = |name| match (data.nonempty(name), data.number(name)) {
            (Some(text), _) => Ok(text.to_owned()),
            (None, Some(number)) => Ok(number.to_string()),
            (None, None) => Err(BadOpenData::Field(name)),
        };
        Ok(PhoneNumber {
            phone_number: text("phoneNumber")?,
            pure_phone_number: text("purePhoneNumber")?,
            country_code: text("countryCode")?,
        })
    }

    fn open(&self, key: &SessionKey, expected: &Expected<'_>) -> Result<Answer, BadOpenData> {
        let key = decode(key.expose(), |length| length == 16).ok_or(BadOpenData::SessionKey)?;
        let iv = decode(self.iv, |length| length == 16).ok_or(BadOpenData::Iv)?;
        let is_blocks = |length: usize| length > 0 && length.is_multiple_of(16);
        let sealed = decode(self.encrypted_data, is_blocks).ok_or(BadOpenData::Blocks)?;
        let cipher = cbc::Decryptor::<aes::Aes128>::new_from_slices(&key, &iv)
            .expect("the lengths are those of the cipher");
        // One error for all that a wrong key does, so that none of it tells of another.
        let plain = cipher.decrypt_padded_vec::<Pkcs7>(&sealed);
        let plain = plain.map_err(|_| BadOpenData::Sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| BadOpenData::Sealed)?;
        let data = Answer::object(text).ok_or(BadOpenData::Sealed)?;
        check_watermark(&data, expected)?;
        Ok(data)
    }
}

fn check_watermark(data: &Answer, expected: &Expected<'_>) -> Result<(), BadOpenData> {
    let mark = data.within("watermark").ok_or(BadOpenData::Field("watermark"))?;
    if mark.text("appid").ok_or(BadOpenData::Field("watermark.appid"))? != expected.appid.as_str() {
        return Err(BadOpenData::OtherAccount);
    }
    let made_at = mark.number("timestamp").and_then(|at| u64::try_from(at).ok());
    let made_at = made_at.ok_or(BadOpenData::Field("watermark.timestamp"))?;
    let made_at = Timestamp::from_unix(made_at);
    if made_at > expected.now + MOST_AHEAD {
        return Err(BadOpenData::OfTheFuture);
    }
    if expected.now.since(made_at) > expected.max_age {
        return Err(BadOpenData::TooOld);
    }
    Ok(())
}

/// What WeChat's `checksession` and its user storage call `signature`, with the method `hmac_sha256`: the key is the session
/// key as text.
pub fn hmac_sha256(key: &SessionKey, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    let mut mac = mac.expect("a key of any length will do");
    mac.update(body.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Reads base64 that came through forms: lines may be wrapped, and a space may have been a plus. The length decides where
/// both are possible.
fn decode(text: &str, is_good: impl Fn(usize) -> bool) -> Option<Vec<u8>> {
    let spaces_are_pluses: String = text
        .chars()
        .filter(|c| *c == ' ' || !c.is_ascii_whitespace())
        .map(|c| if c == ' ' { '+' } else { c })
        .collect();
    let spaces_are_nothing: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decoded = [spaces_are_pluses, spaces_are_nothing].map(|text| BASE64.decode(text).ok());
    decoded.into_iter().flatten().find(|bytes| is_good(bytes.len()))
}

#[cfg(test)]
mod tests;
