//! The session id: what a browser's cookie holds, and so a secret.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Names one session. 122 random bits, written as a UUID of version 4. Whoever knows it is that session, so `Debug`
/// hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new random id.
    #[allow(clippy::new_without_default)] // A default would promise that two of them are equal.
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }

    /// Reads the one form that [`SessionId::expose`] writes: 36 characters, hyphens, lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        let is_canonical = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        is_canonical.then_some(Self(id))
    }

    /// The id as text, for the cookie alone.
    pub fn expose(&self) -> String {
        self.0.hyphenated().to_string()
    }

    /// The id that this number is.
    pub(crate) fn from_u128(id: u128) -> Self {
        Self(Uuid::from_u128(id))
    }

    /// The id as a number, as a key.
    pub fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }

    /// Half of it, of which all bits but the first two are random.
    #[cfg(feature = "memory")]
    pub(super) fn random_half(self) -> u64 {
        self.0.as_u64_pair().1
    }

    /// What stands for the id where it may be seen.
    pub fn handle(&self) -> Handle {
        let digest = Sha256::digest(self.0.as_bytes());
        Handle(u128::from_be_bytes(*digest.first_chunk().expect("SHA-256 has 32 bytes")))
    }
}

/// Names a session without being its id: the first half of its SHA-256. A store outside of the process knows sessions by
/// it, so that who reads the store cannot be them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(u128);

impl Handle {
    /// Reads the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let handle = u128::from_str_radix(text, 16).ok().map(Self)?;
        (handle.to_string() == text).then_some(handle)
    }

    /// Half of it, as good as random.
    pub(super) fn half(self) -> u64 {
        u64::from_be_bytes(*self.to_bytes().last_chunk().expect("there are sixteen"))
    }

    /// One of so many equal parts, the same for the same handle.
    pub(super) fn shard(self, count: usize) -> usize {
        usize::try_from(self.0 % count as u128).expect("it is less than a usize")
    }

    /// The handle that these bytes are.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The handle as bytes, for a place where it is a key.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = SessionId::new();
        let text = id.expose();
        assert_eq!(SessionId::parse(&text), Some(id));
        for other in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            format!(" {text}"),
            text[..35].to_owned(),
            String::new(),
        ] {
            assert_eq!(SessionId::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn a_handle_has_one_spelling_and_is_not_the_id() {
        let id = SessionId::new();
        let handle = id.handle();
        let text = handle.to_string();
        assert_eq!(Handle::parse(&text), Some(handle));
        assert_ne!(text, id.expose().replace('-', ""));
        for other in [&text[1..], &format!("+{}", &text[1..]), &format!("0{text}"), "", "x"] {
            assert_eq!(Handle::parse(other), None, "{other}");
        }
    }

    #[test]
    fn w10_an_id_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", SessionId::new()), "SessionId([redacted])");
    }
}
