//! The login of mini-programs: from a `js_code` to an openid and the key to what the mini-program sends of its user.

#[cfg(feature = "doors")]
mod open_data;

#[cfg(feature = "doors")]
pub use open_data::{BadOpenData, Expected, OpenData, PhoneNumber, UserData, hmac_sha256};

use super::{
    client::{Ask, Client},
    error::{Call, Error},
    types::{Account, OpenId, UnionId},
};
use crate::secret::{Code, SessionKey};

/// What a `js_code` tells.
#[derive(Clone, Debug)]
pub struct MiniProgramSession {
    /// Whose it is.
    pub openid: OpenId,
    /// The user across accounts, where the account is bound.
    pub unionid: Option<UnionId>,
    /// Good until the user's next login, or until WeChat thinks otherwise: how long is not published.
    pub session_key: SessionKey,
}

impl Client {
    /// Exchanges a mini-program's `js_code`. One try: the code is burned by it.
    pub async fn code2session(
        &self,
        account: &Account,
        js_code: &Code,
    ) -> Result<MiniProgramSession, Error> {
        let query = [
            ("appid", account.appid().as_str()),
            ("secret", account.secret().expose()),
            ("js_code", js_code.expose()),
            ("grant_type", "authorization_code"),
        ];
        let call = Call::Code2Session;
        let answer = self.call(Ask::get(call, "/sns/jscode2session", &query)).await?;
        answer.mini_program_session().map_err(|kind| Error::new(call, kind))
    }
}
