//! Signing in on a desktop by scanning a code: two browsers, a gateway between them, and whatever may go wrong.

mod around;
mod gone;
mod lies;
mod outage;
mod whole;

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use http::{Method, StatusCode, header};
use serde_json::Value;
use wxgate::{
    WechatLoginLayer,
    clock::{Clock, ManualClock, SystemClock},
    doors::Scan,
    gateway::Gateway,
    login::Outside,
    session::{MemoryStore, Store},
    simulator::Simulator,
};

use crate::world::{self, APPID, Answer, App, Browser};

pub const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                           Safari/537.36";
pub const COOKIE: &str = "wxgate-login-scan";

/// A site that offers codes.
pub struct Stage {
    pub sim: Simulator,
    pub clock: ManualClock,
    pub url: String,
    _gateway: Gateway,
}

impl Stage {
    pub async fn start() -> Self {
        Self::with_store(|clock| MemoryStore::builder().clock(clock).build()).await
    }

    pub async fn with_store<S: Store>(store: impl FnOnce(ManualClock) -> S) -> Self {
        Self::with(store, |login| login).await
    }

    pub async fn with<S: Store>(
        store: impl FnOnce(ManualClock) -> S,
        change: impl FnOnce(WechatLoginLayer) -> WechatLoginLayer,
    ) -> Self {
        let sim = Simulator::start().await;
        let clock = ManualClock::new(SystemClock.now());
        let (url, login) = world::login(&sim, clock.clone(), store(clock.clone()));
        let app = App::start().await;
        let gateway = world::gateway(&url, change(with_codes(login)), &app.url());
        Self { sim, clock, url, _gateway: gateway }
    }

    pub fn desk(&self) -> Desk {
        Desk::new(&self.url)
    }

    pub fn phone(&self, user: &str) -> Phone {
        Phone(Browser::new(&self.url, user).with("accept-language", "en"))
    }

    pub fn openid(&self, user: &str) -> String {
        self.sim.world().user(user).expect("they live there").openid(APPID)
    }
}

pub fn with_codes(login: WechatLoginLayer) -> WechatLoginLayer {
    login.door(Scan::new()).outside_wechat(Outside::Scan)
}

/// A browser on a desktop.
pub struct Desk(pub Browser);

/// What a desktop shows.
pub struct Shown {
    pub page: Answer,
    /// What the page's script knows.
    pub live: Value,
    /// What is in the code.
    pub code: String,
}

impl Desk {
    pub fn new(site: &str) -> Self {
        let browser = Browser::new(site, "nobody").with("user-agent", DESKTOP);
        Self(browser.with("accept-language", "en"))
    }

    /// Opens a page that needs a sign-in, and gets a code.
    pub async fn show(&self, path: &str) -> Shown {
        let page = self.0.get(path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
        assert!(page.body.contains("Scan to sign in with WeChat"), "{page:?}");
        Shown::of(page)
    }

    /// How it stands, as a script asks.
    pub async fn look(&self) -> Value {
        let json = [("accept", "application/json"), ("sec-fetch-mode", "cors")];
        let answer = self.0.send(Method::GET, "/_wx/scan/events", &json, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    /// The state, in one word.
    pub async fn state(&self) -> String {
        self.look().await["state"].as_str().expect("a word").to_owned()
    }

    /// What the script does once the phone has confirmed.
    pub async fn finish(&self, shown: &Shown) -> Answer {
        self.0.get(shown.live["done"].as_str().expect("an address")).await
    }

    /// What the script does when a code has expired.
    pub async fn fresh(&self, shown: &Shown) -> Answer {
        let site = self.0.at("/");
        let headers = [
            ("origin", site.trim_end_matches('/')),
            ("accept", "application/json"),
            ("sec-fetch-mode", "cors"),
        ];
        let url = shown.live["fresh"].as_str().expect("an address");
        self.0.send(Method::POST, url, &headers, "").await
    }

    /// Whether an app behind the login takes it for somebody.
    pub async fn is_signed_in(&self) -> bool {
        self.0.fetch("/page").await.status == StatusCode::OK
    }
}

impl Shown {
    pub fn of(page: Answer) -> Self {
        let live = unescape(between(&page.body, "data-live=\"", "\""));
        let picture = between(&page.body, "<img id=\"picture\"", ">");
        let code = read(&unescape(between(picture, "src=\"", "\"")));
        Self { live: serde_json::from_str(&live).expect("JSON"), code, page }
    }
}

/// A phone's WeChat.
pub struct Phone(pub Browser);

/// What a phone asks.
#[derive(Debug)]
pub struct Asked {
    pub page: Answer,
    pub numbers: Vec<(String, String)>,
    pub cancel: String,
}

impl Phone {
    /// Scans a code, signs in without a word, and is asked.
    pub async fn scan(&self, code: &str) -> Asked {
        let page = self.0.walk(code).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        Asked::of(page)
    }

    /// Sends one of the page's own forms, and sees what comes of it.
    pub async fn send(&self, form: &str) -> Answer {
        let answer = self.post(form, &[("origin", &self.origin())]).await;
        if !answer.status.is_redirection() {
            return answer;
        }
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        self.0.walk(&self.0.at(answer.location())).await
    }

    pub async fn post(&self, form: &str, headers: &[(&'static str, &str)]) -> Answer {
        let headers = [headers, &[("accept", "text/html")]].concat();
        self.0.send(Method::POST, form, &headers, "").await
    }

    pub fn origin(&self) -> String {
        self.0.at("/").trim_end_matches('/').to_owned()
    }
}

impl Asked {
    pub fn of(page: Answer) -> Self {
        assert!(page.body.contains("Sign in on the computer?"), "{page:?}");
        let mut forms = Vec::new();
        for form in page.body.split("<form method=\"post\" action=\"").skip(1) {
            let (action, rest) = form.split_once('"').expect("an address");
            forms.push((between(rest, "<button", "</button>"), unescape(action)));
        }
        let label = |button: &str| button.rsplit('>').next().expect("a label").to_owned();
        let mut forms: Vec<_> =
            forms.into_iter().map(|(button, action)| (label(button), action)).collect();
        let (cancel, action) = forms.pop().expect("the way out");
        assert_eq!((cancel.as_str(), forms.len()), ("It was not me, cancel", 3), "{page:?}");
        Self { page, numbers: forms, cancel: action }
    }

    /// Where a number leads.
    pub fn tap(&self, number: &str) -> &str {
        let found = self.numbers.iter().find(|(known, _)| known == number);
        &found.unwrap_or_else(|| panic!("{number} is one of {:?}", self.numbers)).1
    }

    /// Where another number leads than this.
    pub fn miss(&self, number: &str) -> &str {
        &self.numbers.iter().find(|(known, _)| known != number).expect("there are three").1
    }
}

/// Shows a code, scans it, and taps the right number.
pub async fn confirmed(stage: &Stage, desk: &Desk, phone: &Phone) -> Shown {
    let shown = desk.show("/page?a=b").await;
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().expect("it was scanned").to_owned();
    let answer = phone.send(asked.tap(&number)).await;
    assert!(answer.body.contains("<title>Confirmed</title>"), "{} {answer:?}", stage.url);
    shown
}

/// The part of a text between two others.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} is in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("{after} is in {rest}")).0
}

pub fn unescape(html: &str) -> String {
    let pairs = [("&#34;", "\""), ("&quot;", "\""), ("&#38;", "&"), ("&amp;", "&"), ("&#39;", "'")];
    pairs.iter().fold(html.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Draws a picture as a browser would, dot by dot, and reads the code in it.
pub fn read(picture: &str) -> String {
    const DOT: usize = 4;
    let svg = picture.strip_prefix("data:image/svg+xml;base64,").expect("a drawing");
    let svg = String::from_utf8(BASE64.decode(svg).expect("base64")).expect("text");
    let size: usize = between(&svg, " width=\"", "\"").parse().expect("a number");
    let mut dark = vec![false; size * size];
    for dot in between(&svg, " d=\"M", "\"").split('M') {
        let numbers: Vec<usize> = dot
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().expect("a number"))
            .collect();
        let [x, y, width, height, ..] = numbers[..] else { panic!("{dot}") };
        for row in y..y + height {
            dark[row * size + x..][..width].fill(true);
        }
    }
    decode(size * DOT, size * DOT, |x, y| if dark[y / DOT * size + x / DOT] { 0 } else { 255 })
}

/// The one code that can be seen in a picture, told dot by dot.
pub fn decode(width: usize, height: usize, grey: impl FnMut(usize, usize) -> u8) -> String {
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code can be seen");
    grids[0].decode().expect("it can be read").1
}

/// The cookies that an answer sets, by their names.
pub fn set(answer: &Answer) -> Vec<&str> {
    answer.set_cookies().iter().map(|line| line.split('=').next().expect("a name")).collect()
}

/// What a policy allows an own page.
pub fn policy(answer: &Answer) -> String {
    answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
}
