//! What the error codes of WeChat and WeCom mean, who is at fault, and the right reaction.

use std::{fmt, time::Duration};

/// Who has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// WeChat is busy; it passes.
    Platform,
    /// Whoever runs the account: a wrong secret, a used-up quota, a missing permission.
    Operator,
    /// The sign-in went stale, as it does: a used code, an expired token. Nobody has to do anything.
    Stale,
    /// WeChat restricts this user, or the user has not granted this.
    User,
    /// Our own request is wrong: a defect.
    Request,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// Start a new authorization, once.
    StartAgain,
    /// Call again, a little later each time.
    Retry,
    /// Call again after this long, and tell the user to wait.
    RetryAfter(Duration),
    /// Use the refresh token; without one, start a new authorization.
    Refresh,
    /// Tell the operator; another try cannot help.
    Operator,
    /// Refuse this user.
    Refuse,
}

/// An `errcode` of WeChat or WeCom, where the same numbers mean different things. Codes outside the tables are kept as they
/// are and count as the operator's to look at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrCode {
    number: i64,
    table: Table,
}

/// Whose words the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Table {
    Wechat,
    Wecom,
}

impl ErrCode {
    /// -1: system error.
    pub const SYSTEM_BUSY: Self = Self::new(-1);
    /// 40029: invalid code.
    pub const INVALID_CODE: Self = Self::new(40029);
    /// 40163: code been used.
    pub const CODE_BEEN_USED: Self = Self::new(40163);

    /// The code with this number at WeChat.
    pub const fn new(number: i64) -> Self {
        Self { number, table: Table::Wechat }
    }

    /// The code with this number at WeCom.
    pub const fn wecom(number: i64) -> Self {
        Self { number, table: Table::Wecom }
    }

    /// Whether it is WeCom's.
    pub const fn is_wecom(self) -> bool {
        matches!(self.table, Table::Wecom)
    }

    /// The number.
    pub const fn number(self) -> i64 {
        self.number
    }

    pub(super) const fn table(self) -> Table {
        self.table
    }

    /// What it means, in WeChat's own words where it has some.
    pub fn meaning(self) -> &'static str {
        self.entry().map_or("not in the table of known codes", |entry| entry.meaning)
    }

    /// Who has to do something.
    pub fn fault(self) -> Fault {
        self.entry().map_or(Fault::Operator, |entry| entry.fault)
    }

    /// What to do when a call that burns no code answers this.
    pub fn reaction(self) -> Reaction {
        self.entry().map_or(Reaction::Operator, |entry| entry.reaction)
    }

    /// What to do when an exchange answers this. Never a retry: the code may be burned.
    pub fn reaction_on_exchange(self) -> Reaction {
        match self.entry() {
            Some(Entry { on_exchange: Some(reaction), .. }) => *reaction,
            Some(Entry { reaction: Reaction::Retry | Reaction::Refresh, .. }) => {
                Reaction::StartAgain
            }
            Some(entry) => entry.reaction,
            None => Reaction::Operator,
        }
    }

    /// What to do when the call for the account's own token answers this: there is nothing to begin again with.
    pub(super) fn reaction_on_server_token(self) -> Reaction {
        match self.reaction() {
            Reaction::StartAgain | Reaction::Refresh | Reaction::Refuse => Reaction::Operator,
            other => other,
        }
    }

    /// Every code of the tables.
    pub fn known() -> impl Iterator<Item = Self> {
        let wechat = TABLE.iter().map(|entry| Self::new(entry.number));
        wechat.chain(WECOM.iter().map(|entry| Self::wecom(entry.number)))
    }

    /// Whether it says that a user's access token is no longer good.
    pub(super) fn is_dead_token(self) -> bool {
        matches!(self.number, 40001 | 40003 | 40014 | 42001 | 42007)
    }

    /// Whether it says that the account's own access token is no longer good.
    pub(super) fn is_dead_server_token(self) -> bool {
        match self.table {
            Table::Wechat => matches!(self.number, 40001 | 40014 | 42001),
            Table::Wecom => matches!(self.number, 40014 | 42001),
        }
    }

    /// Whether it says that the account takes no calls from this machine's address.
    pub(super) fn is_about_address(self) -> bool {
        let number = match self.table {
            Table::Wechat => 40164,
            Table::Wecom => 60020,
        };
        self.number == number
    }

    fn entry(self) -> Option<&'static Entry> {
        let table = match self.table {
            Table::Wechat => TABLE,
            Table::Wecom => WECOM,
        };
        table.iter().find(|entry| entry.number == self.number)
    }
}

impl fmt::Display for ErrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.meaning())
    }
}

impl fmt::Debug for ErrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrCode({self})")
    }
}

struct Entry {
    number: i64,
    meaning: &'static str,
    fault: Fault,
    reaction: Reaction,
    on_exchange: Option<Reaction>,
}

const fn entry(number: i64, meaning: &'static str, fault: Fault, reaction: Reaction) -> Entry {
    Entry { number, meaning, fault, reaction, on_exchange: None }
}

impl Entry {
    const fn on_exchange(mut self, reaction: Reaction) -> Self {
        self.on_exchange = Some(reaction);
        self
    }
}

const MINUTE: Duration = Duration::from_secs(60);

static TABLE: &[Entry] = {
    use Fault::{Operator as Op, Platform, Request, Stale, User};
    use Reaction::{Operator, Refresh, Refuse, Retry, RetryAfter, StartAgain};
    &[
        entry(-1, "system error", Platform, Retry),
        entry(0, "ok", Stale, Retry),
        entry(40001, "invalid credential", Stale, Refresh).on_exchange(Operator),
        entry(40002, "invalid grant_type", Request, Operator),
        entry(40003, "invalid openid", Stale, StartAgain),
        entry(40013, "invalid appid", Op, Operator),
        entry(40014, "invalid access_token", Stale, Refresh),
        entry(40029, "invalid code", Stale, StartAgain),
        entry(40030, "invalid refresh_token", Stale, StartAgain),
        entry(40066, "invalid url", Request, Operator),
        entry(40125, "invalid appsecret", Op, Operator),
        entry(40163, "code been used", Stale, StartAgain),
        entry(40164, "this machine's address is not in the account's list", Op, Operator),
        entry(40226, "code blocked, the user is high-risk", User, Refuse),
        entry(40243, "the app secret is frozen", Op, Operator),
        entry(41001, "access_token missing", Request, Operator),
        entry(41002, "appid missing", Request, Operator),
        entry(41003, "refresh_token missing", Request, Operator),
        entry(41004, "appsecret missing", Request, Operator),
        entry(41005, "media data missing", Request, Operator),
        entry(41006, "media_id missing", Request, Operator),
        entry(41007, "sub-menu data missing", Request, Operator),
        entry(41008, "code missing", Request, Operator),
        entry(41009, "openid missing", Request, Operator),
        entry(42001, "access_token expired", Stale, Refresh),
        entry(42002, "refresh_token expired", Stale, StartAgain),
        entry(42003, "code expired", Stale, StartAgain),
        entry(42007, "the user changed the password, all tokens are void", Stale, StartAgain),
        entry(43001, "GET is required", Request, Operator),
        entry(43002, "POST is required", Request, Operator),
        entry(43003, "https is required", Request, Operator),
        entry(45009, "the daily quota is used up", Op, Operator),
        entry(45011, "the minute's quota is used up", Platform, RetryAfter(MINUTE)),
        entry(48001, "the scope or the account does not allow this", Stale, StartAgain),
        entry(48004, "the interface is banned for this account", Op, Operator),
        entry(50001, "the user has not granted this", User, StartAgain),
        entry(50002, "the user is restricted", User, Refuse),
        entry(50004, "the account may not fetch tokens", Op, Operator),
        entry(50007, "the account is frozen", Op, Operator),
        entry(61003, "the account has not authorized the platform", Op, Operator),
        entry(61024, "tokens come from the third-party platform", Op, Operator),
        entry(89503, "an administrator has to confirm token calls", Op, Operator),
    ]
};

/// WeCom's own table: the same numbers as WeChat's mean other things.
static WECOM: &[Entry] = {
    use Fault::{Operator as Op, Platform, Request, Stale, User};
    use Reaction::{Operator, Refresh, Refuse, Retry, RetryAfter, StartAgain};
    &[
        entry(-1, "system error", Platform, Retry),
        entry(0, "ok", Stale, Retry),
        entry(40001, "invalid secret", Op, Operator),
        entry(40003, "invalid userid", User, Refuse),
        entry(40013, "invalid corpid", Op, Operator),
        entry(40014, "invalid access_token", Stale, Refresh),
        entry(40029, "invalid code", Stale, StartAgain),
        entry(40056, "invalid agentid", Op, Operator),
        entry(40058, "invalid parameter", Request, Operator),
        entry(40066, "invalid url", Request, Operator),
        entry(40091, "invalid secret", Op, Operator),
        entry(41001, "access_token missing", Request, Operator),
        entry(41002, "corpid missing", Request, Operator),
        entry(41004, "corpsecret missing", Request, Operator),
        entry(41008, "code missing", Request, Operator),
        entry(41009, "userid missing", Request, Operator),
        entry(41011, "agentid missing", Request, Operator),
        entry(42001, "access_token expired", Stale, Refresh),
        entry(43001, "GET is required", Request, Operator),
        entry(43002, "POST is required", Request, Operator),
        entry(43003, "https is required", Request, Operator),
        entry(45009, "the quota of calls is used up for now", Platform, RetryAfter(MINUTE)),
        entry(45033, "too many calls at once", Platform, Retry),
        entry(47001, "the request is not JSON", Request, Operator),
        entry(48002, "the app may not use this interface", Op, Operator),
        entry(50001, "the redirect_uri is on no trusted domain of the app", Op, Operator),
        entry(50002, "the member may not use the app", User, Refuse),
        entry(50003, "the app is disabled", Op, Operator),
        entry(60011, "the app has no right to this member", User, Refuse),
        entry(60020, "this machine's address is not in the app's list", Op, Operator),
        entry(60111, "there is no such member", User, Refuse),
        entry(84014, "the user_ticket has expired", Stale, StartAgain),
        entry(84015, "invalid user_ticket", Stale, StartAgain),
        entry(301_002, "the app has no right to this agentid", Op, Operator),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w04_no_code_of_the_table_asks_to_repeat_an_exchange() {
        for code in ErrCode::known() {
            let reaction = code.reaction_on_exchange();
            assert!(!matches!(reaction, Reaction::Retry | Reaction::Refresh), "{code}");
        }
        assert_eq!(ErrCode::SYSTEM_BUSY.reaction(), Reaction::Retry);
    }

    #[test]
    fn the_same_code_means_something_else_on_an_exchange() {
        assert_eq!(ErrCode::new(40001).reaction(), Reaction::Refresh);
        assert_eq!(ErrCode::new(40001).reaction_on_exchange(), Reaction::Operator);
    }

    #[test]
    fn the_same_number_means_something_else_at_wecom() {
        let (wechat, wecom) = (ErrCode::new(50001), ErrCode::wecom(50001));
        assert_ne!(wechat, wecom);
        assert_eq!((wechat.fault(), wecom.fault()), (Fault::User, Fault::Operator));
        assert_eq!(
            wecom.to_string(),
            "50001 (the redirect_uri is on no trusted domain of the app)"
        );
        assert_eq!(ErrCode::wecom(40163).meaning(), "not in the table of known codes");
        assert_eq!(ErrCode::wecom(40029).reaction_on_exchange(), Reaction::StartAgain);
    }

    #[test]
    fn an_unknown_code_is_the_operators_to_look_at() {
        let code = ErrCode::new(99999);
        assert_eq!(code.fault(), Fault::Operator);
        assert_eq!(code.reaction_on_exchange(), Reaction::Operator);
        assert_eq!(code.to_string(), "99999 (not in the table of known codes)");
    }
}
