//! Those who mean it: people, desktops that show a code, front proxies that ask, and pages that stay open.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::ground::Ground;
use crate::{
    scan::{Asked, Desk, Phone, Shown},
    world::{Browser, http_client, userinfo_login},
};

/// What a sign-in may lead to while WeChat is in trouble: the page, or one that says what is wrong.
const TROUBLED: [u16; 6] = [200, 400, 403, 429, 502, 503];

/// Signs somebody in, whatever it takes.
pub async fn signs_in(ground: &Ground, name: &str) {
    let page = Browser::new(&ground.url, name).walk("/page").await;
    assert!(page.body.starts_with("openid=o"), "{page:?}");
}

/// Visits pages, signs in and out, stays away for longer than a session lasts, and is always told apart.
pub async fn visitor(ground: Arc<Ground>, number: usize) {
    let name = format!("p{number}");
    let mut browser = Browser::new(&ground.url, &name);
    while ground.again(120).await {
        match fastrand::u8(..100) {
            0..55 => look(&ground, &browser, &name, "/page").await,
            55..65 => look(&ground, &browser, &name, &userinfo_login("/profile")).await,
            65..72 => look(&ground, &browser, &name, "/html").await,
            72..82 => {
                let query = if fastrand::bool() { "" } else { "?everywhere=1" };
                let origin = [("origin", ground.url.as_str()), ("accept", "text/html")];
                let path = format!("/_wx/logout{query}");
                let answer = ground.send(&browser, Method::POST, &path, &origin).await;
                // Where nobody is signed in, nobody can be signed out everywhere.
                ground.expect("sign-out", answer.status, &[303, 409]);
            }
            82..88 => twice(&ground, &browser).await,
            88..92 => {
                browser = Browser::new(&ground.url, &name);
                ground.count("new browser");
            }
            92..95 if ground.again(4000).await => ground.count("came back later"),
            _ => {
                let script = [("sec-fetch-mode", "cors")];
                let me = ground.send(&browser, Method::GET, "/_wx/me", &script).await;
                ground.expect("me", me.status, &[200, 401]);
            }
        }
    }
}

/// Walks to a page. Where the app has answered, it has taken this one for nobody else.
async fn look(ground: &Ground, browser: &Browser, name: &str, path: &str) {
    let page = ground.walk(browser, path).await;
    ground.expect("page", page.status, &TROUBLED);
    if let Some(openid) = page.body.strip_prefix("openid=")
        && !ground.is(name, openid)
    {
        ground.wrong(format!("{name} was taken for {openid}"));
    }
}

/// Comes back from WeChat twice at once.
async fn twice(ground: &Ground, browser: &Browser) {
    let newcomer = Browser::new(&ground.url, "p1");
    newcomer.jar.lock().unwrap().clear();
    let start = ground.get(&newcomer, "/page").await;
    if !start.status.is_redirection() {
        return ground.count("no start");
    }
    let back = ground.get(&newcomer, start.location()).await;
    if !back.status.is_redirection() {
        return ground.count("no way back");
    }
    let twin = newcomer.twin();
    let (one, other) =
        tokio::join!(ground.get(&newcomer, back.location()), ground.get(&twin, back.location()));
    for answer in [one, other] {
        ground.expect("twin", answer.status, &[302, 303, 400, 403, 429, 502, 503]);
    }
    // Somebody else's way back is nothing to this one.
    let stranger = browser.twin();
    let answer = ground.get(&stranger, back.location()).await;
    ground.expect("stranger", answer.status, &[303, 400]);
}

/// Shows a code, which is scanned or not, and waits for it or not.
pub async fn desktop(ground: Arc<Ground>, number: usize) {
    let name = format!("p{}", number + 20);
    let phone = Phone(Browser::new(&ground.url, &name).with("accept-language", "en"));
    while ground.again(400).await {
        let desk = Desk::new(&ground.url);
        let page = ground.get(&desk.0, "/page").await;
        ground.expect("code", page.status, &[403]);
        let shown = Shown::of(page);
        let headers = [("accept", "text/event-stream"), ("sec-fetch-mode", "cors")];
        let waits = desk.0.twin();
        let waits = tokio::spawn(async move {
            waits.try_send(Method::GET, "/_wx/scan/events", &headers, "").await.is_ok()
        });
        if fastrand::u8(..4) > 0 && confirms(&ground, &desk, &phone, &shown).await {
            let done = shown.live["done"].as_str().expect("an address");
            let done = ground.get(&desk.0, done).await;
            // 302 where the tap has led to a sign-in, and the code still waits.
            ground.expect("scanned", done.status, &[302, 303, 400, 403, 410]);
        }
        // Most of those who wait leave before there is news.
        let has_heard = timeout(Duration::from_millis(fastrand::u64(1..1500)), waits).await;
        ground.count(if has_heard.is_ok() { "heard of a scan" } else { "left a scan" });
    }
}

/// Scans and taps, as far as WeChat lets it come.
async fn confirms(ground: &Ground, desk: &Desk, phone: &Phone, shown: &Shown) -> bool {
    let page = ground.walk(&phone.0, &shown.code).await;
    ground.expect("phone", page.status, &TROUBLED);
    if page.status != StatusCode::OK || !page.body.contains("Sign in on the computer?") {
        return false;
    }
    let asked = Asked::of(page);
    let json = [("accept", "application/json"), ("sec-fetch-mode", "cors")];
    let news = ground.send(&desk.0, Method::GET, "/_wx/scan/events", &json).await;
    ground.expect("news", news.status, &[200]);
    let news = news.json();
    let Some(number) = news["number"].as_str() else { return false };
    let tapped = if fastrand::u8(..5) == 0 { asked.miss(number) } else { asked.tap(number) };
    let origin = [("origin", ground.url.as_str()), ("accept", "text/html")];
    let answer = ground.send(&phone.0, Method::POST, tapped, &origin).await;
    ground.expect("tap", answer.status, &[303]);
    true
}

/// Asks as nginx does, for somebody who is signed in as long as that lasts.
pub async fn front_proxy(ground: Arc<Ground>, number: usize) {
    let browser = Browser::new(&ground.url, &format!("p{}", number + 30));
    let url = format!("{}/page", ground.url);
    let about = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
    while ground.again(40).await {
        let answer = ground.send(&browser, Method::GET, "/_wx/auth", &about).await;
        ground.expect("asked", answer.status, &[200, 401]);
        if answer.status == StatusCode::UNAUTHORIZED {
            ground.walk(&browser, "/page").await;
        }
    }
}

/// Listens to the app's events for a while, and leaves.
pub async fn listener(ground: Arc<Ground>) {
    let http = http_client();
    while ground.again(200).await {
        let url = format!("{}/off/events", ground.url);
        let answer = ground.patiently(|| http.get(&url).send()).await;
        ground.expect("events", answer.status(), &[200]);
        let mut heard = answer.bytes_stream();
        for _ in 0..fastrand::u8(1..20) {
            heard.next().await.expect("they never end").expect("they come");
        }
    }
}

/// Talks to the app over a socket, and closes it or does not.
pub async fn socket(ground: Arc<Ground>) {
    let url = format!("ws://{}/off/socket", ground.addr);
    while ground.again(200).await {
        let (mut socket, answer) = tokio_tungstenite::connect_async(&url).await.unwrap();
        ground.expect("socket", answer.status(), &[101]);
        for size in [1, 1000, 100_000] {
            socket.send(Message::binary(vec![7; size])).await.unwrap();
            let heard = socket.next().await.expect("it is open").unwrap();
            assert_eq!(heard.into_data().len(), size);
        }
        if fastrand::bool() {
            socket.close(None).await.unwrap();
        }
    }
}

/// Brings large bodies, and fetches some.
pub async fn carrier(ground: Arc<Ground>) {
    let http = http_client();
    while ground.again(150).await {
        let size = fastrand::usize(1..1024 * 1024);
        let url = format!("{}/off/take", ground.url);
        let bring = || http.post(&url).body(vec![b'x'; size]).send();
        let answer = ground.patiently(bring).await;
        ground.expect("upload", answer.status(), &[200]);
        assert_eq!(answer.text().await.unwrap(), size.to_string());
        let url = format!("{}/off/give/16", ground.url);
        let answer = ground.patiently(|| http.get(&url).send()).await;
        ground.expect("download", answer.status(), &[200]);
        assert_eq!(answer.bytes().await.unwrap().len(), 1024 * 1024);
    }
}
