//! What a mini-program may say of its user, as WeChat has signed or encrypted it.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{MiniProgram, answer::Refusal};
use crate::{
    clock::Timestamp,
    login::{Call, Gate, Reply},
    secret::SessionKey,
    session::{KeyChange, Profile, UserChange, UserKey},
    wechat::{BadOpenData, Expected, OpenData, UserData},
};

/// With `+` and the country code. No real one has more digits.
const LONGEST_NUMBER: usize = 20;
/// How old what WeChat has encrypted may be.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// The user data of a request. Each pair is whole or not there.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Sent {
    raw_data: Option<String>,
    signature: Option<String>,
    encrypted_data: Option<String>,
    iv: Option<String>,
}

impl Sent {
    /// Whether the pairs are whole. Asked before a code is burned for them.
    pub(super) fn check_form(&self) -> Result<(), Refusal> {
        let pairs = [
            (&self.raw_data, &self.signature, "rawData", "signature"),
            (&self.encrypted_data, &self.iv, "encryptedData", "iv"),
        ];
        for (one, other, name, other_name) in pairs {
            match (one, other) {
                (Some(_), None) => return Err(Refusal::Malformed(other_name)),
                (None, Some(_)) => return Err(Refusal::Malformed(name)),
                _ => {}
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.raw_data.is_none() && self.encrypted_data.is_none()
    }

    /// What it says of a user, beside what is known. All of it is true, or nothing is.
    pub(super) fn open(
        &self,
        user: &UserKey,
        key: &SessionKey,
        mut known: UserChange,
        now: Timestamp,
    ) -> Result<UserChange, Refusal> {
        if let (Some(raw_data), Some(signature)) = (&self.raw_data, &self.signature) {
            let said = UserData::signed(key, raw_data, signature)?;
            known.profile = Some((Profile::new(said.nickname, said.avatar), now));
        }
        if let (Some(encrypted_data), Some(iv)) = (&self.encrypted_data, &self.iv) {
            let data = OpenData { encrypted_data, iv };
            let (appid, openid) = (&user.appid, &user.openid);
            let expected = Expected { appid, openid, now, max_age: FRESH };
            match data.user(key, &expected) {
                Ok(said) => {
                    // Not the unionid: who can alter what is encrypted could be anybody by it.
                    known.profile = Some((Profile::new(said.nickname, said.avatar), now));
                }
                // What the button for the phone number gives has no name in it.
                Err(BadOpenData::Field("nickName")) => {
                    let phone = data.phone(key, &expected)?;
                    let number = format!("+{}{}", phone.country_code, phone.pure_phone_number);
                    let is_number = number.len() <= LONGEST_NUMBER
                        && number[1..].bytes().all(|byte| byte.is_ascii_digit());
                    if !is_number {
                        return Err(BadOpenData::Field("phoneNumber").into());
                    }
                    known.phone = Some(number.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(known)
    }
}

/// The body of a request, as JSON.
pub(super) fn read<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Refusal> {
    let is_json =
        call.head.headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().to_ascii_lowercase().starts_with(b"application/json")
        });
    // What another site can make a browser send without asking is never JSON.
    if !is_json {
        return Err(Refusal::Malformed("content-type"));
    }
    serde_json::from_slice(&call.body).map_err(|_| Refusal::Malformed("body"))
}

/// `/_wx/mini-program/user-data`: what a user who is signed in has allowed since.
pub(super) async fn answer(
    door: &MiniProgram,
    gate: &Gate,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let data: Sent = read(call)?;
    data.check_form()?;
    if data.is_empty() {
        return Err(Refusal::Malformed("encryptedData"));
    }
    let user = call.by_token().ok_or(Refusal::NotSignedIn)?;
    door.account(Some(user.appid().as_str())).map_err(|_| Refusal::NotSignedIn)?;
    let slot = user.session().user();
    let record = slot.record();
    let key = record.session_key().ok_or(Refusal::NotSignedIn)?;
    let opened = data.open(slot.key(), key, UserChange::default(), gate.now());
    // Who may alter what WeChat has encrypted, and try again and again, makes of it what they like. So a key is good for
    // one mistake, and the next login brings another.
    let forget = || UserChange { session_key: KeyChange::Forget, ..UserChange::default() };
    let (change, refusal) = match opened {
        Ok(change) => (change, None),
        Err(refusal) => (forget(), Some(refusal)),
    };
    let is_known = gate.store().change_user(slot, change).await?;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    if !is_known {
        return Err(Refusal::NotSignedIn);
    }
    let known = gate.store().load(user.session().id()).await?.ok_or(Refusal::NotSignedIn)?;
    Ok(Reply::json(StatusCode::OK, &json!({ "user": gate.user(known).told() })))
}
