//! What `benches/` measures of the inside. No part of the interface: what is here changes with what it measures.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::{
    login::{Attempt, Gate, ReturnTo, Start},
    session::{SessionId, cookie::Cookies},
    wechat::Scope,
};

/// The session that a request's cookies name, on https.
pub fn session_cookie(headers: &HeaderMap) -> Option<SessionId> {
    Cookies::new(true, "__Host-wxgate").session_id(headers)
}

/// A sign-in that was sent to WeChat, and the request that comes back from there.
#[derive(Debug)]
pub struct PendingLogin {
    gate: Gate,
    attempt: Attempt,
    headers: HeaderMap,
}

impl PendingLogin {
    /// Sends a browser to WeChat, to come back to `target` afterwards.
    pub fn begin(gate: Gate, target: &str) -> Self {
        let target = ReturnTo::parse(target, gate.public_url());
        let begun = gate.attempts().begin(&HeaderMap::new(), Scope::Base, &target, Start::ByHand);
        let Ok(begun) = begun else { panic!("what a person has asked for is no loop") };
        let mut headers = HeaderMap::new();
        for cookie in begun.cookies {
            headers.append(COOKIE, pair(&cookie));
        }
        Self { gate, attempt: begun.attempt, headers }
    }

    /// Writes the cookie that keeps it.
    pub fn seal(&self) -> HeaderValue {
        self.gate.attempts().keep(&self.attempt)
    }

    /// Finds it in the cookies of the request that comes back.
    pub fn open(&self) -> bool {
        self.gate.attempts().find(&self.headers, &self.attempt.state).is_some()
    }
}

/// What a browser sends of a cookie that was set.
fn pair(set_cookie: &HeaderValue) -> HeaderValue {
    let line = set_cookie.to_str().expect("our cookies are ASCII");
    let pair = line.split(';').next().unwrap_or_default();
    HeaderValue::from_str(pair).expect("a part of a header's value is one")
}

/// Takes out of a request what an upstream must not see, and says who has sent it.
#[cfg(feature = "gateway")]
pub fn strip_and_identify(
    head: &mut http::request::Parts,
    request_id: &HeaderValue,
    user: &crate::login::WechatUser,
) {
    use crate::gateway::{
        client_address::TrustedProxies,
        proxy::{Forwarding, identify, prepare_request},
    };

    let client = TrustedProxies::default().client([192, 0, 2, 7].into(), &head.headers);
    let forwarding = Forwarding {
        client: &client.expect("a stranger's list is not read"),
        scheme: "https",
        underscores: false,
        rewrite: None,
        host: None,
        request_id,
    };
    prepare_request(head, &forwarding);
    identify(&mut head.headers, user.headers());
}
