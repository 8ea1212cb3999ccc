//! Questions as front proxies ask them, over sockets of our own.

use super::{Fronts, Raw, written};
use crate::world::WECHAT;

/// The ways to ask: a path, and where the original request is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// nginx.
    Auth,
    /// The same question with the other names.
    AuthForwarded,
    /// nginx after a no.
    Refusal,
    /// Traefik and Caddy.
    Forward,
    /// Envoy.
    ExtAuthz,
}

pub const WAYS: [Way; 5] =
    [Way::Auth, Way::AuthForwarded, Way::Refusal, Way::Forward, Way::ExtAuthz];
/// Those that can say yes.
pub const VERDICTS: [Way; 4] = [Way::Auth, Way::AuthForwarded, Way::Forward, Way::ExtAuthz];

/// A question that is not yet asked. Values are bytes, as not all of them are text.
#[derive(Clone, Debug)]
pub struct Question {
    pub way: Way,
    pub method: String,
    pub target: String,
    pub lines: Vec<(String, Vec<u8>)>,
}

impl Question {
    /// About a request to the site `h5`.
    pub fn about(way: Way, fronts: &Fronts, method: &str, target: &str) -> Self {
        Self::at(way, &format!("h5.localhost:{}", fronts.port), method, target)
    }

    pub fn at(way: Way, host: &str, method: &str, target: &str) -> Self {
        let url = format!("http://{host}{target}");
        let original = [("x-original-url", &*url), ("x-original-method", method)];
        let forwarded = [
            ("x-forwarded-method", method),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", host),
            ("x-forwarded-uri", target),
        ];
        let get = || "GET".to_owned();
        let (method, path, own_host, metadata) = match way {
            Way::Auth => (get(), "/_wx/auth".to_owned(), "wxgate", &original[..]),
            Way::AuthForwarded => (get(), "/_wx/auth".to_owned(), "wxgate", &forwarded[..]),
            Way::Refusal => (get(), "/_wx/refusal".to_owned(), "wxgate", &original[..]),
            Way::Forward => (get(), "/_wx/forward-auth".to_owned(), "wxgate", &forwarded[..]),
            Way::ExtAuthz => (method.to_owned(), format!("/_wx/ext-authz{target}"), host, &[][..]),
        };
        let question = Self { way, method, target: path, lines: Vec::new() };
        let question = question.with("host", own_host).with("user-agent", WECHAT);
        metadata.iter().fold(question, |question, (name, value)| question.with(name, value))
    }

    /// With this line as well.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// With another value for a line that is there.
    pub fn saying(mut self, name: &str, value: &[u8]) -> Self {
        let line = self.lines.iter_mut().find(|(known, _)| known == name);
        line.expect("it is there").1 = value.to_vec();
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.lines.retain(|(known, _)| known != name);
        self
    }

    pub fn metadata(&self) -> Vec<(String, Vec<u8>)> {
        let lines = self.lines.iter().filter(|(name, _)| name.starts_with("x-"));
        lines.cloned().collect()
    }

    pub async fn ask(&self, fronts: &Fronts) -> Raw {
        let mut request = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.lines {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                request.extend_from_slice(part);
            }
        }
        request.extend_from_slice(b"connection: close\r\n\r\n");
        written(fronts.gateway, &request).await
    }
}

/// What a yes looks like, and for the way that has none, what stands in its place.
#[track_caller]
pub fn assert_good(way: Way, answer: &Raw, openid: &str) {
    if way == Way::Refusal {
        assert_eq!(answer.status, 503, "{answer:?}");
    } else {
        assert_eq!((answer.status, &*answer.body), (200, ""), "{way:?} {answer:?}");
        assert_eq!(answer.header("x-wechat-openid"), Some(openid), "{way:?}");
    }
}
