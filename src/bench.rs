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

/// Writes the head of a request as an upstream gets it: without what it must not see, and with who has sent it.
#[cfg(feature = "gateway")]
pub fn strip_and_identify(
    text: &mut Vec<u8>,
    head: &http::request::Parts,
    request_id: &HeaderValue,
    user: &crate::login::WechatUser,
) {
    use http::HeaderName;

    use crate::{
        gateway::{
            client_address::ClientAddress,
            proxy::{Forwarding, Identity, Length, write_head},
        },
        login::WechatUser,
    };

    #[derive(Debug)]
    struct Somebody<'a>(&'a WechatUser);
    impl Identity for Somebody<'_> {
        fn tell(&self, line: &mut dyn FnMut(&HeaderName, &[u8])) {
            self.0.tell(&mut |name, value| line(name, value.as_bytes()));
        }
    }

    let forwarding = Forwarding {
        client: &ClientAddress::from(std::net::IpAddr::from([192, 0, 2, 7])),
        scheme: "https",
        underscores: false,
        host: None,
        request_id,
        identity: &Somebody(user),
    };
    write_head(text, head, Length::NoBody, &forwarding);
}
