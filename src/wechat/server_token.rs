//! The account's own calls: its `access_token`, who follows it, and the ticket that its pages sign with.

use std::time::Duration;

use serde_json::json;

use super::{
    client::{Ask, Client},
    error::{AnswerFault, Call, Error, Kind},
    types::{Account, AccountKind, Lang, OpenId, ServerTokenKind, UnionId},
    wire::{Answer, field},
};
use crate::{
    clock::Timestamp,
    secret::{JsapiTicket, ServerToken},
};

/// The account's own `access_token`, as it is issued.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// Good for `expires_in`, unless a later one ends it.
    pub token: ServerToken,
    /// What is left of its life: two hours for a new one.
    pub expires_in: Duration,
}

/// The account's `jsapi_ticket`, as it is issued.
#[derive(Clone, Debug)]
pub struct IssuedTicket {
    /// Good for `expires_in`.
    pub ticket: JsapiTicket,
    /// Usually two hours.
    pub expires_in: Duration,
}

/// What `/cgi-bin/user/info` tells of a user. Of somebody who does not follow the account it tells the ids alone, and
/// nickname, sex and place have been left out since 2021.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Whether the user follows the account.
    pub subscribe: bool,
    /// Whose it is.
    pub openid: OpenId,
    /// The user across accounts, where the account is bound.
    pub unionid: Option<UnionId>,
    /// The last time that the user began to follow.
    pub subscribe_time: Option<Timestamp>,
    /// `ADD_SCENE_QR_CODE` and so on: where the user began to follow. May be empty.
    pub subscribe_scene: String,
    /// What the account's staff call the user. May be empty.
    pub remark: String,
    /// The user's language. Usually empty.
    pub language: String,
    /// The group that staff have put the user into, where that is told.
    pub groupid: Option<i64>,
    /// The tags that staff have given the user.
    pub tagid_list: Vec<i64>,
    /// The number of the code that the user scanned, 0 without one.
    pub qr_scene: i64,
    /// The text of the code that the user scanned, where it has a text instead of a number.
    pub qr_scene_str: String,
}

impl Client {
    /// Fetches the account's own `access_token`. A busy platform is asked again, see [`Backoff`](super::Backoff).
    ///
    /// Of [`ServerTokenKind::Classic`] each call ends the token before it, so only one place may fetch it
    /// for all. `force` ends the stable token at once, twenty times a day, for one
    /// that has become known; the other kinds have no use for it.
    pub async fn server_token(&self, account: &Account, force: bool) -> Result<IssuedToken, Error> {
        let call = Call::ServerToken;
        let (id, secret) = (account.appid().as_str(), account.secret().expose());
        let answer = match (account.kind(), account.basic_token()) {
            (AccountKind::Wecom, _) => {
                let query = [("corpid", id), ("corpsecret", secret)];
                self.patient_call(Ask::get(call, "/cgi-bin/gettoken", &query).of_wecom()).await
            }
            (_, ServerTokenKind::Classic) => {
                let query =
                    [("grant_type", "client_credential"), ("appid", id), ("secret", secret)];
                self.patient_call(Ask::get(call, "/cgi-bin/token", &query)).await
            }
            (_, ServerTokenKind::Stable) => {
                let wanted = json!({
                    "grant_type": "client_credential",
                    "appid": id,
                    "secret": secret,
                    "force_refresh": force, // without it, some were told that the appid is missing
                });
                self.patient_call(Ask::post(call, "/cgi-bin/stable_token", &wanted)).await
            }
        }?;
        let issued = || {
            let token = ServerToken::new(answer.required("access_token")?);
            Ok(IssuedToken { token, expires_in: answer.life()? })
        };
        issued().map_err(|kind| Error::new(call, kind))
    }

    /// Asks whether a user follows the account. A busy platform is asked again, see [`Backoff`](super::Backoff).
    ///
    /// # Errors
    /// Also when the answer is about another user than `openid`.
    pub async fn user_info(
        &self,
        token: &ServerToken,
        openid: &OpenId,
        lang: Lang,
    ) -> Result<Follower, Error> {
        let query = [
            ("access_token", token.expose()),
            ("openid", openid.as_str()),
            ("lang", lang.as_str()),
        ];
        let call = Call::UserInfo;
        let answer = self.patient_call(Ask::get(call, "/cgi-bin/user/info", &query)).await?;
        let fail = |kind| Error::new(call, kind);
        let follower = answer.follower().map_err(fail)?;
        if follower.openid != *openid {
            return Err(fail(Kind::Answer(AnswerFault::OtherUser)));
        }
        Ok(follower)
    }

    /// Fetches the ticket that signs the use of the JS-SDK. A busy platform is asked again, see
    /// [`Backoff`](super::Backoff). Its quota is low: one ticket serves all pages until it ends.
    pub async fn jsapi_ticket(
        &self,
        account: &Account,
        token: &ServerToken,
    ) -> Result<IssuedTicket, Error> {
        let call = Call::JsapiTicket;
        let token = ("access_token", token.expose());
        let answer = if account.kind() == AccountKind::Wecom {
            let query = [token];
            self.patient_call(Ask::get(call, "/cgi-bin/get_jsapi_ticket", &query).of_wecom()).await
        } else {
            let query = [token, ("type", "jsapi")];
            self.patient_call(Ask::get(call, "/cgi-bin/ticket/getticket", &query)).await
        }?;
        let issued = || {
            let ticket = JsapiTicket::new(answer.required("ticket")?);
            Ok(IssuedTicket { ticket, expires_in: answer.life()? })
        };
        issued().map_err(|kind| Error::new(call, kind))
    }
}

impl Answer {
    fn follower(&self) -> Result<Follower, Kind> {
        let text = |name| self.text(name).unwrap_or_default().to_owned();
        let began = self.number("subscribe_time").and_then(|time| u64::try_from(time).ok());
        Ok(Follower {
            subscribe: self.number("subscribe").ok_or_else(|| field("subscribe"))? != 0,
            openid: self.openid()?,
            unionid: self.unionid()?,
            subscribe_time: began.filter(|time| *time > 0).map(Timestamp::from_unix),
            subscribe_scene: text("subscribe_scene"),
            remark: text("remark"),
            language: text("language"),
            groupid: self.number("groupid"),
            tagid_list: self.numbers("tagid_list"),
            qr_scene: self.number("qr_scene").unwrap_or_default(),
            qr_scene_str: text("qr_scene_str"),
        })
    }
}
