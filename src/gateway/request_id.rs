//! The ids of requests, which name them in the logs of everybody who had to do with them.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::{Builder, Uuid};

/// `X-Request-Id`.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many random bytes are fetched at once. To ask the system for those of one id costs more than all else of it.
const AT_ONCE: usize = 1024;
const OF_AN_ID: usize = size_of::<uuid::Bytes>();

/// Where the ids of one core come from. The lock is never waited for: a core is one thread.
#[derive(Debug, Default)]
pub(super) struct RequestIds(Mutex<Vec<u8>>);

impl RequestIds {
    /// The id of a request: the client's own, where it is one word that can do no harm in a log, or else a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let mut sent = headers.get_all(REQUEST_ID).iter();
        let is_word = |id: &&HeaderValue| {
            let id = id.as_bytes();
            (1..=64).contains(&id.len())
                && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        };
        if let (Some(id), None) = (sent.next().filter(is_word), sent.next()) {
            return id.clone();
        }
        let mut text = Uuid::encode_buffer();
        HeaderValue::from_str(self.new_id().simple().encode_lower(&mut text))
            .expect("hexadecimal digits can stand in a header")
    }

    fn new_id(&self) -> Uuid {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < OF_AN_ID {
            let mut fresh = vec![0; AT_ONCE];
            getrandom::fill(&mut fresh)
                .expect("a system that gives no random numbers cannot sign anybody in");
            *spare = fresh;
        }
        let mut bytes = uuid::Bytes::default();
        let left = spare.len() - OF_AN_ID;
        bytes.copy_from_slice(&spare[left..]);
        spare.truncate(left);
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_request_id_is_kept_only_where_it_is_one_harmless_word() {
        let ids = RequestIds::default();
        let of = |sent: &[&str]| {
            let mut headers = HeaderMap::new();
            for id in sent {
                headers.append(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
            }
            ids.of(&headers).to_str().unwrap().to_owned()
        };
        let longest = "a".repeat(64);
        for good in ["a", "6f1c.A_b-9", &longest] {
            assert_eq!(of(&[good]), good);
        }
        let mut made = Vec::new();
        let too_long = "a".repeat(65);
        for bad in [
            &[][..],
            &[""],
            &["a b"],
            &["a/b"],
            &["{\"a\":1}"],
            &["ä"],
            &[&too_long],
            &["a", "b"],
            &["a", "a"],
        ] {
            let id = of(bad);
            assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{bad:?} {id}");
            made.push(id);
        }
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 9);
    }

    #[test]
    fn no_two_ids_are_alike_and_each_is_random() {
        let ids = RequestIds::default();
        let many: HashSet<_> = (0..1000).map(|_| ids.new_id()).collect();
        assert_eq!(many.len(), 1000);
        assert!(many.iter().all(|id| id.get_version() == Some(uuid::Version::Random)));
    }
}
