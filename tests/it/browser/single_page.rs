//! Single-page apps in a real browser: fragments that survive a sign-in, and the script that such apps use.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use url::Url;

use super::{Chromium, Options};
use crate::{
    domains::Sites,
    world::{APPID, EXCHANGE, USERINFO, http_client, serve},
};

const AUTHORIZE: &str = "/connect/oauth2/authorize";

/// Shows its route, as an app with a hash router does.
const APP: &str = r#"<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><title>app</title>
    <h1 id="view">-</h1><script>view.textContent = location.hash</script>"#;

/// Shows who is signed in, and asks ten times at once when it is told to.
const OPEN: &str = r#"<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><title>open</title>
    <script src="/_wx/wx.js"></script>
    <p id="user">-</p><p id="data">-</p>
    <script>
      wxgate.user.then(user => document.querySelector('#user').textContent = user ? user.openid : 'nobody');
      const ask = path => Promise.all([...Array(10).keys()]
        .map(i => wxgate.fetch(path + i).then(answer => answer.json()).then(told => told.openid)))
        .then(all => document.querySelector('#data').textContent = [...new Set(all)] + ' ' + all.length);
      // As apps do: the view asks for its data whenever it is shown.
      if (location.hash.startsWith('#/orders')) ask('/api/');
      if (location.hash.startsWith('#/profile')) ask('/api/profile/');
    </script>"#;

async fn page(headers: HeaderMap, uri: Uri) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") {
        let openid = headers.get("x-wechat-openid").map(|value| value.to_str().unwrap());
        return Json(json!({ "openid": openid, "path": path })).into_response();
    }
    Html(if path.starts_with("/open") { OPEN } else { APP }).into_response()
}

/// A 401 of the app's own.
async fn own_401(uri: Uri) -> Response {
    let body = uri.query().unwrap_or_default().to_owned();
    let body = percent_encoding::percent_decode_str(&body).decode_utf8().unwrap().into_owned();
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// One site at `127.0.0.1`, with an app behind it that has a hash router, and data.
struct App {
    sites: Sites,
    url: String,
}

impl App {
    async fn start() -> Self {
        let router = Router::new().route("/off/401", get(own_401)).fallback(page);
        let app = serve(router).await;
        let sites = Sites::start(&format!(
            r#"
            [site.one]
            public_url = "http://127.0.0.1:PORT"
            upstream = "http://{app}"
            account = "main"
            [[site.one.route]]
            prefix = "/app"
            fragment = true
            [[site.one.route]]
            prefix = "/profile"
            login = "userinfo"
            fragment = true
            [[site.one.route]]
            prefix = "/open"
            login = "optional"
            [[site.one.route]]
            prefix = "/off"
            login = "off"
            [[site.one.route]]
            prefix = "/api/profile"
            login = "userinfo"
            "#
        ))
        .await;
        let url = format!("http://127.0.0.1:{}", sites.port());
        Self { sites, url }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn alice(&self) -> String {
        self.sites.openid("alice", APPID)
    }

    /// Becomes alice at the simulator, which from then on asks no more than WeChat itself.
    async fn become_alice(&self, browser: &Chromium) {
        browser.open(&self.sites.sim.url()).await;
        browser.tap("#user-alice").await;
        browser.see("#forget-user").await;
    }
}

/// What a browser makes of an address.
fn fragment(url: &str) -> String {
    format!("#{}", Url::parse(url).unwrap().fragment().unwrap())
}

#[tokio::test]
async fn a_page_with_a_hash_router_comes_back_to_its_route() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    app.become_alice(&browser).await;
    let long = format!("#/{}", "x".repeat(998));
    for (i, view) in [
        "#/orders",
        "#/orders?from=menu&sort=-date#2",
        "#/a%20b%2Fc%25d%26e",
        "#/100%",
        "#/订单/1?名=爱丽丝🌸",
        "#/\"'<>`{}|\\^[]+;,:@$!*()~",
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        let wanted: String =
            Url::parse(&app.at(&format!("/app/?x={i}&y=%2F{view}"))).unwrap().into();
        browser.open(&wanted).await;
        browser.arrive(&wanted).await;
        assert_eq!(browser.see("#view").await, fragment(&wanted));
        assert_eq!(app.sites.sim.count(EXCHANGE), i + 1, "{view}");
        // Nothing of the way is left for the Back key, and who is signed in goes there straight.
        let visits = app.sites.sim.requests().len();
        let other = app.at(&format!("/app/other{i}{view}"));
        browser.open(&other).await;
        assert_eq!(browser.see("#view").await, fragment(&other));
        browser.back().await;
        browser.arrive(&wanted).await;
        assert_eq!(app.sites.sim.requests().len(), visits);
        browser.forget("wxgate").await;
    }

    // Without a route there is none afterwards, not even WeChat's.
    browser.open(&app.at("/app/")).await;
    browser.arrive(&app.at("/app/")).await;
    browser.forget("wxgate").await;
    // One that is longer than an address may be is left out, and the page is there all the same.
    browser.open(&app.at(&format!("/app/page?x=1#/{}", "订".repeat(1000)))).await;
    browser.arrive(&app.at("/app/page?x=1")).await;
    browser.quit().await;
}

#[tokio::test]
async fn a_route_survives_the_one_tap_and_the_consent() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    app.become_alice(&browser).await;
    let wanted = app.at("/profile/?a#/me?b=%25");
    browser.open(&wanted).await;
    browser.until_heading("微信登录").await;
    assert_eq!(app.sites.sim.count(AUTHORIZE), 0);
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    browser.arrive(&wanted).await;
    assert_eq!(browser.see("#view").await, fragment(&wanted));
    assert_eq!(app.sites.sim.count(USERINFO), 1);
    browser.quit().await;
}

#[tokio::test]
async fn a_session_without_a_name_is_led_over_the_one_tap_with_its_route() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    app.become_alice(&browser).await;
    browser.open(&app.at("/app/")).await;
    browser.see("#view").await;
    let wanted = app.at("/profile/#/me");
    browser.open(&wanted).await;
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    browser.arrive(&wanted).await;
    assert_eq!(browser.see("#view").await, "#/me");
    browser.quit().await;
}

#[tokio::test]
async fn without_scripts_a_page_signs_in_as_well() {
    let app = App::start().await;
    let browser = Chromium::start(&Options::wechat().without_scripts()).await;
    app.become_alice(&browser).await;
    browser.open(&app.at("/app/?x=1")).await;
    browser.arrive(&app.at("/app/?x=1")).await;
    assert_eq!(browser.see("#view").await, "-", "the app's own script has not run either");
    assert_eq!(app.sites.sim.count(EXCHANGE), 1);
    browser.quit().await;
}

/// The step is made to stay, so that it can be looked at.
#[tokio::test]
async fn nothing_flashes_while_a_route_is_saved() {
    let app = App::start().await;
    let answer = http_client().get(app.at("/app/")).header("accept", "text/html").send().await;
    let answer = answer.unwrap();
    let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].clone();
    let step = answer.text().await.unwrap();
    assert!(step.contains("location.replace("), "{step}");
    let staying = step.replace("location.replace(", "void(");
    let page = async move || ([(header::CONTENT_SECURITY_POLICY, policy)], Html(staying));
    let site = serve(Router::new().fallback(page)).await;

    for dark in [false, true] {
        let browser = Chromium::start(&Options::wechat()).await;
        if dark {
            let features = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
            browser.tell("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        }
        browser.open(&format!("http://{site}/app/#/orders")).await;
        let text = browser.run("return document.body.innerText + document.title;", "").await;
        assert_eq!(text, "");
        let seen = colours(&browser, &browser.screenshot().await).await;
        let [Value::String(colour)] = &seen[..] else { panic!("{seen:?}") };
        let is_dark = colour.split(',').all(|part| part.parse::<u8>().unwrap() < 64);
        assert_eq!(is_dark, dark, "{colour}");
    }
}

/// The colours of a picture, as the browser itself reads them.
async fn colours(browser: &Chromium, png: &[u8]) -> Vec<Value> {
    browser.open("about:blank").await;
    let read = "window.seen = window.seen || null;
        if (!window.picture) {
          window.picture = new Image();
          picture.onload = () => {
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [picture.width, picture.height];
            const context = canvas.getContext('2d');
            context.drawImage(picture, 0, 0);
            const bytes = context.getImageData(0, 0, picture.width, picture.height).data;
            const all = new Set();
            for (let i = 0; i < bytes.length; i += 4) all.add([...bytes.slice(i, i + 3)].join());
            seen = [...all].slice(0, 10);
          };
          picture.src = 'data:image/png;base64,' + arguments[0];
        }
        return seen;";
    let seen = browser.until("the picture is read", read, &BASE64_STANDARD.encode(png)).await;
    seen.as_array().unwrap().clone()
}

#[tokio::test]
async fn the_script_tells_who_is_signed_in_and_signs_in_from_where_the_page_is() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    app.become_alice(&browser).await;
    let wanted = app.at("/open/?x=%E8%AE%A2&y#/a?b=1&c=%25%26");
    browser.open(&wanted).await;
    let nobody = "return document.querySelector('#user').textContent === arguments[0] || null;";
    browser.until("nobody is signed in", nobody, "nobody").await;
    // Twice at once is once.
    browser.run("wxgate.login(); wxgate.login();", "").await;
    browser.until("she is signed in", nobody, &app.alice()).await;
    browser.arrive(&wanted).await;
    assert_eq!((app.sites.sim.count(AUTHORIZE), app.sites.sim.count(EXCHANGE)), (1, 1));

    browser.run("wxgate.login('userinfo');", "").await;
    browser.tap("#allow").await;
    browser.arrive(&wanted).await;
    assert_eq!(app.sites.sim.count(USERINFO), 1);
    // Who is known as far as that is sent back without WeChat.
    let before = app.sites.sim.count(AUTHORIZE);
    browser.run("window.left = true; wxgate.login('userinfo');", "").await;
    browser.until("the page is loaded anew", "return window.left ? null : true;", "").await;
    browser.arrive(&wanted).await;
    assert_eq!(app.sites.sim.count(AUTHORIZE), before);
    browser.quit().await;
}

#[tokio::test]
async fn ten_requests_that_need_a_sign_in_are_one_sign_in() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    app.become_alice(&browser).await;
    let wanted = app.at("/open/?x=1#/orders");
    browser.open(&wanted).await;
    let has = "return document.querySelector('#data').textContent === arguments[0] || null;";
    browser.until("the data is there", has, &format!("{} 10", app.alice())).await;
    browser.arrive(&wanted).await;
    assert_eq!((app.sites.sim.count(AUTHORIZE), app.sites.sim.count(EXCHANGE)), (1, 1));
    assert_eq!(app.sites.sim.count(USERINFO), 0);

    // What needs the profile leads over the button, since nobody has tapped anything yet.
    let wanted = app.at("/open/?x=2#/profile");
    browser.open(&wanted).await;
    browser.until_heading("微信登录").await;
    assert_eq!(app.sites.sim.count(AUTHORIZE), 1);
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    browser.until("the data is there", has, &format!("{} 10", app.alice())).await;
    browser.arrive(&wanted).await;
    assert_eq!(app.sites.sim.count(USERINFO), 1);
    browser.quit().await;
}

#[tokio::test]
async fn a_page_that_the_back_key_brings_back_can_sign_in() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    browser.open(&app.at("/open/#/a")).await;
    browser.see("#user").await;
    // A browser under control keeps no page for the Back key, so the page is told what it would be told.
    let back = "wxgate.login(); window.stop(); wxgate.login();
        dispatchEvent(new PageTransitionEvent('pageshow', { persisted: arguments[0] === 'kept' }));
        wxgate.login();";
    browser.run(back, "shown").await;
    assert_eq!(browser.address().await, app.at("/open/#/a"));
    browser.run(back, "kept").await;
    browser.tap("#user-alice").await;
    browser.arrive(&app.at("/open/#/a")).await;
    browser.quit().await;
}

#[tokio::test]
async fn an_app_s_own_401_is_handed_on_untouched() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    browser.open(&app.at("/open/#/a")).await;
    for body in [
        r#"{"error":"no_token"}"#,
        r#"{"login_url":"https://evil.example/"}"#,
        r#"{"login_url":"javascript:alert(1)"}"#,
        r#"{"login_url":7}"#,
        r#"{"login_url":null}"#,
        "null",
        "7",
        "[]",
        "",
        "<html>",
    ] {
        browser
            .run(
                "window.told = null; wxgate.fetch('/off/401?' + encodeURIComponent(arguments[0]))
            .then(answer => answer.text().then(text => told = [answer.status, text]))
            .catch(error => told = error.toString());",
                body,
            )
            .await;
        let told = browser.until("it has an answer", "return window.told;", "").await;
        assert_eq!(told, json!([401, body]));
    }
    // Any other answer too, and a request that fails.
    browser.run("window.told = null; wxgate.fetch('/off/x', { method: 'POST', body: 'b' }).then(answer => told = answer.status);", "").await;
    assert_eq!(browser.until("it has an answer", "return window.told;", "").await, 200);
    browser.run("window.told = null; wxgate.fetch('http://127.0.0.1:1/').catch(error => told = error.name);", "").await;
    assert_eq!(browser.until("it fails", "return window.told;", "").await, "TypeError");
    browser.arrive(&app.at("/open/#/a")).await;
    assert_eq!(app.sites.sim.requests().len(), 0);
}

#[tokio::test]
async fn c05_a_foreign_answer_never_leads_off_the_site() {
    let (app, browser) = (App::start().await, Chromium::wechat().await);
    browser.open(&app.at("/open/#/a")).await;
    let body = r#"{"login_url":"https://evil.example/_wx/login?scope=base&to=x"}"#;
    browser.run("wxgate.fetch('/off/401?' + encodeURIComponent(arguments[0]));", body).await;
    // It is our own sign-in that starts.
    browser.see("#user-alice").await;
    assert!(browser.address().await.starts_with(&app.sites.sim.url()));
}

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_who_is_signed_in_and_others_do_not() {
    let blank = async || Html("<!DOCTYPE html><link rel=icon href='data:,'><p>x</p>");
    let (listed, other) =
        (serve(Router::new().fallback(blank)).await, serve(Router::new().fallback(blank)).await);
    let sites = Sites::start(&format!(
        r#"
        [site.one]
        public_url = "http://127.0.0.1:PORT"
        upstream = "APP"
        account = "main"
        cors_origins = ["http://{listed}"]
        "#
    ))
    .await;
    let browser = Chromium::wechat().await;
    let site = format!("http://127.0.0.1:{}", sites.port());
    let ask = "window.told = null;
        fetch(arguments[0], { credentials: 'include', headers: { 'x-own': '1' }, method: 'POST' })
          .then(answer => answer.json()).then(word => told = word.error, error => told = error.name);";
    for (origin, word) in [(listed, "login_required"), (other, "TypeError")] {
        browser.open(&format!("http://{origin}/")).await;
        browser.run(ask, &format!("{site}/api")).await;
        assert_eq!(browser.until("it is told", "return window.told;", "").await, word);
    }
    // With a session as well.
    browser.open(&format!("{site}/page")).await;
    browser.tap("#user-alice").await;
    browser.see("body").await;
    let ask = "window.told = null;
        fetch(arguments[0], { credentials: 'include' })
          .then(answer => answer.json()).then(user => told = user.openid, error => told = error.name);";
    for (origin, word) in [(listed, sites.openid("alice", APPID)), (other, "TypeError".into())] {
        browser.open(&format!("http://{origin}/")).await;
        browser.run(ask, &format!("{site}/_wx/me")).await;
        assert_eq!(browser.until("it is told", "return window.told;", "").await, word);
    }
}

#[tokio::test]
async fn signing_out_towards_a_page_that_signs_in_at_another_site_works() {
    let sites = Sites::start(
        r#"
        [site.one]
        public_url = "http://one.localhost:PORT"
        upstream = "APP"
        account = "main"
        [site.two]
        public_url = "http://two.localhost:PORT"
        upstream = "APP"
        account = "main"
        sign_in_at = "one"
        "#,
    )
    .await;
    let browser = Chromium::wechat().await;
    browser.open(&sites.at("two", "/page?a#b")).await;
    browser.tap("#user-alice").await;
    browser.see("body").await;
    assert!(browser.see("body").await.contains(&sites.openid("alice", APPID)));
    // Nobody is left at either site, so that the way leads over both and WeChat.
    for logout in ["?to=/page", "?everywhere=1&to=/page"] {
        browser.open(&sites.at("two", &format!("/_wx/logout{logout}"))).await;
        browser
            .tap(if logout.contains("everywhere") {
                "form:nth-of-type(2) button"
            } else {
                "#primary"
            })
            .await;
        browser.arrive(&sites.at("two", "/page")).await;
        assert!(browser.see("body").await.contains(&sites.openid("alice", APPID)));
    }
    assert_eq!(sites.sim.count(EXCHANGE), 2);
    browser.quit().await;
}
