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
