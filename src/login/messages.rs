//! `/_wx/messages`: where WeChat tells of users who take their authorization back, so that they are forgotten here too, and
//! of those who begin or stop to follow the account.
//!
//! WeChat sends a message again until the answer is `success`, so that is said only once the user is forgotten, and saying
//! it twice does no harm.

use std::time::Duration;

use http::{Method, StatusCode, request::Parts};
use http_body::Body;

use super::{
    gate::Gate,
    observe::{Event, Revoked},
    pages::Page,
    request::{Unread, full_uri, parameters, read_small_body},
    respond::Reply,
    start::ACCOUNT,
};
use crate::{
    clock::Timestamp,
    session::UserKey,
    wechat::{BadMessage, MessageKeys, OpenId, Stamp},
};

/// How far WeChat's clock may be from ours. Nobody can send an older message again.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// What WeChat wants to hear, or else it asks again.
const DONE: &str = "success";
/// The user has taken an authorization back.
const REVOKED: &str = "user_authorization_revoke";
/// The user has begun to follow the account.
const FOLLOWED: &str = "subscribe";
/// The user has stopped following it.
const UNFOLLOWED: &str = "unsubscribe";
/// The user's WeChat account is no more.
const CANCELLED: &str = "user_authorization_cancellation";

/// Whether the account takes messages.
pub(super) fn are_taken(gate: &Gate) -> bool {
    gate.account().message_keys().is_some()
}

/// Why a request is not answered with what WeChat wants to hear.
enum Refusal {
    Status(StatusCode, &'static str),
    Message(BadMessage),
}

const fn refuse(status: StatusCode, word: &'static str) -> Refusal {
    Refusal::Status(status, word)
}

pub(super) async fn answer<B: Body>(gate: &Gate, head: &Parts, body: B) -> Reply {
    let Some(keys) = gate.account().message_keys() else { return Reply::page(Page::NotFound) };
    let signed = match Signed::of(head, keys) {
        Ok(signed) => signed,
        Err(refusal) => return refused(gate, refusal),
    };
    if head.method != Method::POST {
        // WeChat's console asks this when the address is registered there.
        return match signed.echo {
            Some(echo) => Reply::text(echo),
            None => refused(gate, refuse(StatusCode::BAD_REQUEST, "no_echostr")),
        };
    }
    let user = match told(gate, keys, &signed, head, body).await {
        Ok(Told::Forget(user)) => user,
        Ok(Told::Follows(user)) => {
            // Asked anew at the user's next request here. Other instances find out when what they know is old.
            gate.keeper().followers.forget(&user);
            return Reply::text(DONE.to_owned());
        }
        Ok(Told::Nothing) => return Reply::text(DONE.to_owned()),
        Err(refusal) => return refused(gate, refusal),
    };
    if let Err(error) = gate.store().remove_user(&user).await {
        return gate.store_down(&error);
    }
    gate.saw(Event::Revoked { what: Revoked::ByWeChat });
    tracing::info!(appid = %user.appid, "WeChat has told of a user who took the authorization back: forgotten");
    Reply::text(DONE.to_owned())
}

fn refused(gate: &Gate, refusal: Refusal) -> Reply {
    let (status, word) = match refusal {
        Refusal::Status(status, word) => (status, word),
        Refusal::Message(error) => {
            // Whoever has sent it knows the token, so this is for the operator, and cannot fill a log.
            tracing::warn!(%error, appid = %gate.account().appid(), "a message is refused");
            match error {
                BadMessage::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed_message"),
                _ => (StatusCode::FORBIDDEN, "refused_message"),
            }
        }
    };
    Reply::json(status, &serde_json::json!({ "error": word }))
}

/// What a request says that somebody has signed who knows the account's token.
struct Signed {
    timestamp: String,
    nonce: String,
    echo: Option<String>,
    msg_signature: Option<String>,
}

impl Signed {
    fn of(head: &Parts, keys: &MessageKeys) -> Result<Self, Refusal> {
        let names = ["signature", "timestamp", "nonce", "echostr", "msg_signature", ACCOUNT];
        let query = full_uri(head).query().unwrap_or_default();
        let parameters = parameters(query, names);
        let [signature, timestamp, nonce, echo, msg_signature, _] =
            parameters.map_err(|_| refuse(StatusCode::BAD_REQUEST, "malformed_query"))?;
        let unsigned = || refuse(StatusCode::FORBIDDEN, "bad_signature");
        let signature = signature.ok_or_else(unsigned)?;
        let (timestamp, nonce) = timestamp.zip(nonce).ok_or_else(unsigned)?;
        let signed = Self { timestamp, nonce, echo, msg_signature };
        if keys.has_signed(signed.stamp(), &signature) { Ok(signed) } else { Err(unsigned()) }
    }

    fn stamp(&self) -> Stamp<'_> {
        Stamp { timestamp: &self.timestamp, nonce: &self.nonce }
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let sent = self.timestamp.parse().map(Timestamp::from_unix);
        sent.is_ok_and(|sent| now.since(sent) <= FRESH && sent.since(now) <= FRESH)
    }
}

/// What a message says that matters here.
enum Told {
    /// The user is to be forgotten.
    Forget(UserKey),
    /// The user has begun to follow the account, or has stopped.
    Follows(UserKey),
    Nothing,
}

async fn told<B: Body>(
    gate: &Gate,
    keys: &MessageKeys,
    signed: &Signed,
    head: &Parts,
    body: B,
) -> Result<Told, Refusal> {
    if !signed.is_fresh(gate.now()) {
        return Err(refuse(StatusCode::FORBIDDEN, "old_timestamp"));
    }
    let body = read_small_body(head, body).await.map_err(|unread| match unread {
        Unread::TooLarge => refuse(StatusCode::PAYLOAD_TOO_LARGE, "message_too_large"),
        Unread::CutOff => refuse(StatusCode::BAD_REQUEST, "incomplete_message"),
    })?;
    let appid = gate.account().appid();
    let message = keys.read(appid, &body, signed.stamp(), signed.msg_signature.as_deref());
    let message = message.map_err(Refusal::Message)?;
    let event = message.field("Event").filter(|_| message.field("MsgType") == Some("event"));
    let user = |name| {
        let openid = message.field(name).and_then(|openid| OpenId::parse(openid).ok());
        let openid = openid.ok_or(refuse(StatusCode::BAD_REQUEST, "no_openid"))?;
        Ok(UserKey { appid: appid.clone(), openid })
    };
    match event {
        Some(REVOKED | CANCELLED) => user("OpenID").map(Told::Forget),
        Some(FOLLOWED | UNFOLLOWED) => user("FromUserName").map(Told::Follows),
        _ => Ok(Told::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_fresh_up_to_the_last_second_on_either_side() {
        let now = 1_700_000_000;
        let is_fresh = |timestamp: String| {
            let nonce = String::new();
            let signed = Signed { timestamp, nonce, echo: None, msg_signature: None };
            signed.is_fresh(Timestamp::from_unix(now))
        };
        let far = FRESH.as_secs();
        for good in [now, now - far, now + far] {
            assert!(is_fresh(good.to_string()), "{good}");
        }
        for bad in [now - far - 1, now + far + 1, 0, u64::MAX] {
            assert!(!is_fresh(bad.to_string()), "{bad}");
        }
        for bad in ["", "now", "-1", "1e9"] {
            assert!(!is_fresh(bad.to_owned()), "{bad}");
        }
    }
}
