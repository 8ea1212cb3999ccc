//! What can go wrong with a call to WeChat, who is at fault, and the right reaction.

use std::{fmt, net::IpAddr};

use super::errcode::{ErrCode, Reaction, Table};

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
    /// `/cgi-bin/stable_token` or `/cgi-bin/token`; WeCom's `/cgi-bin/gettoken`
    ServerToken,
    /// `/cgi-bin/user/info`
    UserInfo,
    /// `/cgi-bin/ticket/getticket`; WeCom's `/cgi-bin/get_jsapi_ticket`
    JsapiTicket,
    /// `/sns/jscode2session`
    Code2Session,
    /// WeCom's `/cgi-bin/auth/getuserinfo`
    WecomUser,
    /// WeCom's `/cgi-bin/auth/getuserdetail`
    WecomDetail,
}

impl Call {
    /// A short name for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Refresh => "refresh",
            Self::Userinfo => "userinfo",
            Self::Auth => "auth",
            Self::ServerToken => "server_token",
            Self::UserInfo => "user_info",
            Self::JsapiTicket => "jsapi_ticket",
            Self::Code2Session => "code2session",
            Self::WecomUser => "wecom_user",
            Self::WecomDetail => "wecom_detail",
        }
    }

    /// Whether a code is burned by it, whatever comes of it.
    const fn burns_code(self) -> bool {
        matches!(self, Self::Exchange | Self::Code2Session | Self::WecomUser)
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
    seen_from: Option<IpAddr>,
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
        Self { call, kind, seen_from: None }
    }

    /// Of an answer that is about another user than the one that was asked for.
    pub(crate) fn other_user(call: Call) -> Self {
        Self::new(call, Kind::Answer(AnswerFault::OtherUser))
    }

    /// With the address that the answer says we have.
    pub(super) fn seen_from(mut self, address: Option<IpAddr>) -> Self {
        self.seen_from = address;
        self
    }

    /// The call that failed.
    pub fn call(&self) -> Call {
        self.call
    }

    /// How it failed.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The address that WeChat saw the call come from, where the address is what it refuses.
    pub fn refused_address(&self) -> Option<IpAddr> {
        match &self.kind {
            Kind::Refused(code, _) if code.is_about_address() => self.seen_from,
            _ => None,
        }
    }

    /// Whether the account's own `access_token`, which the call was made with, is no longer good. WeChat looks at it before
    /// anything else, so that a call with a code may be made again with another token.
    pub fn is_dead_server_token(&self) -> bool {
        match (&self.kind, self.call) {
            (
                Kind::Refused(code, _),
                Call::UserInfo | Call::JsapiTicket | Call::WecomUser | Call::WecomDetail,
            ) => code.is_dead_server_token(),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn reaction(&self) -> Reaction {
        if self.is_dead_server_token() {
            return Reaction::Refresh;
        }
        match (&self.kind, self.call) {
            (Kind::Refused(code, _), call) if call.burns_code() => code.reaction_on_exchange(),
            (Kind::Refused(code, _), Call::ServerToken) => code.reaction_on_server_token(),
            (Kind::Refused(code, _), _) => code.reaction(),
            // A sent code is burned: nobody can tell whether the exchange was carried out.
            (Kind::Interrupted | Kind::Answer(_), call) if call.burns_code() => {
                Reaction::StartAgain
            }
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
                let (who, id) = match code.table() {
                    Table::Wechat => ("wechat", "rid"),
                    Table::Wecom => ("wecom", "hint"),
                };
                write!(f, "{who} answered {code}")?;
                if let Some(rid) = rid {
                    write!(f, ", {id} {rid}")?;
                }
                if code.is_about_address() {
                    match self.seen_from {
                        Some(address) => write!(f, "; put {address}, which {who} saw,")?,
                        None => f.write_str("; put this machine's public address")?,
                    }
                    f.write_str(" on the list of addresses (IP白名单) at the account's console")?;
                }
                Ok(())
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

/// Finds our address in an `errmsg`: `invalid ip 203.0.113.7 ipv6 …, not in whitelist` or `…, from ip: 203.0.113.7, …`.
pub(super) fn find_address(errmsg: &str) -> Option<IpAddr> {
    let (_, rest) = ["from ip: ", "invalid ip "].iter().find_map(|it| errmsg.split_once(it))?;
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(call: Call, code: ErrCode) -> Error {
        Error::new(call, Kind::Refused(code, Some(Rid("6206378a-1-2".into()))))
    }

    #[test]
    fn w04_a_call_that_burns_a_code_is_never_to_be_repeated() {
        for call in [Call::Exchange, Call::Code2Session, Call::WecomUser] {
            for kind in [Kind::Interrupted, Kind::Answer(AnswerFault::NotAnObject)] {
                assert_eq!(Error::new(call, kind).reaction(), Reaction::StartAgain);
            }
            for code in [ErrCode::SYSTEM_BUSY, ErrCode::wecom(-1)] {
                assert_eq!(refused(call, code).reaction(), Reaction::StartAgain, "{call}");
            }
        }
        assert_eq!(Error::new(Call::UserInfo, Kind::Interrupted).reaction(), Reaction::Retry);
    }

    #[test]
    fn a_dead_token_is_one_that_the_call_was_made_with() {
        for number in [40001, 40014, 42001] {
            let code = ErrCode::new(number);
            assert!(refused(Call::UserInfo, code).is_dead_server_token(), "{code}");
            assert!(refused(Call::JsapiTicket, code).is_dead_server_token(), "{code}");
            assert!(!refused(Call::ServerToken, code).is_dead_server_token(), "{code}");
            assert!(!refused(Call::Userinfo, code).is_dead_server_token(), "a user's {code}");
        }
        assert!(!refused(Call::UserInfo, ErrCode::new(40003)).is_dead_server_token());
        // The same number says "wrong secret" at WeCom.
        assert!(!refused(Call::WecomUser, ErrCode::wecom(40001)).is_dead_server_token());
        let dead = refused(Call::WecomUser, ErrCode::wecom(42001));
        assert!(dead.is_dead_server_token() && dead.reaction() == Reaction::Refresh);
        let wrong_secret = refused(Call::ServerToken, ErrCode::new(40001));
        assert_eq!(wrong_secret.reaction(), Reaction::Operator);
    }

    #[test]
    fn an_address_that_is_refused_is_named_and_so_is_what_to_do() {
        let find = |errmsg: &str| find_address(errmsg).map(|address| address.to_string());
        let long = "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 62-1-2";
        assert_eq!(find(long).as_deref(), Some("203.0.113.7"));
        assert_eq!(find("invalid ip 2001:db8::7, not in").as_deref(), Some("2001:db8::7"));
        let wecom = "not allow to access from your ip, hint: [1_2], from ip: 203.0.113.9, more";
        assert_eq!(find(wecom).as_deref(), Some("203.0.113.9"));
        for other in ["invalid ip <script>", "invalid ip ", "invalid appid", "from ip: 1.2.3"] {
            assert_eq!(find(other), None, "{other}");
        }
        let error = refused(Call::ServerToken, ErrCode::new(40164));
        let text = error.clone().seen_from(find_address(long)).to_string();
        assert_eq!(
            text,
            "server_token: wechat answered 40164 (this machine's address is not in the account's list), \
             rid 6206378a-1-2; put 203.0.113.7, which wechat saw, on the list of addresses (IP白名单) at the \
             account's console"
        );
        assert!(error.to_string().contains("put this machine's public address on the list"));
        let other = refused(Call::ServerToken, ErrCode::new(40125)).seen_from(find_address(long));
        assert!(!other.to_string().contains("203.0.113.7"), "{other}");
        assert_eq!(other.refused_address(), None);
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
