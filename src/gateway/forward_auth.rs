//! Forward-auth: what a front proxy is told that asks whether a request may pass.
//!
//! One module, four dialects, which differ in where the original request is described and in what a refusal may be.
//! The verdict is the same as for a request that comes through the gateway, by the same route.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use http_body_util::{Empty, Full};

use super::{
    proxy::{self, Identity, Lines},
    site::{Found, Route, Site, Sites},
};
use crate::login::{
    Asker, Attended, Demand, Login, PREFIX, Page, Verdict, Visitor, canonicalise, json_reply,
};

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// How a front proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// nginx's `auth_request`: 200, 401 or 403, and nothing else while the store is up and WeChat says who follows.
    Oracle,
    /// nginx again, after a no: what goes to the browser, a redirect or a page. Never a yes, as the request itself is
    /// past the point where it could be served.
    Refusal,
    /// Traefik, Caddy and haproxy: a refusal goes to the browser as it is, so it may be a redirect or a page.
    Forward,
    /// Envoy: the same, and the original request is the request itself, below a prefix.
    ExtAuthz,
}

impl Dialect {
    /// The dialect that a path speaks.
    pub(crate) fn named_by(path: &str) -> Option<Self> {
        match path.strip_prefix(PREFIX)? {
            "/auth" => Some(Self::Oracle),
            "/refusal" => Some(Self::Refusal),
            "/forward-auth" => Some(Self::Forward),
            rest if rest == EXT_AUTHZ || below_ext_authz(rest).is_some() => Some(Self::ExtAuthz),
            _ => None,
        }
    }
}

const EXT_AUTHZ: &str = "/ext-authz";

fn below_ext_authz(rest: &str) -> Option<&str> {
    rest.strip_prefix(EXT_AUTHZ).filter(|path| path.starts_with('/'))
}

/// A description of the original request that is missing, contradicts itself, or can be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMetadata {
    #[error("{0} is missing, comes twice, or is no text")]
    NotOne(Name),
    #[error("{0} cannot be read")]
    Unreadable(Name),
    #[error("the original path is not in the one form that everybody reads alike")]
    Path,
    #[error(
        "X-Original-URL and X-Forwarded-Uri describe different requests; let the proxy set one and remove the other"
    )]
    Contradiction,
}

/// The name of a header, for messages.
type Name = &'static str;

/// What a front proxy is told, and of whose request.
pub(crate) struct Told<'a> {
    pub(crate) answer: Response<Full<Bytes>>,
    pub(crate) original: Option<Parts>,
    pub(crate) place: Option<(&'a Site, &'a Route)>,
    pub(crate) visitor: Visitor,
}

/// Answers a front proxy that is allowed to ask. `head` is its own request.
pub(crate) async fn answer(sites: &Sites, dialect: Dialect, head: Parts) -> Told<'_> {
    let mut told = match original(dialect, head) {
        Ok(original) => {
            let told = judge(sites, dialect, &original).await;
            Told { original: Some(original), ..told }
        }
        Err(bad) => {
            tracing::warn!(%bad, ?dialect, "a front proxy's question is refused");
            nowhere(deny(dialect, StatusCode::BAD_REQUEST, "bad_metadata"))
        }
    };
    not_to_be_kept(dialect, &mut told.answer);
    told
}

fn nowhere<'a>(answer: Response<Full<Bytes>>) -> Told<'a> {
    Told { answer, original: None, place: None, visitor: Visitor::Unasked }
}

/// Answers somebody who is no front proxy of ours.
pub(super) fn untrusted(dialect: Dialect) -> Response<Full<Bytes>> {
    let mut answer = deny(dialect, StatusCode::FORBIDDEN, "untrusted_peer");
    not_to_be_kept(dialect, &mut answer);
    answer
}

/// No verdict is good for another request.
fn not_to_be_kept(dialect: Dialect, answer: &mut Response<Full<Bytes>>) {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for session in ["Cookie", "X-WeChat-Session"] {
        if !headers.get_all(header::VARY).iter().any(|vary| vary == session) {
            headers.append(header::VARY, HeaderValue::from_static(session));
        }
    }
    if dialect == Dialect::Oracle {
        *answer.body_mut() = Full::default();
        let headers = answer.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
    }
}

async fn judge<'a>(sites: &'a Sites, dialect: Dialect, original: &Parts) -> Told<'a> {
    let host = original.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // The front proxy may serve hosts that are none of ours, also where we have a single site.
    let site = host.and_then(|host| sites.named(host)).filter(|site| site.answers_proxies());
    let Some(site) = site else {
        return nowhere(deny(dialect, StatusCode::FORBIDDEN, "unknown_site"));
    };
    let (gate, demand, route) = match site.find(original) {
        Ok(Found::Route(route)) => (route.gate(), route.demand().clone(), Some(route)),
        Ok(Found::Endpoint(gate)) => (gate, Demand::from(Login::Off), None),
        Ok(Found::Nothing) => return nowhere(deny(dialect, StatusCode::FORBIDDEN, "no_route")),
        Err(_) => return nowhere(deny(dialect, StatusCode::BAD_REQUEST, "bad_path")),
    };
    let place = route.map(|route| (site, route));
    let tell = |answer, visitor| Told { answer, original: None, place, visitor };
    let asker = match (dialect, route) {
        // Our endpoints have answers of their own, which are no verdicts: a front proxy has to pass them on to us.
        (Dialect::Oracle, _) | (_, None) => Asker::FrontProxy,
        (Dialect::Refusal | Dialect::Forward | Dialect::ExtAuthz, Some(_)) => Asker::Visitor,
    };
    let visitor = match gate.admit_by(original, &demand, asker) {
        Verdict::Pass(visitor) => visitor,
        Verdict::Answer(answer) => return tell(refusal(dialect, answer), Visitor::Anonymous),
        Verdict::Wait(pending) => {
            match gate.attend(pending, original, Empty::<Bytes>::new()).await {
                Attended::Pass(visitor, _) => visitor,
                Attended::Answer(answer) => {
                    return tell(refusal(dialect, answer), Visitor::Anonymous);
                }
            }
        }
    };
    let answer = match route {
        // It was refused a moment ago: the store or WeChat is back, or somebody has signed in or followed since. An empty
        // 200 would let a script believe that its order was taken.
        Some(_) if dialect == Dialect::Refusal => gate.page(Page::StoreDown, original),
        Some(route) => allow(route, &visitor, original),
        // An endpoint of ours always has an answer of its own.
        None => gate.page(Page::Broken, original),
    };
    tell(answer, visitor)
}

/// What we would answer ourselves, as a no. The page with one button, the one that keeps a fragment and the answer to a
/// preflight are a success elsewhere; a front proxy takes every success for a yes. Browsers show a 401 just as well.
fn refusal(dialect: Dialect, mut answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    if dialect != Dialect::Refusal && answer.status().is_success() {
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
    }
    answer
}

/// A yes, with what the app is to be told: who it is, and the cookies without ours.
fn allow(route: &Route, visitor: &Visitor, original: &Parts) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    let headers = answer.headers_mut();
    // Room for whatever may come.
    headers.reserve(16);
    // An empty line takes the place of the browser's; without any, some front proxies would leave that.
    let mut cookies = OneLine(HeaderValue::from_static(""));
    proxy::tell_theirs(&original.headers, &mut cookies);
    headers.insert(header::COOKIE, cookies.0);
    route.introduce(visitor.user()).tell(&mut |name, value| headers.line(name, value));
    answer
}

/// The one line that is told.
struct OneLine(HeaderValue);

impl Lines for OneLine {
    fn line(&mut self, _: &HeaderName, value: &[u8]) {
        self.0 = HeaderValue::from_bytes(value).expect("parts of header values make one");
    }

    fn known(&mut self, _: &HeaderName, value: &HeaderValue) {
        self.0 = value.clone();
    }
}

fn deny(dialect: Dialect, status: StatusCode, word: &'static str) -> Response<Full<Bytes>> {
    let status = if dialect == Dialect::Oracle { StatusCode::FORBIDDEN } else { status };
    json_reply(status, format!(r#"{{"error":"{word}"}}"#).into_bytes())
}

/// The original request, as the front proxy describes it: its own method, host and target, and the browser's headers.
fn original(dialect: Dialect, mut head: Parts) -> Result<Parts, BadMetadata> {
    let (method, host, target) = described(dialect, &head)?;
    if !is_host(&host) {
        return Err(BadMetadata::Unreadable("the original host"));
    }
    let host = HeaderValue::from_str(host.as_str())
        .map_err(|_| BadMetadata::Unreadable("the original host"))?;
    if !target.as_str().starts_with('/') {
        return Err(BadMetadata::Path);
    }
    head.method = method;
    head.uri = Uri::from(target);
    head.headers.insert(header::HOST, host);
    // What the front proxy will serve is the path as it came, so another form of it is of no use.
    let path = head.uri.path().to_owned();
    match canonicalise(&mut head) {
        Ok(()) if head.uri.path() == path => Ok(head),
        _ => Err(BadMetadata::Path),
    }
}

/// What the front proxy says of the original request.
fn described(
    dialect: Dialect,
    head: &Parts,
) -> Result<(Method, Authority, PathAndQuery), BadMetadata> {
    let headers = &head.headers;
    let (method, host, target) = match dialect {
        Dialect::Oracle | Dialect::Refusal if headers.contains_key(ORIGINAL_URL) => {
            let url = one(headers, &ORIGINAL_URL, "X-Original-URL")?;
            // The parser would drop a fragment, and nginx does not: it passes the whole target on.
            if url.contains('#') {
                return Err(BadMetadata::Path);
            }
            let url: Uri = url.parse().map_err(|_| BadMetadata::Unreadable("X-Original-URL"))?;
            check_scheme(url.scheme_str().unwrap_or_default(), "X-Original-URL")?;
            let host = url.authority().ok_or(BadMetadata::Unreadable("X-Original-URL"))?;
            let target = url.path_and_query().ok_or(BadMetadata::Unreadable("X-Original-URL"))?;
            let method = one(headers, &ORIGINAL_METHOD, "X-Original-Method")?;
            // A proxy describes a request in one way. What describes it in the other one may come from the browser,
            // and nobody knows which is which.
            let says = |name, said: &str| {
                !headers.contains_key(&name) || one(headers, &name, "") == Ok(said)
            };
            if !says(FORWARDED_METHOD, method) || !says(FORWARDED_URI, target.as_str()) {
                return Err(BadMetadata::Contradiction);
            }
            return Ok((read_method(method)?, host.clone(), target.clone()));
        }
        Dialect::Oracle | Dialect::Refusal | Dialect::Forward => {
            check_scheme(
                one(headers, &FORWARDED_PROTO, "X-Forwarded-Proto")?,
                "X-Forwarded-Proto",
            )?;
            let method = one(headers, &FORWARDED_METHOD, "X-Forwarded-Method")?;
            let host = one(headers, &FORWARDED_HOST, "X-Forwarded-Host")?;
            let target = one(headers, &FORWARDED_URI, "X-Forwarded-Uri")?;
            (method, host, target)
        }
        Dialect::ExtAuthz => {
            let host = one(headers, &header::HOST, "Host")?;
            let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let target = target.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(EXT_AUTHZ));
            let target = target.filter(|target| target.starts_with('/'));
            let target = target.ok_or(BadMetadata::Path)?;
            (head.method.as_str(), host, target)
        }
    };
    // The parser would drop a fragment, and front proxies do not.
    if !target.starts_with('/') || target.contains('#') {
        return Err(BadMetadata::Path);
    }
    let host = host.parse().map_err(|_| BadMetadata::Unreadable("the original host"))?;
    Ok((read_method(method)?, host, target.parse().map_err(|_| BadMetadata::Path)?))
}

fn read_method(method: &str) -> Result<Method, BadMetadata> {
    method.parse().map_err(|_| BadMetadata::Unreadable("the original method"))
}

/// Whether this is one host, with a port that there is, or without any.
fn is_host(authority: &Authority) -> bool {
    let host = authority.as_str();
    let has_good_port = authority.host() == host || authority.port_u16().is_some();
    has_good_port && !host.contains(['/', '@', '\\', ',', ' ', '?', '#'])
}

/// The one value of a header that has to be there once.
fn one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<&'a str, BadMetadata> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(value)), None) if !value.is_empty() => Ok(value),
        _ => Err(BadMetadata::NotOne(shown)),
    }
}

fn check_scheme(scheme: &str, shown: &'static str) -> Result<(), BadMetadata> {
    if matches!(scheme, "http" | "https") { Ok(()) } else { Err(BadMetadata::Unreadable(shown)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, lines: &[(&'static str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    type Lines<'a> = Vec<(&'static str, &'a str)>;

    fn described(dialect: Dialect, lines: &[(&'static str, &str)]) -> Result<String, BadMetadata> {
        let original = original(dialect, asked("/_wx/auth", lines))?;
        let host = original.headers[header::HOST].to_str().unwrap().to_owned();
        Ok(format!("{} {host} {}", original.method, original.uri))
    }

    fn nginx() -> Lines<'static> {
        vec![
            ("host", "127.0.0.1:8080"),
            ("x-original-url", "https://h5.example.com/a?b=//c"),
            ("x-original-method", "POST"),
        ]
    }

    fn traefik() -> Lines<'static> {
        vec![
            ("host", "127.0.0.1:8080"),
            ("x-forwarded-method", "PUT"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "h5.example.com"),
            ("x-forwarded-uri", "/a?b"),
        ]
    }

    fn with<'a>(lines: Lines<'static>, name: &'static str, value: &'a str) -> Lines<'a> {
        let mut lines: Lines<'a> = lines.into_iter().filter(|(known, _)| *known != name).collect();
        lines.push((name, value));
        lines
    }

    #[test]
    fn each_dialect_describes_the_original_request() {
        for dialect in [Dialect::Oracle, Dialect::Refusal] {
            assert_eq!(described(dialect, &nginx()).unwrap(), "POST h5.example.com /a?b=//c");
        }
        for dialect in [Dialect::Oracle, Dialect::Refusal, Dialect::Forward] {
            assert_eq!(described(dialect, &traefik()).unwrap(), "PUT h5.example.com /a?b");
        }
        let envoy = asked("/_wx/ext-authz/a?b", &[("host", "h5.example.com")]);
        let original = original(Dialect::ExtAuthz, envoy).unwrap();
        assert_eq!(original.uri, "/a?b");
        assert_eq!(original.headers["host"], "h5.example.com");
    }

    #[test]
    fn c16_c17_missing_doubled_or_malformed_metadata_describes_nothing() {
        for (dialect, good) in [(Dialect::Oracle, nginx()), (Dialect::Forward, traefik())] {
            assert!(described(dialect, &good).is_ok());
            for (name, _) in good.iter().filter(|(name, _)| *name != "host") {
                let without: Lines<'_> =
                    good.iter().filter(|(known, _)| known != name).copied().collect();
                assert!(described(dialect, &without).is_err(), "{dialect:?} without {name}");
                let doubled: Lines<'_> =
                    good.iter().chain(good.iter().filter(|(n, _)| n == name)).copied().collect();
                assert!(described(dialect, &doubled).is_err(), "{dialect:?} two {name}");
                let empty = with(good.clone(), name, "");
                assert!(described(dialect, &empty).is_err(), "{dialect:?} empty {name}");
            }
        }
        for (name, value) in [
            ("x-original-url", "/a"),
            ("x-original-url", "h5.example.com/a"),
            ("x-original-url", "ftp://h5.example.com/a"),
            ("x-original-url", "https://user@h5.example.com/a"),
            ("x-original-url", "https://h5.example.com//a"),
            ("x-original-url", "https://h5.example.com/a/../b"),
            ("x-original-url", "https://h5.example.com/a%2fb"),
            ("x-original-url", "https://h5.example.com/a\\b"),
            ("x-original-url", "https://h5.example.com/a;/b/..;/"),
            ("x-original-url", "https://h5.example.com/%2e%2e/b"),
            ("x-original-url", "https://h5.example.com/%zz"),
            ("x-original-url", "https://h5.example.com/public#/../private"),
            ("x-original-method", "GE T"),
        ] {
            let lines = with(nginx(), name, value);
            for dialect in [Dialect::Oracle, Dialect::Refusal] {
                assert!(described(dialect, &lines).is_err(), "{dialect:?} {name}: {value}");
            }
        }
        // A browser's own description beside the proxy's, in either order of who is who.
        for dialect in [Dialect::Oracle, Dialect::Refusal] {
            let both: Lines<'_> = nginx().into_iter().chain(traefik()).collect();
            assert_eq!(described(dialect, &both), Err(BadMetadata::Contradiction));
            let uri = with(nginx(), "x-forwarded-uri", "/public");
            assert_eq!(described(dialect, &uri), Err(BadMetadata::Contradiction));
            let same = with(nginx(), "x-forwarded-uri", "/a?b=//c");
            assert!(described(dialect, &same).is_ok());
        }
        for (name, value) in [
            ("x-forwarded-uri", "a"),
            ("x-forwarded-uri", "*"),
            ("x-forwarded-uri", "https://h5.example.com/a"),
            ("x-forwarded-uri", "//a"),
            ("x-forwarded-uri", "/a/./b"),
            ("x-forwarded-uri", "/a#/b"),
            ("x-forwarded-uri", "/a%00"),
            ("x-forwarded-host", "h5.example.com, evil.example"),
            ("x-forwarded-host", "h5.example.com/x"),
            ("x-forwarded-host", "a@h5.example.com"),
            ("x-forwarded-host", "h5.example.com:99999"),
            ("x-forwarded-host", "h5.example.com:"),
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-proto", "https,http"),
            ("x-forwarded-method", "(GET)"),
        ] {
            let lines = with(traefik(), name, value);
            assert!(described(Dialect::Forward, &lines).is_err(), "{name}: {value}");
        }
        for uri in ["/_wx/ext-authz", "/_wx/ext-authz//a", "/_wx/ext-authz/a/../b"] {
            let asked = asked(uri, &[("host", "h5.example.com")]);
            assert!(original(Dialect::ExtAuthz, asked).is_err(), "{uri}");
        }
        let nobody = asked("/_wx/ext-authz/a", &[]);
        assert!(original(Dialect::ExtAuthz, nobody).is_err());
    }

    #[test]
    fn dialects_have_paths_of_their_own() {
        assert_eq!(Dialect::named_by("/_wx/auth"), Some(Dialect::Oracle));
        assert_eq!(Dialect::named_by("/_wx/refusal"), Some(Dialect::Refusal));
        assert_eq!(Dialect::named_by("/_wx/forward-auth"), Some(Dialect::Forward));
        assert_eq!(Dialect::named_by("/_wx/ext-authz/_wx/me"), Some(Dialect::ExtAuthz));
        for other in ["/_wx/auth/", "/_wx/authx", "/auth", "/_wx/ext-authzx", "/_wx/forward-auth/x"]
        {
            assert_eq!(Dialect::named_by(other), None, "{other}");
        }
    }
}
