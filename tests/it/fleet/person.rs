//! Somebody who visits, signs in and signs out, and remembers what they were told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use serde_json::Value;

use super::minute::Chronicle;
use crate::world::{Answer, Browser};

/// A session that was ended is refused by all gateways after this.
const BOUND: Duration = Duration::from_secs(1);

pub struct Person {
    browser: Browser,
    openid: String,
    chronicle: Arc<Chronicle>,
    /// The cookie of a session that was ended, and when that was acknowledged.
    ended: Option<(String, Instant)>,
}

/// A request that was made: when, and how it was answered.
struct Made {
    began: Instant,
    answer: Option<Answer>,
}

impl Person {
    pub fn new(site: &str, name: &str, openid: String, chronicle: Arc<Chronicle>) -> Self {
        // A connection for each request, so that each may go to another gateway.
        let browser = Browser::new(site, name).with("connection", "close");
        Self { browser, openid, chronicle, ended: None }
    }

    /// Visits a page; signs in where that is asked for.
    pub async fn visit(&mut self) {
        let had_session = self.browser.session_cookie().is_some();
        let page = self.ask(Method::GET, "/page").await;
        let Some(answer) = &page.answer else { return };
        match answer.status {
            StatusCode::OK => self.is_me(answer),
            StatusCode::FOUND if had_session => {
                let cookie = self.browser.session_cookie();
                self.chronicle.wrong(format!("{} was signed out: {cookie:?}", self.openid));
            }
            StatusCode::FOUND => self.sign_in(answer.location()).await,
            StatusCode::FORBIDDEN if !had_session => self.sign_in(&way_on(answer)).await,
            _ => self.chronicle.unexpected(&page.describe(), page.began),
        }
    }

    /// Goes to WeChat and comes back.
    async fn sign_in(&mut self, way: &str) {
        let mut next = way.to_owned();
        for _ in 0..12 {
            let step = self.ask(Method::GET, &next).await;
            let Some(answer) = &step.answer else { return };
            match answer.status {
                StatusCode::FOUND | StatusCode::SEE_OTHER => {
                    let base = url::Url::parse(&answer.url).unwrap();
                    next = base.join(answer.location()).unwrap().into();
                }
                StatusCode::FORBIDDEN => next = way_on(answer),
                StatusCode::OK if answer.url.ends_with("/page") => return self.is_me(answer),
                _ => return self.chronicle.unexpected(&step.describe(), step.began),
            }
        }
        self.chronicle.wrong(format!("{} is sent round in circles", self.openid));
    }

    /// Signs out, and remembers the cookie to see that it is of no use any more.
    pub async fn sign_out(&mut self) {
        let Some(cookie) = self.browser.session_cookie() else { return };
        let logout = self.ask(Method::POST, "/_wx/logout").await;
        match &logout.answer {
            Some(answer) if answer.status == StatusCode::SEE_OTHER => {
                self.ended = Some((cookie, Instant::now()));
            }
            Some(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                if !answer.set_cookies().is_empty() {
                    self.chronicle.wrong(format!("a 503 with cookies: {answer:?}"));
                }
                // It may have ended or not: nobody knows, so nothing is to be expected of it.
                self.browser.jar.lock().unwrap().remove("wxgate");
                self.chronicle.unexpected(&logout.describe(), logout.began);
            }
            Some(_) => self.chronicle.unexpected(&logout.describe(), logout.began),
            None => {
                self.browser.jar.lock().unwrap().remove("wxgate");
            }
        }
    }

    /// Comes with the cookie of a session that was ended.
    pub async fn haunt(&mut self) {
        let Some((cookie, at)) = self.ended.take_if(|(_, at)| at.elapsed() > BOUND) else { return };
        let ghost = self.browser.twin();
        *ghost.jar.lock().unwrap() = [("wxgate".to_owned(), cookie)].into();
        let me = ask(&ghost, &self.chronicle, Method::GET, "/_wx/me").await;
        match &me.answer {
            Some(answer) if answer.status == StatusCode::UNAUTHORIZED => {}
            Some(answer) if answer.status == StatusCode::OK => {
                let age = at.elapsed();
                self.chronicle.wrong(format!("signed out {age:?} ago and still in: {answer:?}"));
            }
            Some(_) => self.chronicle.unexpected(&me.describe(), me.began),
            None => {}
        }
    }

    fn is_me(&self, answer: &Answer) {
        let told: Value = answer.json();
        if told["openid"] != *self.openid {
            self.chronicle.wrong(format!("{} was taken for {told}", self.openid));
        }
    }

    async fn ask(&self, method: Method, path: &str) -> Made {
        ask(&self.browser, &self.chronicle, method, path).await
    }
}

/// Where the button leads of a page that says why a sign-in does not go on by itself: outages have interrupted it too
/// often within a minute.
fn way_on(page: &Answer) -> String {
    let button = page.body.split_once("id=\"primary\"").map(|(_, rest)| rest);
    let href = button.and_then(|rest| rest.split_once("href=\"")?.1.split_once('"'));
    let (href, _) = href.unwrap_or_else(|| panic!("there is a button: {page:?}"));
    href.replace("&amp;", "&").replace("&#38;", "&")
}

impl Made {
    fn describe(&self) -> String {
        let answer = self.answer.as_ref().expect("it was answered");
        format!("{} from {}: {}", answer.status, answer.url, answer.body)
    }
}

async fn ask(browser: &Browser, chronicle: &Chronicle, method: Method, path: &str) -> Made {
    let began = Instant::now();
    let origin = browser.at("/");
    let headers = [("origin", origin.trim_end_matches('/')), ("accept", "text/html")];
    let headers = if method == Method::POST { &headers[..] } else { &[] };
    match browser.try_send(method, path, headers, "").await {
        Ok(answer) => {
            chronicle.answered(began);
            Made { began, answer: Some(answer) }
        }
        Err(error) => {
            chronicle.cut(&error.to_string(), began);
            Made { began, answer: None }
        }
    }
}
