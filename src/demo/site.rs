//! The demo site: an ordinary upstream that learns who is visiting from request headers alone.

use std::{cmp::Ordering, convert::Infallible, sync::Arc};

use askama::Template;
use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT_LANGUAGE, CACHE_CONTROL, COOKIE, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use percent_encoding::percent_decode_str;

/// Where the other parts of the demo are.
#[derive(Clone, Debug)]
pub(super) struct SiteFacts {
    /// The address of the gateway in front of this site, which people open.
    pub(super) public_url: String,
    /// The address of the simulator, as a browser reaches it.
    pub(super) simulator_url: String,
}

/// The site. It answers to every `Host`.
///
/// The gateway is expected to ask for nothing on `/` and `/app/` (`optional`), for `base` on `/silent` and for
/// `userinfo` on `/profile`.
pub(super) fn site(facts: SiteFacts) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/silent", get(silent))
        .route("/profile", get(profile))
        .route("/app", get(|| async { Redirect::permanent("/app/") }))
        .route("/app/", get(app))
        .fallback(not_found)
        .with_state(Arc::new(facts))
}

type Facts = State<Arc<SiteFacts>>;

#[derive(Template)]
#[template(path = "demo/home.html")]
struct Home<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

async fn home(State(facts): Facts, visit: Visit) -> Response {
    visit.answer(&facts, StatusCode::OK, &Home { visit: &visit, facts: &facts })
}

#[derive(Template)]
#[template(path = "demo/silent.html")]
struct Silent<'a> {
    visit: &'a Visit,
    user: &'a Visitor,
}

async fn silent(State(facts): Facts, visit: Visit) -> Response {
    let Some(user) = &visit.user else { return stranger(&facts, &visit) };
    visit.answer(&facts, StatusCode::OK, &Silent { visit: &visit, user })
}

#[derive(Template)]
#[template(path = "demo/profile.html")]
struct Profile<'a> {
    visit: &'a Visit,
    user: &'a Visitor,
}

async fn profile(State(facts): Facts, visit: Visit) -> Response {
    let Some(user) = &visit.user else { return stranger(&facts, &visit) };
    visit.answer(&facts, StatusCode::OK, &Profile { visit: &visit, user })
}

#[derive(Template)]
#[template(path = "demo/app.html")]
struct App<'a> {
    visit: &'a Visit,
}

async fn app(State(facts): Facts, visit: Visit) -> Response {
    visit.answer(&facts, StatusCode::OK, &App { visit: &visit })
}

#[derive(Template)]
#[template(path = "demo/stranger.html")]
struct Stranger<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

/// A page that needs a user was reached without one: not through the gateway, or the gateway's rules are wrong.
fn stranger(facts: &SiteFacts, visit: &Visit) -> Response {
    visit.answer(facts, StatusCode::FORBIDDEN, &Stranger { visit, facts })
}

#[derive(Template)]
#[template(path = "demo/not_found.html")]
struct NotFound<'a> {
    visit: &'a Visit,
}

async fn not_found(State(facts): Facts, visit: Visit) -> Response {
    visit.answer(&facts, StatusCode::NOT_FOUND, &NotFound { visit: &visit })
}

/// One request, as far as the pages care.
struct Visit {
    lang: Lang,
    /// The language was chosen just now, with `?lang=`.
    chosen: bool,
    user: Option<Visitor>,
    received: Vec<Received>,
    /// A cookie of the gateway arrived, which must never happen.
    leaked: bool,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let chosen = parts
            .uri
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("lang=")))
            .and_then(Lang::from_tag);
        let headers = &parts.headers;
        let lang = chosen
            .or_else(|| {
                cookies(headers)
                    .find(|(name, _)| name == LANG_COOKIE)
                    .and_then(|(_, tag)| Lang::from_tag(&tag))
            })
            .unwrap_or_else(|| Lang::preferred(headers));
        Ok(Self {
            lang,
            chosen: chosen.is_some(),
            user: Visitor::from_headers(headers),
            received: received(headers),
            leaked: cookies(headers)
                .any(|(name, _)| name.trim_start_matches("__Host-").starts_with("wxgate")),
        })
    }
}

impl Visit {
    fn has_cookies(&self) -> bool {
        self.received.iter().any(|header| header.name == COOKIE)
    }

    fn answer(&self, facts: &SiteFacts, status: StatusCode, page: &impl Template) -> Response {
        let Ok(html) = page.render() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let fixed = [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        let mut answer = (status, fixed, Html(html)).into_response();
        if self.chosen
            && let Ok(cookie) = self.lang.cookie(facts.public_url.starts_with("https://")).parse()
        {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        answer
    }
}

const LANG_COOKIE: &str = "demo-lang";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lang {
    Zh,
    En,
}

impl Lang {
    /// `zh`, `zh-CN`, `en-GB`, …; nothing for a language that the site does not speak.
    fn from_tag(tag: &str) -> Option<Self> {
        match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// What `Accept-Language` likes best. Who reads neither language gets English, and who says nothing Chinese.
    fn preferred(headers: &HeaderMap) -> Self {
        let Some(accept) = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok())
        else {
            return Self::Zh;
        };
        let ranked = accept.split(',').filter_map(|range| {
            let (tag, rest) = range.split_once(';').unwrap_or((range, ""));
            let weight: f32 =
                rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse().ok())?;
            (weight > 0.0).then_some((Self::from_tag(tag)?, weight))
        });
        // Of equals, the first: `max_by` would take the last.
        ranked
            .reduce(|best, next| match next.1.partial_cmp(&best.1) {
                Some(Ordering::Greater) => next,
                _ => best,
            })
            .map_or(Self::En, |(lang, _)| lang)
    }

    fn cookie(self, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        format!(
            "{LANG_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}",
            self.short()
        )
    }

    fn short(self) -> &'static str {
        self.t("zh", "en")
    }

    fn tag(self) -> &'static str {
        self.t("zh-CN", "en")
    }

    /// One text in both languages, of which the page shows one.
    fn t<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

/// Who is visiting, from the headers that the gateway sets.
struct Visitor {
    subject: String,
    appid: String,
    openid: String,
    unionid: String,
    scope: String,
    nickname: String,
    avatar: String,
}

impl Visitor {
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).map(value_text).unwrap_or_default();
        let subject = text("x-wechat-subject");
        (!subject.is_empty()).then(|| Self {
            subject,
            appid: text("x-wechat-appid"),
            openid: text("x-wechat-openid"),
            unionid: text("x-wechat-unionid"),
            scope: text("x-wechat-scope"),
            nickname: decoded(&text("x-wechat-nickname")),
            avatar: Some(text("x-wechat-avatar")).filter(|url| is_web(url)).unwrap_or_default(),
        })
    }

    /// What stands in for a picture: the first letter of the name, or else its first sign.
    fn initial(&self) -> Option<String> {
        let mut signs = self.nickname.chars();
        let letter = signs.clone().find(|c| c.is_alphanumeric());
        letter
            .or_else(|| signs.find(|c| !c.is_control() && !c.is_whitespace()))
            .map(|c| c.to_uppercase().to_string())
    }
}

/// One header, as it arrived.
struct Received {
    name: HeaderName,
    value: String,
    /// What a percent-encoded value says, where that differs.
    meaning: String,
}

/// Identity, then what a proxy says, then cookies; nothing else is anybody's business here.
fn received(headers: &HeaderMap) -> Vec<Received> {
    let rank = |name: &HeaderName| match name.as_str() {
        name if name.starts_with("x-wechat-") => Some(0),
        name if name.starts_with("x-forwarded-") => Some(1),
        "cookie" => Some(2),
        _ => None,
    };
    let mut list: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| Some((rank(name)?, name, value_text(value))))
        .map(|(rank, name, value)| {
            let meaning = if name == "x-wechat-nickname" { decoded(&value) } else { String::new() };
            let meaning = if meaning == value { String::new() } else { meaning };
            (rank, Received { name: name.clone(), value, meaning })
        })
        .collect();
    list.sort_by(|(a, x), (b, y)| (a, x.name.as_str()).cmp(&(b, y.name.as_str())));
    list.into_iter().map(|(_, header)| header).collect()
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.get_all(COOKIE).iter().flat_map(|value| {
        value_text(value)
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    })
}

fn value_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt;

    use super::*;

    type Headers = [(&'static str, &'static str)];

    const ALICE: &Headers = &[
        ("x-wechat-subject", "wx0123456789abcdef:oAlice"),
        ("x-wechat-appid", "wx0123456789abcdef"),
        ("x-wechat-openid", "oAlice"),
        ("x-wechat-unionid", "uAlice"),
        ("x-wechat-scope", "snsapi_userinfo"),
        ("x-wechat-nickname", "%E5%B0%8F%E7%BE%8E%F0%9F%8C%B8"),
        ("x-wechat-avatar", "http://127.0.0.1:9090/avatar/alice"),
        ("x-forwarded-user", "wx0123456789abcdef:oAlice"),
        ("cookie", "cart=3; theme=dark"),
    ];
    const BASE: &Headers = &[
        ("x-wechat-subject", "wx0123456789abcdef:oBob"),
        ("x-wechat-appid", "wx0123456789abcdef"),
        ("x-wechat-openid", "oBob"),
        ("x-wechat-scope", "snsapi_base"),
    ];

    struct Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: String,
    }

    impl Answer {
        fn has_id(&self, id: &str) -> bool {
            self.body.matches(&format!("id=\"{id}\"")).count() == 1
        }
    }

    async fn fetch(url: &str, headers: &[(&str, &str)]) -> Answer {
        fetch_at("http://127.0.0.1:8080", url, headers).await
    }

    async fn fetch_at(public_url: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        let site = site(SiteFacts {
            public_url: public_url.into(),
            simulator_url: "http://127.0.0.1:9090".into(),
        });
        let request = headers
            .iter()
            .fold(Request::get(url).header("host", "any.example"), |request, (name, value)| {
                request.header(*name, *value)
            })
            .body(Body::empty())
            .expect("a request");
        let answer = site.oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("UTF-8"),
        }
    }

    fn with<'a>(
        base: &[(&'a str, &'a str)],
        name: &'a str,
        value: &'a str,
    ) -> Vec<(&'a str, &'a str)> {
        let others = base.iter().copied().filter(|(other, _)| *other != name);
        others.chain([(name, value)]).collect()
    }

    #[tokio::test]
    async fn each_page_has_its_ids_in_both_languages() {
        let pages: [(&str, &Headers, &[&str]); 6] = [
            ("/", &[], &["anonymous"]),
            ("/", ALICE, &["signed-in", "nickname", "sign-out"]),
            ("/silent", BASE, &["openid", "subject", "scope", "sign-out"]),
            ("/silent", ALICE, &["openid", "subject", "scope", "nickname", "sign-out"]),
            ("/profile", ALICE, &["nickname", "openid", "subject", "scope", "sign-out"]),
            (
                "/app/",
                &[],
                &["app-user", "app-login", "nickname", "openid", "subject", "scope", "sign-out"],
            ),
        ];
        for (path, headers, ids) in pages {
            let zh =
                fetch(path, &with(headers, "accept-language", "zh-CN,zh;q=0.9,en;q=0.8")).await;
            let en =
                fetch(path, &with(headers, "accept-language", "en-US,en;q=0.9,zh;q=0.8")).await;
            assert!(
                zh.body.contains("<html lang=\"zh-CN\">") && en.body.contains("<html lang=\"en\">")
            );
            assert_ne!(zh.body, en.body);
            for answer in [zh, en] {
                assert_eq!(answer.status, StatusCode::OK, "{path}");
                assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
                for id in ids {
                    assert!(answer.has_id(id), "{path} has #{id} once");
                }
            }
        }
    }

    #[tokio::test]
    async fn home_greets_only_whom_it_knows() {
        let stranger = fetch("/", &[]).await;
        assert!(!stranger.has_id("signed-in") && !stranger.has_id("sign-out"));
        let alice = fetch("/", ALICE).await;
        assert!(!alice.has_id("anonymous") && alice.body.contains("小美🌸"));
    }

    #[tokio::test]
    async fn a_nickname_with_markup_is_inert_and_one_with_an_emoji_shows() {
        let script = "%3Cscript%3Ealert(%22x%22)%3C%2Fscript%3E%F0%9F%90%BC";
        for path in ["/", "/silent", "/profile"] {
            let answer = fetch(path, &with(ALICE, "x-wechat-nickname", script)).await;
            assert!(!answer.body.contains("<script"), "{path}");
            assert!(
                answer.body.contains("&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;🐼"),
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn broken_utf8_in_a_nickname_is_replaced() {
        let answer = fetch("/profile", &with(ALICE, "x-wechat-nickname", "%E5%B0x%ff")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains("\u{fffd}x\u{fffd}"));
    }

    #[tokio::test]
    async fn only_a_web_address_becomes_a_picture() {
        let image = "<img class=\"picture\"";
        assert!(fetch("/profile", ALICE).await.body.contains(image));
        for url in ["", "javascript:alert(1)", "data:image/svg+xml,x"] {
            let answer = fetch("/profile", &with(ALICE, "x-wechat-avatar", url)).await;
            assert!(!answer.body.contains(image), "{url}");
        }
    }

    #[tokio::test]
    async fn the_profile_lists_what_arrived_and_nothing_else() {
        let answer = fetch("/profile", &with(ALICE, "authorization", "Basic c2VjcmV0")).await;
        for (name, value) in ALICE {
            assert!(answer.body.contains(name) && answer.body.contains(value), "{name}");
        }
        assert!(!answer.body.contains("c2VjcmV0"));
        assert!(answer.has_id("clean") && !answer.has_id("leaked"));
    }

    #[tokio::test]
    async fn the_profile_says_when_a_cookie_of_the_gateway_arrives() {
        for cookie in ["__Host-wxgate=1", "a=b; wxgate=1", "wxgate-login-abcdefgh=1"] {
            let answer = fetch("/profile", &with(ALICE, "cookie", cookie)).await;
            assert!(answer.has_id("leaked") && !answer.has_id("clean"), "{cookie}");
        }
    }

    #[tokio::test]
    async fn a_page_that_needs_a_user_says_so_when_there_is_none() {
        for path in ["/silent", "/profile"] {
            let answer = fetch(path, &[]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            assert!(answer.body.contains("href=\"http://127.0.0.1:8080/\""), "{path}");
        }
    }

    #[tokio::test]
    async fn an_unknown_path_is_not_found() {
        for path in ["/nothing", "/app/x", "/silent/"] {
            let answer = fetch(path, ALICE).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert!(answer.body.contains("404"));
        }
    }

    #[tokio::test]
    async fn the_app_lives_under_a_folder() {
        let answer = fetch("/app", &[]).await;
        assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(answer.headers["location"], "/app/");
    }

    #[tokio::test]
    async fn a_chosen_language_is_used_and_remembered() {
        let english = [("accept-language", "en")];
        let chosen = fetch("/?lang=zh", &english).await;
        assert!(chosen.body.contains("<html lang=\"zh-CN\">"));
        let cookie = chosen.headers[SET_COOKIE].to_str().expect("text");
        assert!(cookie.starts_with("demo-lang=zh; ") && !cookie.contains("Secure"), "{cookie}");

        let later = fetch("/", &with(&english, "cookie", "a=b; demo-lang=zh")).await;
        assert!(
            later.body.contains("<html lang=\"zh-CN\">") && !later.headers.contains_key(SET_COOKIE)
        );

        let https = fetch_at("https://h5.example.com", "/?lang=en", &[]).await;
        assert!(https.headers[SET_COOKIE].to_str().expect("text").ends_with("; Secure"));
        assert!(!fetch("/?lang=fr", &english).await.headers.contains_key(SET_COOKIE));
    }

    #[test]
    fn the_language_follows_the_weights() {
        for (accept, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en;q=0.5, zh-Hant-TW;q=0.7", Lang::Zh),
            ("fr, en;q=0.3, zh;q=0.2", Lang::En),
            ("zh;q=0, en;q=0.1", Lang::En),
            ("en, zh", Lang::En),
            ("fr-FR", Lang::En),
            ("zh;q=nonsense", Lang::En),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_LANGUAGE, accept.parse().expect("a value"))]);
            assert_eq!(Lang::preferred(&headers), lang, "{accept}");
        }
        assert_eq!(Lang::preferred(&HeaderMap::new()), Lang::Zh);
    }

    #[test]
    fn the_initial_is_a_letter_where_there_is_one() {
        for (nickname, initial) in [
            ("alice", Some("A")),
            ("🌸小美", Some("小")),
            ("🐼", Some("🐼")),
            (" \u{7}", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([
                (HeaderName::from_static("x-wechat-subject"), "s".parse().expect("a value")),
                (
                    HeaderName::from_static("x-wechat-nickname"),
                    percent_encoding::utf8_percent_encode(
                        nickname,
                        percent_encoding::NON_ALPHANUMERIC,
                    )
                    .to_string()
                    .parse()
                    .expect("a value"),
                ),
            ]);
            let user = Visitor::from_headers(&headers).expect("a user");
            assert_eq!(user.initial().as_deref(), initial, "{nickname}");
        }
    }
}
