//! The end of a session.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Uri, header, request::Parts};
use http_body::Body;
use tokio::time::timeout;

use super::{
    LOGOUT,
    gate::Gate,
    observe::Event,
    pages::Page,
    request::{encode, full_uri, parameter, read_body},
    respond::Reply,
    return_to::ReturnTo,
    start::ACCOUNT,
};
use crate::session::Session;

/// A form of ours holds two short fields.
const LARGEST_FORM: usize = 8 * 1024;
const LONGEST_FORM: Duration = Duration::from_secs(30);

/// Shows the button, or that there is nothing to end.
pub(super) fn ask(gate: &Gate, uri: &Uri, signed_in: bool) -> Reply {
    if !signed_in {
        return Reply::page(Page::SignedOut);
    }
    let to = parameter(uri.query().unwrap_or_default(), "to")
        .map(|to| ReturnTo::parse(&to, gate.public_url()));
    let to = to.map(|to| format!("to={}&", encode(to.as_str()))).unwrap_or_default();
    let account = account(gate);
    let here = format!("{LOGOUT}?{account}{to}everywhere=0");
    let everywhere = format!("{LOGOUT}?{account}{to}everywhere=1");
    Reply::page(Page::AskLogout { here, everywhere })
}

/// Ends the session, or all of the user's, and makes the browser forget every cookie of ours.
pub(super) async fn finish<B: Body>(
    gate: &Gate,
    head: &Parts,
    body: B,
    session: Option<Arc<Session>>,
) -> Reply {
    let form = if is_form(head) {
        match timeout(LONGEST_FORM, read_body(body, LARGEST_FORM)).await {
            Ok(Ok(form)) => form,
            Ok(Err(_)) | Err(_) => return Reply::page(Page::Malformed),
        }
    } else {
        Vec::new()
    };
    let query = full_uri(head).query().unwrap_or_default();
    let form = std::str::from_utf8(&form).unwrap_or_default();
    let field = |name| parameter(query, name).or_else(|| parameter(form, name));
    let everywhere = field("everywhere").is_some_and(|value| value == "1");
    if everywhere && session.is_none() {
        return Reply::page(Page::NobodyToEnd);
    }
    if let Some(session) = session {
        let store = gate.store();
        // This session goes last: where ending the others fails, it is there for another try.
        let ended =
            if everywhere { store.remove_all_of(session.user().key()).await } else { Ok(()) };
        let ended = match ended {
            Ok(()) => store.remove(session.id()).await,
            failed => failed,
        };
        if let Err(error) = ended {
            return gate.store_down(&error);
        }
        gate.saw(Event::LoggedOut { everywhere });
    }
    let to = field("to").map(|to| ReturnTo::parse(&to, gate.public_url()));
    let reply = match to {
        Some(to) => Reply::see(&to),
        // A protected page would sign in again without a word.
        None => Reply::see(&ReturnTo::sealed(&page(gate))),
    };
    reply
        .with_cookie(gate.cookies().expire(gate.cookies().session_name()))
        .with_cookies(gate.attempts().forget_all(&head.headers))
}

/// The page with the button. Somebody who has signed out ends up there too, and is told so.
pub(super) fn page(gate: &Gate) -> String {
    format!("{LOGOUT}?{}", account(gate)).trim_end_matches(['?', '&']).to_owned()
}

/// The part of an address that names the account, where it is not the site's own.
fn account(gate: &Gate) -> String {
    gate.account_name().map(|name| format!("{ACCOUNT}={name}&")).unwrap_or_default()
}

fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    head.method == Method::POST
        && kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"))
}
