//! Every page of the gateway, seen in a browser: on a phone and on a desk, light and dark, in Chinese and in English.
//!
//! The pictures are kept in `target/screenshots`, or where `WXGATE_SCREENSHOTS` says.

use std::{
    collections::BTreeSet,
    env, fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use wxgate::{
    session::MemoryStore,
    wechat::{Backoff, Client, Endpoints},
};

use super::{Chromium, Options};
use crate::{
    domains::{Sites, Visitor, next, simulator},
    doors::Place,
    facade::SHOP,
    faults::Watched,
    world::{Answer, WECHAT, serve},
};

const SITE: &str = r#"
    [site.one]
    public_url = "http://one.localhost:PORT"
    upstream = "APP"
    account = "main"
    [[site.one.route]]
    prefix = "/profile"
    login = "userinfo"
    [[site.one.route]]
    prefix = "/staff"
    allow_openids = ["oNobody0000000000000000000000"]
    [[site.one.route]]
    prefix = "/dead"
    login = "off"
    upstream = "http://127.0.0.1:1"
    [[site.one.route]]
    prefix = "/upload"
    login = "off"
    body_limit = 1

    [client.shop]
    appid = "wxabcdefabcdefabcd"
    site = "one"
    redirect_uris = ["http://127.0.0.1/callback"]
"#;

/// Pages that nobody can be made to see: a defect of our own, and one for front proxies, which take no body.
const UNSEEN: [&str; 2] = ["Something broke", "The proxy is not set up right"];

/// The pages of one language, each with a name.
struct Album {
    lang: &'static str,
    pages: Vec<(String, Answer)>,
}

impl Album {
    fn add(&mut self, name: &str, page: Answer) {
        let kind = page.headers.get(header::CONTENT_TYPE).expect("it has a kind");
        assert_eq!(kind, "text/html; charset=utf-8", "{name}: {page:?}");
        self.pages.push((format!("{name}-{}", self.lang), page));
    }

    fn visitor(&self, sites: &Sites, user: &str) -> Visitor {
        sites.visitor(user).with("accept-language", self.lang)
    }

    async fn collect(lang: &'static str) -> Self {
        let mut album = Self { lang, pages: Vec::new() };
        album.of_everyday().await;
        album.of_sign_outs().await;
        album.of_loops().await;
        album.of_failures().await;
        album.of_outages().await;
        album.of_other_browsers().await;
        album.of_doors().await;
        album
    }

    async fn of_everyday(&mut self) {
        let sites = Sites::start(SITE).await;
        let at = |path: &str| sites.at("one", path);
        let alice = self.visitor(&sites, "alice");
        self.add("ask-first", alice.get(&at("/profile")).await);
        let refusing = self.visitor(&sites, "alice").with("x-simulator-consent", "deny");
        self.add("refused", refusing.walk(&at("/_wx/login?scope=userinfo")).await);
        let carol = self.visitor(&sites, "carol");
        self.add("snapshot", carol.walk(&at("/_wx/login?scope=userinfo")).await);
        let state = "a".repeat(32);
        self.add(
            "meaningless",
            alice.get(&at(&format!("/_wx/callback?code=x&state={state}"))).await,
        );
        self.add("malformed", alice.get(&at("/_wx/callback?code=x&code=y")).await);
        self.add("bad-path", alice.get(&at("/a%2fb")).await);
        self.add("not-found", alice.get(&at("/_wx/nothing")).await);
        let html = [("accept", "text/html")];
        self.add("method", alice.send(Method::POST, &at("/_wx/callback"), &html).await);
        let client =
            format!("/connect/oauth2/authorize?appid={SHOP}&redirect_uri=https://evil.example");
        self.add("unknown-client", alice.get(&at(&client)).await);
        self.add("upstream", alice.get(&at("/dead")).await);
        let large =
            alice.send_body(Method::POST, &at("/upload"), &html, "larger than one byte").await;
        assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(!large.body.contains("upstream_unavailable"), "{large:?}");
        self.add("upstream-too-large", large);
        alice.walk(&at("/page")).await;
        self.add("not-admitted", alice.walk(&at("/staff")).await);
        let limited = Sites::with("rate_limit = 1", SITE).await;
        let bob = self.visitor(&limited, "bob");
        bob.get(&limited.at("one", "/_wx/login")).await;
        self.add("too-many", bob.get(&limited.at("one", "/_wx/login")).await);
    }

    async fn of_sign_outs(&mut self) {
        let sites = Sites::start(SITE).await;
        let logout = sites.at("one", "/_wx/logout");
        let alice = self.visitor(&sites, "alice");
        self.add("signed-out", alice.get(&logout).await);
        self.add("nobody-to-end", alice.log_out(&format!("{logout}?everywhere=1")).await);
        let foreign = [("origin", "https://evil.example")];
        self.add("foreign-logout", alice.send(Method::POST, &logout, &foreign).await);
        alice.walk(&sites.at("one", "/page")).await;
        self.add("ask-logout", alice.get(&logout).await);
    }

    async fn of_loops(&mut self) {
        let sites = Sites::start(SITE).await;
        let page = sites.at("one", "/page");
        let never_back = self.visitor(&sites, "alice");
        let no_session = self.visitor(&sites, "alice");
        for _ in 0..2 {
            never_back.get(&page).await;
            no_session.get(&next(&no_session.walk_to(&page, "/_wx/callback").await)).await;
            no_session.forget("one", "wxgate");
        }
        self.add("loop-never-back", never_back.get(&page).await);
        self.add("loop-no-session", no_session.get(&page).await);
    }

    /// With an API that answers every exchange with an error.
    async fn of_failures(&mut self) {
        let errcode = Arc::new(AtomicI64::new(0));
        let api = serve(Router::new().fallback(fail).with_state(errcode.clone())).await;
        let sim = simulator().await;
        let endpoints = Endpoints::default().with_open(&sim.url()).unwrap();
        let endpoints = endpoints.with_api([format!("http://{api}")]).unwrap();
        let client = Client::builder(endpoints).backoff(Backoff { tries: 1, ..Backoff::default() });
        let sites = Sites::with_settings("rate_limit = 0", SITE, |settings, _| {
            settings.client(client.build())
        })
        .await;
        let page = sites.at("one", "/page");
        for (name, number) in [
            ("failed-at-wechat", 45011),
            ("failed-for-user", 50002),
            ("failed-here", 40125),
            ("failed-unreadable", 1),
            ("failed-stale", 40029),
        ] {
            errcode.store(number, Ordering::SeqCst);
            let alice = self.visitor(&sites, "alice");
            self.add(name, alice.walk(&page).await);
            if number == 40029 {
                self.add("loop-refused", alice.walk(&page).await);
            }
        }
    }

    async fn of_outages(&mut self) {
        let mut down = Arc::default();
        let sites = Sites::with_settings("rate_limit = 0", SITE, |settings, clock| {
            let store = Watched::new(MemoryStore::builder().clock(clock).build());
            down = store.down();
            settings.store(store)
        })
        .await;
        let alice = self.visitor(&sites, "alice");
        alice.walk(&sites.at("one", "/page")).await;
        down.store(true, Ordering::SeqCst);
        self.add("store-down", alice.get(&sites.at("one", "/page")).await);
    }

    async fn of_doors(&mut self) {
        let members = "[[site.h5.route]]\nprefix = '/members'\nrequire = 'follower'";
        let staff = "[[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'";
        let place = Place::start(&format!("{members}\n{staff}")).await;
        let bob = |agent| {
            place.browser("bob").with("accept-language", self.lang).with("user-agent", agent)
        };
        let follow = bob(WECHAT).walk("/members").await;
        let staff = bob("Mozilla/5.0 wxwork/4.1.30 MicroMessenger/7.0.1").walk("/staff").await;
        self.add("follow", follow);
        self.add("not-a-member", staff);
    }

    /// Where WeChat is the real one, only its own browser can sign in.
    async fn of_other_browsers(&mut self) {
        let sites = Sites::with_settings("rate_limit = 0", SITE, |settings, _| {
            settings.client(Client::new(Endpoints::default()))
        })
        .await;
        let desk = self.visitor(&sites, "alice").with("user-agent", "Mozilla/5.0 Chrome/140");
        self.add("not-in-wechat", desk.get(&sites.at("one", "/page?a=b")).await);
        let long = sites.at("one", &format!("/orders/{}?from=menu", "0123456789".repeat(40)));
        self.add("not-in-wechat-long", desk.get(&long).await);
    }
}

async fn fail(State(errcode): State<Arc<AtomicI64>>) -> impl IntoResponse {
    let number = errcode.load(Ordering::SeqCst);
    if number == 1 {
        return "<html>502</html>".into_response();
    }
    let rid = "65ab3c2d-1f2e3d4c-5b6a7980";
    Json(json!({ "errcode": number, "errmsg": format!("some error, rid: {rid}") })).into_response()
}

/// Every English title that there is.
fn titles() -> BTreeSet<String> {
    let words = include_str!("../../../src/login/words.rs");
    let mut titles = BTreeSet::new();
    for definition in words.split("Words =").skip(1) {
        let definition = definition.split(";\n").next().unwrap();
        let mut texts = definition.split('"').skip(1).step_by(2);
        // Those that share a title stand in a constant of their own.
        let title = if definition.contains("LOOP,") {
            "The sign-in does not hold"
        } else if definition.contains("FOLLOW_FIRST,") {
            "Follow the account first"
        } else if definition.contains("FAILED,") {
            "Sign-in failed"
        } else {
            texts.nth(1).unwrap()
        };
        titles.insert(title.to_owned());
    }
    titles
}

/// Serves a page of the album at its place in it, as it was received.
pub(super) async fn show(State(pages): State<Arc<Mutex<Vec<Answer>>>>, uri: Uri) -> Response {
    if uri.path() == "/_wx/follow-code" {
        let kind = [(header::CONTENT_TYPE, "image/svg+xml")];
        let drawing = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M1 1h3v3h-3zM5 5h3v3h-3z'/></svg>";
        return (kind, drawing).into_response();
    }
    let at: usize = uri.path()[1..].parse().unwrap();
    let pages = pages.lock().unwrap();
    let page = &pages[at];
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::CONTENT_SECURITY_POLICY, header::X_FRAME_OPTIONS] {
        headers.insert(name.clone(), page.headers[name].clone());
    }
    (page.status, headers, page.body.clone()).into_response()
}

/// What is wrong with the page that is shown: a list of texts.
pub(super) const LOOK: &str = r"
    const wrong = [];
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) wrong.push(`${root.scrollWidth} wide in ${innerWidth}`);
    if (!document.title.trim()) wrong.push('no title');
    if (root.lang !== arguments[0]) wrong.push(`lang ${root.lang}`);
    if (document.querySelectorAll('h1').length !== 1) wrong.push('headings');
    const parse = colour => {
      const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
      return { r, g, b, a };
    };
    const over = (top, low) => {
      const mix = name => top[name] * top.a + low[name] * (1 - top.a);
      return { r: mix('r'), g: mix('g'), b: mix('b'), a: 1 };
    };
    const canvas = matchMedia('(prefers-color-scheme: dark)').matches
      ? { r: 18, g: 18, b: 18, a: 1 } : { r: 255, g: 255, b: 255, a: 1 };
    const ground = element => element
      ? over(parse(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : canvas;
    const light = ({ r, g, b }) => [r, g, b]
      .map(part => part / 255).map(part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
      .reduce((sum, part, i) => sum + part * [.2126, .7152, .0722][i], 0);
    for (const element of document.querySelectorAll('h1, .text, .button, dt, dd, footer')) {
      if (!element.checkVisibility()) continue;
      const low = ground(element), top = over(parse(getComputedStyle(element).color), low);
      const [dim, bright] = [light(low), light(top)].sort((a, b) => a - b);
      const contrast = (bright + .05) / (dim + .05);
      const box = element.getBoundingClientRect();
      const what = `${element.tagName}.${element.className} ${element.id}`;
      // White on WeChat's own green is what everybody knows, and large.
      if (contrast < (element.id === 'primary' ? 2.2 : 4.5)) wrong.push(`${what}: contrast ${contrast.toFixed(2)}`);
      if (box.left < 0 || box.right > innerWidth || box.height < 1) wrong.push(`${what}: outside`);
      if (element.classList.contains('button') && box.height < 44) wrong.push(`${what}: too small to tap`);
    }
    return wrong;";

pub(super) fn folder() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let default = || target.parent().expect("a target directory").join("screenshots");
    let folder = env::var_os("WXGATE_SCREENSHOTS").map_or_else(default, PathBuf::from);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

pub(super) async fn dress(browser: &Chromium, (width, height): (u32, u32), scheme: &str) {
    let phone = width < 600;
    let metrics = json!({
        "width": width, "height": height, "mobile": phone, "deviceScaleFactor": if phone { 2 } else { 1 },
    });
    browser.tell("Emulation.setDeviceMetricsOverride", metrics).await;
    let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    browser.tell("Emulation.setEmulatedMedia", json!({ "features": features })).await;
}

#[tokio::test]
async fn every_page_looks_right_everywhere() {
    let folder = folder();
    let mut names = Vec::new();
    let mut answers = Vec::new();
    for lang in ["zh-CN", "en"] {
        for (name, page) in Album::collect(lang).await.pages {
            names.push((name, lang));
            answers.push(page);
        }
    }
    let mut missing = titles();
    assert!(missing.len() > 20, "{missing:?}");
    missing.retain(|title| {
        let mark = format!("<title>{title}</title>");
        !UNSEEN.contains(&&**title) && !answers.iter().any(|page| page.body.contains(&mark))
    });
    assert_eq!(missing, BTreeSet::new(), "pages that were not looked at");

    let pages = Arc::new(Mutex::new(answers));
    let site = serve(Router::new().fallback(show).with_state(pages)).await;
    let browser = Chromium::wechat().await;
    let mut wrong = Vec::new();
    for (device, size) in [("phone", (390, 844)), ("desktop", (1280, 800))] {
        for scheme in ["light", "dark"] {
            dress(&browser, size, scheme).await;
            for (at, (name, lang)) in names.iter().enumerate() {
                browser.open(&format!("http://{site}/{at}")).await;
                let name = format!("{name}-{device}-{scheme}");
                let found = browser.run(LOOK, lang).await;
                let Value::Array(found) = found else { panic!("{name}: {found}") };
                wrong.extend(found.into_iter().map(|found| format!("{name}: {found}")));
                fs::write(folder.join(format!("{name}.png")), browser.screenshot().await).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.quit().await;
}

#[tokio::test]
async fn an_operator_s_own_template_is_what_people_see() {
    let own = env::temp_dir().join(format!("wxgate-pages-{}", std::process::id()));
    fs::create_dir_all(&own).unwrap();
    let template = r#"<!DOCTYPE html><html lang="{{ lang }}"><meta charset="utf-8"><link rel="icon" href="data:,">
        <title>{{ title }} · 花店</title><style nonce="{{ nonce }}">h1 { color: rgb(1, 2, 3) }</style>
        <h1 class="{{ tone }}">{{ title }}</h1>{% for part in text %}<p>{{ part }}</p>{% endfor %}
        {% for action in actions %}{% if action.post %}<form method="post" action="{{ action.href }}">
        <button>{{ action.label }}</button></form>{% else %}<a href="{{ action.href }}">{{ action.label }}</a>
        {% endif %}{% endfor %}{% for detail in details %}<i>{{ detail.name }} {{ detail.value }}</i>{% endfor %}</html>"#;
    fs::write(own.join("page.html"), template).unwrap();
    fs::write(own.join("not_found.html"), "<!DOCTYPE html><title>nothing at {{ site }}</title>")
        .unwrap();
    let keys = format!("rate_limit = 0\npages = '{}'", own.display());
    let sites = Sites::with(&keys, SITE).await;
    fs::remove_dir_all(&own).unwrap();

    let browser = Chromium::start(&Options::wechat()).await;
    browser.open(&sites.at("one", "/profile?a=b&c=d")).await;
    browser.until_title("微信登录 · 花店").await;
    let colour = "return getComputedStyle(document.querySelector('h1')).color;";
    assert_eq!(browser.run(colour, "").await, "rgb(1, 2, 3)");
    browser.tap("a").await;
    browser.tap("#user-alice").await;
    browser.tap("#allow").await;
    browser.arrive(&sites.at("one", "/profile?a=b&c=d")).await;
    browser.open(&sites.at("one", "/_wx/logout")).await;
    browser.tap("button").await;
    browser.until_title("已退出登录 · 花店").await;
    browser.open(&sites.at("one", "/_wx/nothing")).await;
    browser.until_title(&format!("nothing at one.localhost:{}", sites.port())).await;
    assert_eq!(browser.status().await, u64::from(StatusCode::NOT_FOUND.as_u16()));
    browser.quit().await;
}
