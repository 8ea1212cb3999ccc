//! From a mini-program into the pages of its web-view: a ticket that signs in once.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{ENTER, answer::Refusal, user_data};
use crate::{
    clock::Timestamp,
    login::{Call, Event, Gate, PREFIX, Page, Reply, ReturnTo, agent_says, carry_over, parameters},
    session::{OneUse, Purpose, Session, SessionId, StoreError},
};

/// How long the way from the mini-program into its web-view may take.
const LIFE: Duration = Duration::from_secs(60);
const KIND: &str = "web-view";

#[derive(Deserialize)]
struct Asked {
    to: Option<String>,
}

/// `/_wx/mini-program/ticket`: an address that signs a web-view in.
pub(super) fn ticket(gate: &Gate, call: &Call<'_>) -> Result<Reply, Refusal> {
    let asked: Asked = user_data::read(call)?;
    let user = call.by_token().ok_or(Refusal::NotSignedIn)?;
    let to = asked.to.map_or_else(ReturnTo::home, |to| ReturnTo::parse(&to, gate.public_url()));
    let ends_at = (gate.now() + LIFE).unix().to_be_bytes();
    let session = user.session().id().as_u128().to_be_bytes();
    let plain = [&session[..], &ends_at, to.as_str().as_bytes()].concat();
    let site = gate.public_url().as_str();
    let ticket = gate.keys().seal(Purpose::WebView, site, &plain);
    let url = format!("{site}{PREFIX}{ENTER}?ticket={ticket}");
    Ok(Reply::json(StatusCode::OK, &json!({ "url": url })))
}

/// `/_wx/mini-program/enter`: signs the web-view in, and goes on to the page.
pub(super) async fn enter(gate: &Gate, call: &Call<'_>) -> Reply {
    let ticket = parameters(call.query(), ["ticket"]);
    let Ok([Some(ticket)]) = ticket else { return Reply::page(Page::Malformed) };
    let Some(ticket) = Ticket::open(gate, &ticket) else {
        return Reply::page(Page::Meaningless);
    };
    // A link to a ticket of somebody else's would sign its readers in as that person.
    if !is_web_view(&call.head.headers) {
        return Reply::page(Page::Meaningless);
    }
    let to = ticket.to.clone();
    let replaces = gate.cookies().session_id(&call.head.headers);
    // A ticket that is used up must not be lost with its client.
    let login = gate.clone();
    let work = async move { sign_in(&login, &ticket, replaces).await };
    let Some(signed_in) = gate.finish(work).await else { return Reply::page(Page::Broken) };
    match signed_in {
        Ok(Some(session)) => Reply::back(&to).with_cookie(gate.session_cookie(&session)),
        // Somebody who goes back, or reloads.
        Ok(None) if call.user.is_some() => Reply::back(&to),
        Ok(None) => Reply::page(Page::Meaningless),
        Err(error) => gate.store_down(&error),
    }
}

async fn sign_in(
    gate: &Gate,
    ticket: &Ticket,
    replaces: Option<SessionId>,
) -> Result<Option<Arc<Session>>, StoreError> {
    let store = gate.store();
    // The one who has made it may have another clock, so its use is remembered for longer than it is good.
    let is_good = gate.now() < ticket.ends_at && store.claim(&ticket.once, 2 * LIFE).await?;
    if !is_good {
        return Ok(None);
    }
    let Some(session) = store.load(ticket.session).await? else { return Ok(None) };
    if !gate.accepts(&session.user().key().appid) {
        return Ok(None);
    }
    let carried = carry_over(store, &session, replaces, gate.now()).await?;
    if let Some(session) = &carried {
        gate.saw(Event::SignedIn { scope: session.scope() });
    }
    Ok(carried)
}

struct Ticket {
    session: SessionId,
    ends_at: Timestamp,
    to: ReturnTo,
    once: OneUse,
}

impl Ticket {
    fn open(gate: &Gate, sealed: &str) -> Option<Self> {
        let site = gate.public_url();
        let plain = gate.keys().open(Purpose::WebView, site.as_str(), sealed).ok()?;
        let (session, rest) = plain.split_first_chunk::<16>()?;
        let (ends_at, to) = rest.split_first_chunk::<8>()?;
        Some(Self {
            session: SessionId::from_u128(u128::from_be_bytes(*session)),
            ends_at: Timestamp::from_unix(u64::from_be_bytes(*ends_at)),
            to: ReturnTo::parse(std::str::from_utf8(to).ok()?, site),
            once: OneUse::sealed(KIND, sealed),
        })
    }
}

/// Whether the browser says that it is the web-view of a mini-program.
fn is_web_view(headers: &HeaderMap) -> bool {
    agent_says(headers, b"miniprogram/")
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::{
        login::WechatLoginLayer,
        origin::Origin,
        secret::AppSecret,
        session::{MemoryStore, NewSession, Store, UserChange, UserKey},
        wechat::{Account, AppId, OpenId, Scope},
    };

    const OWN: &str = "wx0123456789abcdef";

    #[tokio::test]
    async fn c40_a_ticket_is_good_for_sessions_of_the_login_s_accounts_until_its_last_second() {
        let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
        let account = Account::official_account(OWN, secret).unwrap();
        let site = Origin::parse("https://h5.example.com").unwrap();
        let clock = crate::clock::ManualClock::new(Timestamp::from_unix(1_700_000_000));
        let store = MemoryStore::builder().clock(clock.clone()).build();
        let layer = WechatLoginLayer::with_store(account, site, store.clone()).clock(clock);
        let gate = layer.gate();
        let second = Duration::from_secs(1);
        for (appid, ends_at, is_good) in [
            (OWN, gate.now() + second, true),
            (OWN, gate.now(), false),
            ("wxfedcba9876543210", gate.now() + second, false),
        ] {
            let openid = OpenId::parse("o6_alice").unwrap();
            let key = UserKey { appid: AppId::parse(appid).unwrap(), openid };
            let user = store.put_user(key, UserChange::default()).await.unwrap();
            let (scope, now) = (Scope::Base, gate.now());
            let new = NewSession { user, scope, signed_in_at: now, begins_at: now };
            let session = store.create(new).await.unwrap().id();
            let once = OneUse::sealed(KIND, &session.expose());
            let ticket = Ticket { session, ends_at, to: ReturnTo::home(), once };
            let signed_in = sign_in(gate, &ticket, None).await.unwrap();
            assert_eq!(signed_in.is_some_and(|new| new.id() != session), is_good, "{appid}");
            assert!(sign_in(gate, &ticket, None).await.unwrap().is_none(), "once");
        }
    }
}
