//! Properties of the whole layer: whatever the table of paths and whatever the request, only open paths are served.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{Empty, Full};
use percent_encoding::percent_decode_str;
use proptest::{collection::vec, prelude::*, sample::select};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    secret::AppSecret,
    session::{MemoryStore, NewSession, SessionId, UserChange, UserKey},
    wechat::{AppId, OpenId},
};

/// A login, and the id of somebody who is signed in there.
fn login() -> &'static (WechatLoginLayer, SessionId) {
    static LOGIN: OnceLock<(WechatLoginLayer, SessionId)> = OnceLock::new();
    LOGIN.get_or_init(|| {
        let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
        let account = Account::official_account("wx0123456789abcdef", secret).unwrap();
        let store = MemoryStore::new();
        let key = UserKey {
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("o1").unwrap(),
        };
        let session = wait(async {
            let user = store.put_user(key, UserChange::default()).await.unwrap();
            let now = SystemClock.now();
            let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
            store.create(new).await.unwrap().id()
        });
        let site = Origin::parse("https://h5.example.com").unwrap();
        (WechatLoginLayer::with_store(account, site, store), session)
    })
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The path that the app behind a layer got, if it got any.
fn served(policy: &Policy, target: &str, headers: &HeaderMap) -> Option<String> {
    let app = service_fn(|request: Request<Empty<Bytes>>| async move {
        let path = request.uri().path().to_owned();
        let mut response = Response::new(Full::new(Bytes::new()));
        response.headers_mut().insert("x-served", path.parse().unwrap());
        Ok::<_, std::convert::Infallible>(response)
    });
    let mut request = Request::get(target).body(Empty::<Bytes>::new()).ok()?;
    *request.headers_mut() = headers.clone();
    let service = login().0.clone().policy(policy.clone()).layer(app);
    let answer = wait(service.oneshot(request)).unwrap();
    answer.headers().get("x-served").map(|path| path.to_str().unwrap().to_owned())
}

const WORDS: [&str; 6] = ["a", "b", "open", "private", "x y", "订"];

fn rule() -> impl Strategy<Value = (Vec<&'static str>, Login)> {
    let logins = vec![Login::Off, Login::Optional, Login::Base, Login::Userinfo];
    (vec(select(&WORDS[..]), 0..4), select(logins))
}

/// A segment, written in some way, or something that servers do not agree on.
fn segment() -> impl Strategy<Value = String> {
    let encoded =
        |word: &str| word.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let plain = move |word: &str| {
        if word.is_ascii() && !word.contains(' ') { word.to_owned() } else { encoded(word) }
    };
    let odd =
        vec!["", ".", "..", "%2e%2E", "a;x=1", "..;", "open;", "a%2fb", "%5c", "%00", "%", "*"];
    prop_oneof![
        8 => select(&WORDS[..]).prop_map(plain),
        2 => select(&WORDS[..]).prop_map(encoded),
        1 => select(odd).prop_map(str::to_owned),
    ]
}

fn target() -> impl Strategy<Value = String> {
    let query = prop_oneof![Just(""), Just("?to=/open"), Just("?/../open"), Just("?x=%2f#")];
    (vec(segment(), 0..5), query).prop_map(|(path, query)| format!("/{}{query}", path.join("/")))
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let lines = [
        ("accept", "text/html"),
        ("authorization", "Bearer x"),
        ("cookie", "__Host-wxgate=0a1b2c3d-0000-4000-8000-0123456789ab"),
        ("cookie", "__Host-wxgate=; wxgate=1; __Host-wxgate-login-abcdefgh=AAAA"),
        ("host", "h5.example.com"),
        ("host", "localhost"),
        ("sec-fetch-mode", "navigate"),
        ("user-agent", "MicroMessenger/8.0.31"),
        ("user-agent", "kube-probe/1.29"),
        ("x-forwarded-uri", "/open"),
        ("x-original-url", "/open"),
        ("x-rewrite-url", "/open"),
        ("x-wechat-openid", "o1"),
        ("x-wechat-session", "0a1b2c3d-0000-4000-8000-0123456789ab"),
        ("upgrade", "websocket"),
    ];
    vec(select(lines.to_vec()), 0..6).prop_map(|lines| {
        lines
            .into_iter()
            .map(|(name, value)| {
                (name.parse::<http::HeaderName>().unwrap(), HeaderValue::from_static(value))
            })
            .collect()
    })
}

fn words(path: &str) -> Vec<String> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.map(|it| percent_decode_str(it).decode_utf8_lossy().into_owned()).collect()
}

/// What the longest rule asks that a path begins with, said once more without patterns.
fn asked(rules: &[(Vec<&str>, Login)], default: Login, path: &[String]) -> Login {
    let fits = |rule: &&(Vec<&str>, Login)| {
        path.len() >= rule.0.len() && rule.0.iter().zip(path).all(|(a, b)| a == b)
    };
    // Of two for the same prefix, the later one counts.
    let longest = rules.iter().filter(fits).max_by_key(|(prefix, _)| prefix.len());
    longest.map_or(default, |(_, login)| *login)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c24_only_what_the_table_opens_is_served_without_a_session(
        rules in vec(rule(), 0..6),
        default in select(vec![Login::Off, Login::Optional, Login::Base, Login::Userinfo]),
        target in target(),
        headers in headers(),
    ) {
        let policy = rules.iter().fold(Policy::all(default), |policy, (prefix, login)| {
            policy.path(&format!("/{}", prefix.join("/")), *login)
        });
        let cut = |words: Vec<String>| -> Vec<String> {
            words.into_iter().map(|it| it.split(';').next().unwrap_or_default().to_owned()).collect()
        };
        if let Some(path) = served(&policy, &target, &headers) {
            for words in [words(&path), cut(words(&path))] {
                let login = asked(&rules, default, &words);
                prop_assert!(login <= Login::Optional, "{} as {} {:?}", target, path, login);
            }
        }
        // The same with a session is served wherever a silent sign-in is enough, so that a no means something.
        let mut known = headers.clone();
        known.remove("x-wechat-session");
        let cookie = format!("__Host-wxgate={}", login().1.expose());
        known.insert("cookie", cookie.parse().unwrap());
        if let Some(path) = served(&policy, &target, &known) {
            let login = asked(&rules, default, &words(&path));
            prop_assert!(login <= Login::Base, "{} as {} {:?}", target, path, login);
        } else if let Ok(uri) = target.parse::<http::Uri>() {
            let path = uri.path().to_owned();
            let is_plain = !path.contains(['%', ';', '*']) && !path.contains("//") && !path.contains("/.");
            let login = asked(&rules, default, &words(&path));
            prop_assert!(!is_plain || login == Login::Userinfo, "{} {:?}", target, login);
        }
    }
}
