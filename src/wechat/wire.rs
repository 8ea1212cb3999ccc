//! Reads WeChat's answers: JSON that may hold raw control characters, broken UTF-8, and numbers written as strings.

use std::{net::IpAddr, time::Duration};

use serde_json::{Map, Value};

use super::{
    errcode::ErrCode,
    error::{AnswerFault, Call, Error, Kind, Rid, find_address},
    mini_program::MiniProgramSession,
    types::{Grant, InvalidId, OpenId, Scope, UnionId, Userinfo},
};
use crate::secret::{RefreshToken, SessionKey, UserToken};

/// What WeChat gives an access token; used where an answer does not say.
const TOKEN_LIFE: u64 = 7200;
/// Nothing of WeChat's lives longer. What says that it does would be kept for ever, or overflow what counts its time.
const LONGEST_LIFE: u64 = 30 * 24 * 60 * 60;

/// An answer that carries no error code, or code 0.
#[derive(Debug)]
pub(crate) struct Answer(Map<String, Value>);

/// What went wrong, and the address that an answer says we have.
#[derive(Debug)]
pub(crate) struct Failed {
    kind: Kind,
    seen_from: Option<IpAddr>,
}

impl Failed {
    pub(crate) fn of(self, call: Call) -> Error {
        Error::new(call, self.kind).seen_from(self.seen_from)
    }
}

impl From<Kind> for Failed {
    fn from(kind: Kind) -> Self {
        Self { kind, seen_from: None }
    }
}

impl Answer {
    /// Reads a body, whatever content type it came with. `code` makes an error code of its number.
    pub(crate) fn read(body: &[u8], code: fn(i64) -> ErrCode) -> Result<Self, Failed> {
        let answer = Self::object(&String::from_utf8_lossy(body))
            .ok_or(Kind::Answer(AnswerFault::NotAnObject))?;
        match answer.errcode()? {
            0 => Ok(answer),
            number => {
                let errmsg = answer.text("errmsg").unwrap_or_default();
                let kind = Kind::Refused(code(number), Rid::find(errmsg));
                Err(Failed { kind, seen_from: find_address(errmsg) })
            }
        }
    }

    /// Reads an object.
    pub(crate) fn object(text: &str) -> Option<Self> {
        match serde_json::from_str(&escape_control_characters(text)) {
            Ok(Value::Object(fields)) => Some(Self(fields)),
            _ => None,
        }
    }

    /// An object within this one.
    #[cfg(feature = "doors")]
    pub(crate) fn within(&self, name: &str) -> Option<Self> {
        self.0.get(name)?.as_object().cloned().map(Self)
    }

    pub(crate) fn grant(&self) -> Result<Grant, Kind> {
        Ok(Grant {
            openid: self.openid()?,
            unionid: self.unionid()?,
            scope: Scope::widest(self.text("scope").unwrap_or_default()),
            access_token: UserToken::new(self.required("access_token")?),
            refresh_token: self.nonempty("refresh_token").map(RefreshToken::new),
            expires_in: self.expires_in()?,
            is_snapshot_user: self.is_snapshot_user(),
        })
    }

    pub(crate) fn userinfo(&self) -> Result<Userinfo, Kind> {
        let text = |name| self.text(name).unwrap_or_default().to_owned();
        let privilege = self.0.get("privilege").and_then(Value::as_array);
        Ok(Userinfo {
            openid: self.openid()?,
            unionid: self.unionid()?,
            is_snapshot_user: self.is_snapshot_user(),
            nickname: text("nickname"),
            headimgurl: self.nonempty("headimgurl").map(str::to_owned),
            sex: self.number("sex").and_then(|sex| u8::try_from(sex).ok()).unwrap_or_default(),
            language: text("language"),
            city: text("city"),
            province: text("province"),
            country: text("country"),
            privilege: privilege
                .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
        })
    }

    /// How long a token or a ticket is good for.
    pub(crate) fn expires_in(&self) -> Result<Duration, Kind> {
        let seconds = match self.number("expires_in") {
            Some(seconds) => u64::try_from(seconds).map_err(|_| field("expires_in"))?,
            None => TOKEN_LIFE,
        };
        Ok(Duration::from_secs(seconds.min(LONGEST_LIFE)))
    }

    /// How long a token or a ticket is good for that all share: one that has ended already would be fetched for each request.
    pub(super) fn life(&self) -> Result<Duration, Kind> {
        match self.expires_in()? {
            Duration::ZERO => Err(field("expires_in")),
            life => Ok(life),
        }
    }

    pub(crate) fn mini_program_session(&self) -> Result<MiniProgramSession, Kind> {
        Ok(MiniProgramSession {
            openid: self.openid()?,
            unionid: self.unionid()?,
            session_key: SessionKey::new(self.required("session_key")?),
        })
    }

    pub(crate) fn openid(&self) -> Result<OpenId, Kind> {
        OpenId::parse(self.required("openid")?).map_err(|InvalidId { .. }| field("openid"))
    }

    /// A subject may rest on it, so one that is there and is none is not passed over.
    pub(crate) fn unionid(&self) -> Result<Option<UnionId>, Kind> {
        match self.0.get("unionid") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => match UnionId::parse(text) {
                Ok(unionid) => Ok(Some(unionid)),
                Err(InvalidId { .. }) => Err(field("unionid")),
            },
            Some(_) => Err(field("unionid")),
        }
    }

    /// Anything but an absent or a zero value says yes: a snapshot user who is believed would be somebody else.
    fn is_snapshot_user(&self) -> bool {
        match self.0.get("is_snapshotuser") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !matches!(text.trim(), "" | "0"),
            Some(_) => true,
        }
    }

    fn errcode(&self) -> Result<i64, Kind> {
        match self.0.get("errcode") {
            None | Some(Value::Null) => Ok(0),
            Some(_) => self.number("errcode").ok_or_else(|| field("errcode")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        number(self.0.get(name)?)
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<i64> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(number).collect()).unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn nonempty(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Kind> {
        self.nonempty(name).ok_or_else(|| field(name))
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(crate) fn field(name: &'static str) -> Kind {
    Kind::Answer(AnswerFault::Field(name))
}

/// Writes raw control characters inside strings as JSON wants them; between values, JSON takes only white space.
fn escape_control_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in text.chars() {
        if in_string && c.is_ascii_control() && c != '\u{7f}' {
            // After a backslash the pair means nothing: the backslash becomes one of its own.
            out.push_str(if escaped { "\\" } else { "" });
            out.push_str("\\u00");
            out.extend([u32::from(c) >> 4, u32::from(c) & 15].map(hex_digit));
            escaped = false;
            continue;
        }
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

fn hex_digit(value: u32) -> char {
    char::from_digit(value, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<Answer, Kind> {
        Answer::read(body, ErrCode::new).map_err(|failed| failed.kind)
    }

    #[test]
    fn w08_raw_control_characters_are_read_where_json_forbids_them() {
        let escape = escape_control_characters;
        assert_eq!(escape("{\"a\":\"x\u{14}\u{7}y\"}"), "{\"a\":\"x\\u0014\\u0007y\"}");
        assert_eq!(escape("{\n\t\"a\": \"\\\"\n\"}"), "{\n\t\"a\": \"\\\"\\u000a\"}");
        for tricky in ["{\"a\":\"\\\n\"}", "{\"a\":\"\\\\\n\"}", "{\"a\":\"\\\\\\\"\t\"}"] {
            assert!(serde_json::from_str::<Value>(&escape(tricky)).is_ok(), "{tricky:?}");
        }
        let plain = r#"{"nickname":"名字 \"quoted\" \\ \u0041","sex":0}"#;
        assert_eq!(escape(plain), plain);
    }

    #[test]
    fn w06_anything_that_may_mean_a_snapshot_user_does() {
        let flag = |value: &str| {
            let body = format!(r#"{{"access_token":"t","openid":"o1","is_snapshotuser":{value}}}"#);
            read(body.as_bytes()).unwrap().grant().unwrap().is_snapshot_user
        };
        for yes in ["1", "\"1\"", "true", "2", "[]", "1.0"] {
            assert!(flag(yes), "{yes}");
        }
        for no in ["0", "\"0\"", "false", "null", "\"\""] {
            assert!(!flag(no), "{no}");
        }
    }

    #[test]
    fn nothing_is_good_for_ever_and_what_all_share_is_good_for_a_while() {
        let answer = |life: &str| read(format!(r#"{{"expires_in":{life}}}"#).as_bytes()).unwrap();
        for (said, seconds) in [("7200", 7200), ("\"300\"", 300), ("null", TOKEN_LIFE)] {
            let life = Ok(Duration::from_secs(seconds));
            assert_eq!((answer(said).expires_in(), answer(said).life()), (life.clone(), life));
        }
        let longest = Duration::from_secs(LONGEST_LIFE);
        assert_eq!(answer(&i64::MAX.to_string()).life(), Ok(longest));
        assert_eq!(answer("0").expires_in(), Ok(Duration::ZERO));
        assert_eq!(answer("0").life(), Err(field("expires_in")));
        assert_eq!(answer("-1").expires_in(), Err(field("expires_in")));
    }

    #[test]
    fn w08_a_unionid_that_is_none_is_not_passed_over() {
        let unionid =
            |value: &str| read(format!(r#"{{"unionid":{value}}}"#).as_bytes()).unwrap().unionid();
        assert_eq!(unionid("\"oUn_1-\"").unwrap().unwrap().as_str(), "oUn_1-");
        for absent in ["null", "\"\""] {
            assert_eq!(unionid(absent), Ok(None), "{absent}");
        }
        for odd in ["5", "true", "[]", "{}", "\"a b\""] {
            assert_eq!(unionid(odd), Err(field("unionid")), "{odd}");
        }
    }

    #[test]
    fn w08_what_is_not_an_object_is_an_error_and_not_a_panic() {
        for bad in
            ["", "null", "[]", "\"x\"", "<html>", "{", "{\"a\":\"", "\u{0}", "{\"errcode\":{}}"]
        {
            assert!(matches!(read(bad.as_bytes()), Err(Kind::Answer(_))), "{bad:?}");
        }
        assert!(read(b"{}").is_ok());
    }
}
