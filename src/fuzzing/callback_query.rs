//! What comes back from WeChat, or from a sign-in site: read in one way, and worth nothing to a browser that began nothing.

use http::{StatusCode, Uri, header};
use url::form_urlencoded;

use super::world::World;
use crate::{
    login::{
        callback::{Query, Way},
        ticket,
    },
    origin::Origin,
};

/// The data is the query.
pub fn callback_query(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    let Ok(uri) = format!("/_wx/callback?{query}").parse::<Uri>() else { return };
    let query = uri.query().unwrap_or_default();
    let count =
        |name: &str| form_urlencoded::parse(query.as_bytes()).filter(|(n, _)| n == name).count();
    for (way, code) in [(Way::Code, "code"), (Way::Ticket, "ticket")] {
        let twice = ["state", code, "t"].into_iter().any(|name| count(name) > 1);
        let Ok(read) = Query::parse(&uri, way) else { continue };
        assert!(!twice, "c47: {query:?}");
        if let Some(state) = read.state {
            let text = state.as_str();
            assert!(text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric()), "w01");
        }
        if let Some(code) = read.code {
            let code = code.expose();
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(
                (1..=512).contains(&code.len()) && code.bytes().all(good) && code != "authdeny"
            );
        }
    }
    tickets(&uri);
    means_nothing(query);
}

/// Only sites that are listed can ask for a ticket.
fn tickets(uri: &Uri) {
    let partners = ["https://shop.example.com", "https://blog.example.com:8443"];
    let listed = partners.map(|site| Origin::parse(site).expect("it is an origin"));
    let query = uri.query().unwrap_or_default();
    let asked = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "for");
    let asked: Vec<_> = asked.map(|(_, site)| site.into_owned()).collect();
    match ticket::Request::of(uri, &listed) {
        Ok(Some(_)) => assert!(asked.len() == 1 && partners.contains(&&*asked[0]), "{asked:?}"),
        Ok(None) => assert!(asked.is_empty(), "{asked:?}"),
        Err(_) => {}
    }
}

/// A browser that has begun no sign-in gets nothing of it.
fn means_nothing(query: &str) {
    let world = World::get();
    for endpoint in ["callback", "accept"] {
        let head = http::Request::get(format!("/_wx/{endpoint}?{query}"));
        let Ok(request) = head.header(header::HOST, "h5.example.com").body(()) else { continue };
        let answer = world.own_answer(request.into_parts().0);
        let status = answer.status();
        let known = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
        assert!(known.contains(&status), "{endpoint} {status}: {query:?}");
        assert!(!answer.headers().contains_key(header::SET_COOKIE), "{endpoint}: {query:?}");
        assert!(!answer.headers().contains_key(header::LOCATION), "{endpoint}: {query:?}");
    }
}
