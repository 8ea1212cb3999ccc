//! Mini-programs (小程序): a `js_code` in, a session token out, and from there into the pages of a web-view.
//!
//! A mini-program keeps no cookies and walks no redirects. It sends what `wx.login` gives it, and gets a token, which it
//! then sends in the header `X-WeChat-Session`. All paths of the login take it as they take the cookie.
//!
//! | request | with | answers |
//! | --- | --- | --- |
//! | `POST /_wx/mini-program/login` | `{"js_code"}` | `{"token", "expires_in", "user"}` |
//! | `POST /_wx/mini-program/user-data` | the token | `{"user"}` |
//! | `POST /_wx/mini-program/ticket` | the token, `{"to": "/page"}` | `{"url"}`, for a `<web-view>` |
//! | `GET /_wx/mini-program/enter?ticket=` | | the page, signed in |
//!
//! The first two take `rawData` with `signature`, and `encryptedData` with `iv`, as the mini-program has them: nickname and
//! avatar, or the phone number. They are checked, and decrypted, with the user's `session_key`, which stays here. What is
//! wrong in them refuses the whole request. The first takes `appid` as well, which has to be given where several
//! mini-programs sign in here.
//!
//! WeChat encrypts that data and does not sign it, so somebody with skill can alter what is said of them: nickname, avatar and
//! phone number are the client's word. Openid and unionid are not taken from it, but from WeChat alone.
//!
//! Refusals are JSON: `{"error"}`, and `errcode` and `rid` where WeChat has refused. `invalid_code` means: call `wx.login`
//! once more. Of a `login_blocked` WeChat itself has refused the user (40226): another try does not help.
//!
//! A ticket is good for a minute and one use, and only in the web-view of a mini-program.
//!
//! ```
//! use wxgate::{Account, AppSecret, Origin, WechatLoginLayer, doors::MiniProgram};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let account = Account::official_account("wx0123456789abcdef", AppSecret::new("..."))?;
//! let mini_program = Account::mini_program("wxfedcba9876543210", AppSecret::new("..."))?;
//! let wechat = WechatLoginLayer::new(account, Origin::parse("https://h5.example.com")?)
//!     .door(MiniProgram::new(mini_program));
//! # Ok(()) }
//! ```

mod answer;
mod sign_in;
mod user_data;
mod web_view;

use async_trait::async_trait;
use http::Method;

use self::answer::Refusal;
use crate::{
    login::{Call, Door, Doorway, Gate, Page, Reply},
    wechat::{Account, AppId},
};

/// Signs people in who come from mini-programs. See the [module](self).
#[derive(Clone, Debug)]
pub struct MiniProgram {
    accounts: Vec<Account>,
}

impl MiniProgram {
    /// For the mini-program with this [account](Account::mini_program).
    pub fn new(account: Account) -> Self {
        Self { accounts: vec![account] }
    }

    /// For all of these. None where there are none.
    #[cfg(feature = "gateway")]
    pub(crate) fn of(accounts: impl Iterator<Item = Account>) -> Option<Self> {
        let accounts: Vec<_> = accounts.collect();
        (!accounts.is_empty()).then_some(Self { accounts })
    }

    /// And for this one.
    pub fn and(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// The account with this appid, or the only one where none is named.
    fn account(&self, appid: Option<&str>) -> Result<&Account, Refusal> {
        match (appid, &*self.accounts) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Refusal::Malformed("appid")),
            (Some(appid), accounts) => accounts
                .iter()
                .find(|account| account.appid().as_str() == appid)
                .ok_or(Refusal::UnknownAppid),
        }
    }
}

impl From<MiniProgram> for Door {
    fn from(mini_program: MiniProgram) -> Self {
        Self::new(mini_program)
    }
}

const LOGIN: &str = "/mini-program/login";
const USER_DATA: &str = "/mini-program/user-data";
const TICKET: &str = "/mini-program/ticket";
const ENTER: &str = "/mini-program/enter";

/// Whether whoever comes to this path signs in.
#[cfg(feature = "gateway")]
pub(crate) fn signs_in(path: &str) -> bool {
    path.strip_prefix(crate::login::PREFIX).is_some_and(|path| [LOGIN, ENTER].contains(&path))
}

#[async_trait]
impl Doorway for MiniProgram {
    fn is_at(&self, path: &str) -> bool {
        [LOGIN, USER_DATA, TICKET, ENTER].contains(&path)
    }

    fn vouches_for(&self, appid: &AppId) -> bool {
        self.accounts.iter().any(|account| account.appid() == appid)
    }

    async fn answer(&self, gate: &Gate, call: Call<'_>) -> Reply {
        let wanted = if call.path() == ENTER { Method::GET } else { Method::POST };
        if call.head.method != wanted {
            return Reply::page(Page::MethodNotAllowed).for_programs();
        }
        let answered = match call.path() {
            LOGIN => sign_in::answer(self, gate, &call).await,
            USER_DATA => user_data::answer(self, gate, &call).await,
            TICKET => web_view::ticket(gate, &call),
            _ => return web_view::enter(gate, &call).await,
        };
        answered.unwrap_or_else(|refusal| refusal.reply(gate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::AppSecret;

    #[test]
    fn c32_a_door_vouches_for_its_own_mini_programs_alone() {
        let account = |appid: &str| {
            Account::mini_program(appid, AppSecret::new("0123456789abcdef0123456789abcdef"))
                .unwrap()
        };
        let (one, two) = ("wx0000000000000001", "wx0000000000000002");
        let door = MiniProgram::new(account(one));
        let vouches =
            |door: &MiniProgram, appid: &str| door.vouches_for(&AppId::parse(appid).unwrap());
        assert!(vouches(&door, one) && !vouches(&door, two));
        assert!(door.account(None).is_ok() && door.account(Some(two)).is_err());
        let both = door.and(account(two));
        assert!(vouches(&both, one) && vouches(&both, two));
        assert!(both.account(None).is_err(), "which one?");
        assert_eq!(both.account(Some(two)).ok().unwrap().appid().as_str(), two);
    }
}
