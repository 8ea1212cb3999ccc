//! What can go wrong with a call to WeChat, who is at fault, and the right reaction.

use std::{fmt, time::Duration};

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `/sns/oauth2/access_token`
    Exchange,
    /// `/sns/oauth2/refresh_token`
    Refresh,
    /// `/sns/userinfo`
    Userinfo,
    /// `/sns/auth`
    Auth,
}

impl Call {
    /// A short name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Refresh => "refresh",
            Self::Userinfo => "userinfo",
            Self::Auth => "auth",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call to WeChat that did not give what it was asked for. Holds no URL, no body and no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    call: Call,
    kind: Kind,
}

/// The kinds of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WeChat answered with an error code. The `rid` is what WeChat's support asks for.
    Refused(ErrCode, Option<Rid>),
    /// No connection was made, so nothing was sent.
    Unreachable,
    /// The connection was lost or timed out after something was sent: a code may be burned.
    Interrupted,
    /// An answer that is not one of WeChat's.
    Answer(AnswerFault),
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// Above 64 KiB.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// WeChat answers 200 to everything; something else answered.
    #[error("it has the HTTP status {0}, and WeChat always answers 200")]
    Status(u16),
    /// Not a JSON object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A field is missing or has the wrong form.
    #[error("its field `{0}` is missing or has the wrong form")]
    Field(&'static str),
    /// The answer speaks of another user than the one that was asked for.
    #[error("it is about another openid")]
    OtherUser,
}

impl Error {
    pub(crate) fn new(call: Call, kind: Kind) -> Self {
        Self { call, kind }
    }

    /// The call that failed.
    pub fn call(&self) -> Call {
        self.call
    }

    /// How it failed.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What to do about it.
    pub fn reaction(&self) -> Reaction {
        match (&self.kind, self.call) {
            (Kind::Refused(code, _), Call::Exchange) => code.reaction_on_exchange(),
            (Kind::Refused(code, _), _) => code.reaction(),
            // A sent code is burned: nobody can tell whether the exchange was carried out.
            (Kind::Interrupted | Kind::Answer(_), Call::Exchange) => Reaction::StartAgain,
            (Kind::Answer(AnswerFault::OtherUser), _) => Reaction::Operator,
            (Kind::Unreachable | Kind::Interrupted | Kind::Answer(_), _) => Reaction::Retry,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call)?;
        match &self.kind {
            Kind::Refused(code, rid) => {
                write!(f, "wechat answered {code}")?;
                rid.as_ref().map_or(Ok(()), |rid| write!(f, ", rid {rid}"))
            }
            Kind::Unreachable => f.write_str("no connection to wechat could be made"),
            Kind::Interrupted => f.write_str("the connection to wechat was lost or timed out"),
            Kind::Answer(fault) => write!(f, "the answer is not one of wechat's: {fault}"),
        }
    }
}

impl std::error::Error for Error {}

/// WeChat's `rid`: names one request at WeChat's support. Its first group is the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rid(Box<str>);

impl Rid {
    /// Finds the id in an `errmsg`, in today's form (`rid: …`) or one of the old ones (`req_id: …`, `hint: […]`).
    pub(super) fn find(errmsg: &str) -> Option<Self> {
        let (_, rest) =
            ["rid: ", "req_id: ", "hint: ["].iter().find_map(|mark| errmsg.split_once(mark))?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let id: String = rest.chars().take_while(|c| is_part(*c)).take(64).collect();
        (!id.is_empty()).then(|| Self(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

/// An `errcode` of WeChat. Codes outside the table are kept as they are and count as the operator's to look at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrCode(i64);

impl ErrCode {
    /// -1: system error.
    pub const SYSTEM_BUSY: Self = Self(-1);
    /// 40029: invalid code.
    pub const INVALID_CODE: Self = Self(40029);
    /// 40163: code been used.
    pub const CODE_BEEN_USED: Self = Self(40163);

    /// The code with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// WeChat's number.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// What it means, in WeChat's own words where it has some.
    pub fn meaning(self) -> &'static str {
        self.entry().map_or("not in the table of known codes", |entry| entry.meaning)
    }

    /// Who has to do something.
    pub fn fault(self) -> Fault {
        self.entry().map_or(Fault::Operator, |entry| entry.fault)
    }

    /// What to do when a refresh, `userinfo` or `auth` answers this.
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

    /// Every code of the table.
    pub fn known() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| Self(entry.number))
    }

    /// Whether it says that a user's access token is no longer good.
    pub(super) fn is_dead_token(self) -> bool {
        matches!(self.0, 40001 | 40003 | 40014 | 42001 | 42007)
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.number == self.0)
    }
}

impl fmt::Display for ErrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.meaning())
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
        let lost = Error::new(Call::Exchange, Kind::Interrupted);
        assert_eq!(lost.reaction(), Reaction::StartAgain);
    }

    #[test]
    fn the_same_code_means_something_else_on_an_exchange() {
        assert_eq!(ErrCode::new(40001).reaction(), Reaction::Refresh);
        assert_eq!(ErrCode::new(40001).reaction_on_exchange(), Reaction::Operator);
    }

    #[test]
    fn an_unknown_code_is_the_operators_to_look_at() {
        let code = ErrCode::new(99999);
        assert_eq!(code.fault(), Fault::Operator);
        assert_eq!(code.reaction_on_exchange(), Reaction::Operator);
        assert_eq!(code.to_string(), "99999 (not in the table of known codes)");
    }

    #[test]
    fn w09_the_rid_is_found_in_every_form_and_nothing_else_of_the_message_is_kept() {
        let find = |errmsg: &str| Rid::find(errmsg).map(|rid| rid.to_string());
        let rid = "6206378a-793424c0-2e4091cc";
        assert_eq!(find(&format!("code been used, rid: {rid}")).as_deref(), Some(rid));
        assert_eq!(find(&format!("invalid credential rid: {rid}")).as_deref(), Some(rid));
        assert_eq!(
            find("code been used, hints: [ req_id: s3ClBa0052th26 ]").as_deref(),
            Some("s3ClBa0052th26")
        );
        assert_eq!(find("invalid credential hint: [xxxx]").as_deref(), Some("xxxx"));
        assert_eq!(find("rid: <script>"), None);
        assert_eq!(find("ok"), None);
    }
}
