//! The headers that concern one connection only, and so end with it.

use http::{
    HeaderMap, HeaderName,
    header::{
        ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        TE, TRANSFER_ENCODING, UPGRADE,
    },
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a header concerns one connection only, wherever it stands.
pub(super) fn is_of_one_connection(name: &HeaderName) -> bool {
    match *name {
        CONNECTION | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRANSFER_ENCODING
        | UPGRADE => true,
        _ => *name == KEEP_ALIVE || *name == PROXY_CONNECTION,
    }
}

/// The other headers that concern one connection only, since `Connection` names them: in lower case, and each once.
pub(super) fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let named = tokens(headers, &CONNECTION).map(str::to_ascii_lowercase);
    // These belong to the message, whatever is said of them; the last one is ours where pages are changed on their way.
    let belongs =
        |name: &String| [HOST, CONTENT_LENGTH, ACCEPT_ENCODING].iter().any(|n| n == &**name);
    let mut named: Vec<_> = named.filter(|name| !belongs(name)).collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// Takes out what concerns one connection only: the known headers, and those that `Connection` names.
pub(super) fn cut_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // Both at once would let two servers disagree on where the message ends.
        headers.remove(CONTENT_LENGTH);
    }
    for name in named_by_connection(headers) {
        headers.remove(&*name);
    }
    while let Some(name) = headers.keys().find(|name| is_of_one_connection(name)).cloned() {
        headers.remove(name);
    }
}

/// The items of a list over all its lines.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|token| !token.is_empty())
}
