//! WeCom's calls: who came back with a code, and what they have granted to be told of them.

use serde_json::json;

use super::{
    client::{Ask, Client},
    error::{AnswerFault, Call, Error, Kind},
    types::{InvalidId, OpenId, Userinfo},
    wire::{Answer, field},
};
use crate::secret::{Code, ServerToken, UserTicket};

/// Who came back with a code.
#[derive(Clone, Debug)]
pub enum WecomUser {
    /// A member of the corp.
    Member {
        /// The name that the corp's administrators gave them.
        userid: OpenId,
        /// Opens [`Client::wecom_detail`]. Only with the scope `snsapi_privateinfo`.
        user_ticket: Option<UserTicket>,
    },
    /// Somebody else. Their ids are WeCom's, and could be some member's userid: never take one for the other.
    Outsider {
        /// Who they are for this corp.
        openid: OpenId,
        /// Who they are as a contact of the corp, where they are one.
        external_userid: Option<OpenId>,
    },
}

impl Client {
    /// Exchanges a code that came from WeCom. One try: the code is burned by it.
    ///
    /// # Errors
    /// Where the token is dead, WeCom has not looked at the code: with another token it may be sent once more. That is what
    /// [`Error::is_dead_server_token`] and [`Reaction::Refresh`](super::Reaction::Refresh) say, of this call as well.
    pub async fn wecom_user(&self, token: &ServerToken, code: &Code) -> Result<WecomUser, Error> {
        let query = [("access_token", token.expose()), ("code", code.expose())];
        let call = Call::WecomUser;
        let ask = Ask::get(call, "/cgi-bin/auth/getuserinfo", &query).of_wecom();
        self.call(ask).await?.wecom_user().map_err(|kind| Error::new(call, kind))
    }

    /// What a member has granted to be told of them. WeCom leaves out what its administrators do not share, most often the
    /// name. A busy platform is asked again, see [`Backoff`](super::Backoff).
    ///
    /// # Errors
    /// Also when the answer is about another member than `userid`.
    pub async fn wecom_detail(
        &self,
        token: &ServerToken,
        ticket: &UserTicket,
        userid: &OpenId,
    ) -> Result<Userinfo, Error> {
        let query = [("access_token", token.expose())];
        let wanted = json!({ "user_ticket": ticket.expose() });
        let call = Call::WecomDetail;
        let ask = Ask::post(call, "/cgi-bin/auth/getuserdetail", &wanted);
        let answer = self.patient_call(ask.with_query(&query).of_wecom()).await?;
        let fail = |kind| Error::new(call, kind);
        let user = answer.wecom_detail().map_err(fail)?;
        if user.openid != *userid {
            return Err(fail(Kind::Answer(AnswerFault::OtherUser)));
        }
        Ok(user)
    }
}

impl Answer {
    pub(crate) fn wecom_user(&self) -> Result<WecomUser, Kind> {
        // The older endpoint began its names with capitals.
        if let Some(userid) = self.id(["userid", "UserId"])? {
            let user_ticket = self.nonempty("user_ticket").map(UserTicket::new);
            return Ok(WecomUser::Member { userid, user_ticket });
        }
        let openid = self.id(["openid", "OpenId"])?.ok_or_else(|| field("userid"))?;
        let external_userid = self.id(["external_userid"; 2])?;
        Ok(WecomUser::Outsider { openid, external_userid })
    }

    pub(crate) fn wecom_detail(&self) -> Result<Userinfo, Kind> {
        let gender = self.number("gender").and_then(|gender| u8::try_from(gender).ok());
        Ok(Userinfo {
            openid: self.id(["userid"; 2])?.ok_or_else(|| field("userid"))?,
            unionid: None,
            is_snapshot_user: false,
            nickname: self.text("name").unwrap_or_default().to_owned(),
            headimgurl: self.nonempty("avatar").map(str::to_owned),
            sex: gender.unwrap_or_default(),
            language: String::new(),
            city: String::new(),
            province: String::new(),
            country: String::new(),
            privilege: Vec::new(),
        })
    }

    /// An id under the first of the names that is there.
    fn id(&self, names: [&'static str; 2]) -> Result<Option<OpenId>, Kind> {
        let Some(name) = names.into_iter().find(|name| self.nonempty(name).is_some()) else {
            return Ok(None);
        };
        let id = OpenId::parse(self.required(name)?);
        id.map(Some).map_err(|InvalidId { .. }| field(name))
    }
}
