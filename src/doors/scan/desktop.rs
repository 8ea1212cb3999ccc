//! The desktop's side: shows a code, waits, and goes on once the phone has confirmed.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header, request::Parts};
use qrcode::{EcLevel, QrCode, render::svg};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{
    CODE, DONE, EVENTS, FRESH, OPEN, WAIT, WAY,
    browser::Browser,
    code::{self, Code, Scan},
    numbers::Numbers,
    pages::{CodePage, News, ScanPage},
    record::{Record, Stand, Verdict},
    words,
};
use crate::{
    login::{
        Call, ClientAddr, Event, Gate, Known, Page, Reply, ReturnTo, ScanStep, Voucher, WechatUser,
        full_uri, is_same_origin, pages::Picture, parameter,
    },
    session::StoreError,
    wechat::{AccountKind, Scope},
};

/// How long a request is held while nothing happens.
const HELD: Duration = Duration::from_secs(20);
/// How often the store is asked meanwhile.
const SHORTEST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How soon a script comes back, in milliseconds: where its request was held, and where there was no room for that.
const SOON: u32 = 300;
const LATER: u32 = 2000;
/// Asks for another code, whatever the present one is good for.
const ANOTHER: &str = "fresh";

/// A desktop, and where it wants to go.
struct Desk<'a> {
    gate: &'a Gate,
    head: &'a Parts,
    target: ReturnTo,
    scope: Scope,
    /// Both of these, sealed.
    way: String,
}

/// What a browser gets that is not WeChat's. None where its account is none that people sign in with inside WeChat.
pub(super) fn offer(gate: &Gate, head: &Parts, scope: Scope, target: &ReturnTo) -> Option<Reply> {
    if gate.account().kind() != AccountKind::OfficialAccount {
        return None;
    }
    let way = code::seal_way(gate, target, scope);
    let desk = Desk { gate, head, target: target.clone(), scope, way };
    // Several windows of a browser share one code, so that any of them may be scanned.
    let known = code::kept(gate, &head.headers).filter(|scan| scan.serves(gate.now(), scope));
    Some(desk.show(&known.unwrap_or_else(|| desk.new_scan()), Stand::Waiting))
}

/// The page with the code, as it stands: for browsers that run no scripts, and for a new code.
pub(super) async fn wait(gate: &Gate, call: &Call<'_>) -> Reply {
    let Some(desk) = Desk::of(gate, call) else { return Reply::page(Page::Malformed) };
    if desk.is_known_enough(call.user.as_ref()) {
        return Reply::see(&desk.target);
    }
    let known = code::kept(gate, &call.head.headers).filter(|_| !wants_another(call.head));
    let Some(scan) = known else { return desk.show(&desk.new_scan(), Stand::Waiting) };
    match (Record { store: gate.store(), scan: &scan }).stand().await {
        Ok(Stand::Decided(Verdict::Confirmed(_))) => Reply::go(desk.url(DONE)),
        Ok(Stand::Decided(verdict)) => desk.refused(verdict),
        Ok(_) if scan.is_over(gate.now()) => desk.show(&desk.new_scan(), Stand::Waiting),
        Ok(stand) => desk.show(&scan, stand),
        Err(error) => gate.store_down(&error),
    }
}

/// Tells a script how it stands: at once to one that wants JSON, and as soon as there is news to one that listens.
pub(super) async fn events(gate: &Gate, call: &Call<'_>, room: &Semaphore) -> Reply {
    let headers = &call.head.headers;
    let listens = !accepts_json(headers);
    let scan = code::kept(gate, headers);
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let place = if listens { room.try_acquire().ok() } else { None };
    let began = Instant::now();
    let mut pause = SHORTEST_PAUSE;
    let news = loop {
        let news = match &scan {
            Some(scan) => match look(gate, scan).await {
                Ok(news) => news,
                Err(error) => return gate.store_down(&error).for_programs(),
            },
            None => News { state: "gone", code: String::new(), number: None },
        };
        let is_news = match &known {
            Some(known) => *known != id_of(&news),
            None => news.state != "waiting",
        };
        let may_change = ["waiting", "scanned"].contains(&news.state);
        if place.is_none() || !may_change || is_news || began.elapsed() + pause > HELD {
            break news;
        }
        sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    };
    let reply = if listens {
        let retry = if place.is_some() { SOON } else { LATER };
        let (id, data) = (id_of(&news), news.to_json());
        Reply::events(format!("retry: {retry}\nid: {id}\ndata: {data}\n\n"))
    } else {
        Reply::json(StatusCode::OK, &news.to_json())
    };
    // So that the page has another code when it is loaded again.
    let is_refused = ["cancelled", "wrong_number"].contains(&news.state);
    if is_refused { reply.with_cookie(code::forget(gate)) } else { reply }
}

/// Gives a script another code, in place of one that has expired.
pub(super) async fn fresh(gate: &Gate, call: &Call<'_>) -> Reply {
    let refuse = |status, word: &str| Reply::json(status, &json!({ "error": word }));
    if !is_same_origin(&call.head.headers, gate.public_url()) {
        return refuse(StatusCode::FORBIDDEN, "cross_site_request");
    }
    let Some(desk) = Desk::of(gate, call) else {
        return refuse(StatusCode::BAD_REQUEST, "unknown_scan");
    };
    if desk.is_known_enough(call.user.as_ref()) {
        return Reply::json(StatusCode::OK, &json!({ "state": "confirmed" }));
    }
    let serves = |scan: &Scan| scan.serves(gate.now(), desk.scope) && !wants_another(call.head);
    let mut shown = None;
    if let Some(scan) = code::kept(gate, &call.head.headers).filter(serves) {
        match (Record { store: gate.store(), scan: &scan }).stand().await {
            Ok(Stand::Decided(_)) => {}
            Ok(stand) => shown = Some((scan, stand)),
            Err(error) => return gate.store_down(&error).for_programs(),
        }
    }
    let (scan, stand) = shown.unwrap_or_else(|| (desk.new_scan(), Stand::Waiting));
    let mut told = news(&scan, stand).to_json();
    told["picture"] = desk.picture(&scan).into();
    Reply::json(StatusCode::OK, &told).with_cookie(code::keep(gate, &scan))
}

/// Signs the desktop in, once, and sends it where it wanted to go.
pub(super) async fn finish(gate: &Gate, call: &Call<'_>) -> Reply {
    let Some(desk) = Desk::of(gate, call) else { return Reply::page(Page::Malformed) };
    let headers = &call.head.headers;
    let Some(scan) = code::kept(gate, headers) else {
        // Another window of this browser was faster, or this was never its code.
        return match &call.user {
            Some(_) => Reply::back(&desk.target),
            None => desk.over(),
        };
    };
    let record = Record { store: gate.store(), scan: &scan };
    let session = match record.verdict().await {
        Ok(Some(Verdict::Confirmed(session))) => session,
        Ok(Some(verdict)) => return desk.refused(verdict),
        Ok(None) => return Reply::go(desk.url(WAIT)),
        Err(error) => return gate.store_down(&error),
    };
    let (once, life) = record.taken();
    let replaces = gate.cookies().session_id(headers);
    let secret = scan.id.to_text();
    match gate.vouch(Voucher { session, once, life, secret, replaces }).await {
        Ok(Some(session)) => Reply::back(&desk.target)
            .with_cookie(gate.session_cookie(&session))
            .with_cookie(code::forget(gate)),
        Ok(None) if call.user.is_some() => {
            Reply::back(&desk.target).with_cookie(code::forget(gate))
        }
        Ok(None) => desk.over().with_cookie(code::forget(gate)),
        Err(error) => gate.store_down(&error),
    }
}

impl<'a> Desk<'a> {
    /// The one that an address of ours speaks of.
    fn of(gate: &'a Gate, call: &'a Call<'_>) -> Option<Self> {
        let way = parameter(call.query(), WAY)?;
        let (target, scope) = code::open_way(gate, &way)?;
        Some(Self { gate, head: call.head, target, scope, way })
    }

    fn new_scan(&self) -> Scan {
        self.gate.saw(Event::Scan { step: ScanStep::Offered });
        Scan::new(self.gate.now(), self.scope)
    }

    /// Whether nobody has to scan anything any more.
    fn is_known_enough(&self, user: Option<&WechatUser>) -> bool {
        user.is_some_and(|user| !self.scope.has_userinfo() || user.known() == Known::Profile)
    }

    fn show(&self, scan: &Scan, stand: Stand) -> Reply {
        let page = CodePage {
            news: news(scan, stand),
            picture: self.picture(scan),
            events: self.path(EVENTS, []),
            fresh: self.url(FRESH),
            done: self.url(DONE),
            wait: self.url(WAIT),
            again: self.again(),
        };
        Reply::door_page(ScanPage::Code(page)).with_cookie(code::keep(self.gate, scan))
    }

    fn refused(&self, verdict: Verdict) -> Reply {
        Reply::door_page(ScanPage::Refused { verdict, again: self.again() })
            .with_cookie(code::forget(self.gate))
    }

    fn over(&self) -> Reply {
        Reply::door_page(ScanPage::Over { again: self.again() })
    }

    /// The code for the phone, as a drawing.
    fn picture(&self, scan: &Scan) -> String {
        let browser = Browser::of(&self.head.headers);
        let addr = self.head.extensions.get::<ClientAddr>().copied();
        let sealed = Code { scan: *scan, browser, addr }.seal(self.gate);
        draw(&self.gate.endpoint(OPEN, [(CODE, &*sealed)]))
    }

    fn url(&self, endpoint: &str) -> String {
        self.path(endpoint, [(WAY, &*self.way)])
    }

    fn again(&self) -> String {
        self.path(WAIT, [(WAY, &*self.way), (ANOTHER, "1")])
    }

    /// Without the host: the page is on our own.
    fn path<'b>(
        &'b self,
        endpoint: &str,
        parameters: impl IntoIterator<Item = (&'b str, &'b str)>,
    ) -> String {
        let url = self.gate.endpoint(endpoint, parameters);
        url.strip_prefix(self.gate.public_url().as_str()).unwrap_or(&url).to_owned()
    }
}

/// An address as a code, in an address of its own.
fn draw(url: &str) -> String {
    // Half as much as it could take: screens are clean, and few dots are large dots.
    let code = QrCode::with_error_correction_level(url, EcLevel::M)
        .expect("an address of ours is far from the largest code");
    let svg = code.render::<svg::Color<'_>>().module_dimensions(1, 1).build();
    Picture::svg(&svg, words::PICTURE).src
}

/// How a scan stands by now.
async fn look(gate: &Gate, scan: &Scan) -> Result<News, StoreError> {
    let stand = Record { store: gate.store(), scan }.stand().await?;
    let is_open = !matches!(stand, Stand::Decided(_));
    let news = news(scan, stand);
    Ok(if is_open && scan.is_over(gate.now()) {
        News { state: "expired", number: None, ..news }
    } else {
        news
    })
}

fn news(scan: &Scan, stand: Stand) -> News {
    let (state, number) = match stand {
        Stand::Waiting => ("waiting", None),
        Stand::Scanned => ("scanned", Some(Numbers::of(&scan.id).right().to_string())),
        Stand::Decided(Verdict::Confirmed(_)) => ("confirmed", None),
        Stand::Decided(Verdict::WrongNumber) => ("wrong_number", None),
        Stand::Decided(Verdict::Cancelled) => ("cancelled", None),
    };
    News { state, code: scan.id.tag(), number }
}

/// What a script says that it knows already.
fn id_of(news: &News) -> String {
    format!("{}.{}", news.code, news.state)
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}

fn wants_another(head: &Parts) -> bool {
    let query = full_uri(head).query().unwrap_or_default();
    parameter(query, ANOTHER).is_some_and(|value| value == "1")
}
