//! What identifiers look like at WeChat: openids, codes, tokens and the `rid` of an error.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const URL_SAFE: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// An openid or unionid: `o`, five characters that all ids of one `owner` share, and 22 of the `person`.
pub(super) fn person_id(owner: &str, person: &str) -> String {
    let mut id = String::from("o");
    id.extend(letters(owner).take(5));
    id.extend(letters(&format!("{owner}\n{person}")).take(22));
    id
}

/// A fresh `code`: 32 characters of `[0-9A-Za-z]`.
pub(super) fn code() -> String {
    random::<32>()
        .iter()
        .map(|byte| char::from(BASE62[usize::from(*byte) % BASE62.len()]))
        .collect()
}

/// What a QR code is called: 16 characters of `[0-9A-Za-z]`.
pub(super) fn uuid() -> String {
    code().split_off(16)
}

/// A fresh access or refresh token: a number, `_`, and 86 URL-safe characters.
pub(super) fn token() -> String {
    format!("75_{}", URL_SAFE_NO_PAD.encode(random::<64>()))
}

/// Whether `text` could be a token at all: WeChat tells a foreign token from one it does not know.
pub(super) fn is_token(text: &str) -> bool {
    text.split_once('_').is_some_and(|(number, rest)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && rest.len() == 86
            && rest.bytes().all(|byte| URL_SAFE.contains(&byte))
    })
}

/// A fresh `jsapi_ticket`: 86 URL-safe characters.
pub(super) fn ticket() -> String {
    URL_SAFE_NO_PAD.encode(random::<64>())
}

/// Four digits that are always the same for the same seed.
pub(super) fn digits(seed: &str) -> String {
    letters(seed).take(4).map(|letter| char::from(b'0' + (letter as u8) % 10)).collect()
}

/// The request id in an error text. Its first group is the time of the request.
pub(super) fn rid(unix_seconds: u64) -> String {
    let second = u32::from_be_bytes(random());
    let third = u32::from_be_bytes(random());
    format!("{unix_seconds:08x}-{second:08x}-{third:08x}")
}

/// The request id in an error text of WeCom.
pub(super) fn hint(unix_seconds: u64) -> String {
    format!("{unix_seconds}_1_{:032x}", u128::from_be_bytes(random()))
}

/// A number as WeChat's `nonce` is one.
pub(super) fn number() -> u32 {
    u32::from_be_bytes(random())
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// An endless run of letters that depends on nothing but `seed`: FNV-1a feeding `SplitMix64`. No secret rests on it.
fn letters(seed: &str) -> impl Iterator<Item = char> {
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        char::from(URL_SAFE[usize::try_from(mixed >> 58).unwrap_or(0)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_person_are_stable_and_differ_between_owners() {
        let here = person_id("wx0123456789abcdef", "alice");
        assert_eq!(here, person_id("wx0123456789abcdef", "alice"));
        assert_ne!(here, person_id("wx0123456789abcdef", "bob"));
        assert_ne!(here, person_id("wxfedcba9876543210", "alice"));
        assert_eq!(here.len(), 28);
        assert!(here.starts_with('o'));
        assert!(here.bytes().all(|byte| URL_SAFE.contains(&byte)));
    }

    #[test]
    fn codes_are_32_letters_and_digits_and_never_alike() {
        let one = code();
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, code());
    }

    #[test]
    fn a_token_is_recognised_by_its_shape() {
        assert!(is_token(&token()));
        assert!(!is_token("ACCESS_TOKEN"));
        assert!(!is_token(""));
    }

    #[test]
    fn the_first_group_of_a_rid_is_the_time() {
        let rid = rid(0x6206_378a);
        assert!(rid.starts_with("6206378a-"), "{rid}");
        assert_eq!(rid.len(), 26);
    }
}
