//! Authenticated encryption for what leaves this process and comes back.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

const KEY_ID: usize = 4;
const NONCE: usize = 24;

/// What a sealed value is for. A value that was sealed for one purpose does not open for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A login that has been sent to WeChat and not come back yet.
    PendingLogin,
    /// A return target that is too long for the pending login's cookie.
    LongTarget,
    /// A session on its way from one of our sites to another.
    Ticket,
    /// A code that we give to an app in WeChat's place.
    ClientCode,
    /// An access token that we give to an app in WeChat's place.
    ClientToken,
    /// A refresh token that we give to an app in WeChat's place.
    ClientRefresh,
    /// A session, in a store.
    StoredSession,
    /// What is known of a user, in a store.
    StoredUser,
    /// The app's own data of a session, in a store.
    StoredAppData,
    /// What became of a one-use record, in a store.
    StoredOutcome,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PendingLogin => "pending-login",
            Self::LongTarget => "long-target",
            Self::Ticket => "ticket",
            Self::ClientCode => "client-code",
            Self::ClientToken => "client-token",
            Self::ClientRefresh => "client-refresh",
            Self::StoredSession => "stored-session",
            Self::StoredUser => "stored-user",
            Self::StoredAppData => "stored-app-data",
            Self::StoredOutcome => "stored-outcome",
        }
    }
}

/// Keys for sealing: the first one seals, all of them open.
///
/// XChaCha20-Poly1305 with a random nonce, which is long enough never to repeat. Purpose, key id and context are
/// authenticated with the value.
#[derive(Clone)]
pub struct KeyRing(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
}

impl KeyRing {
    /// How many bytes sealing adds, before they are written as base64url.
    pub const OVERHEAD: usize = KEY_ID + NONCE + 16;

    /// A ring with one random key, good for as long as this process lives.
    pub fn random() -> Self {
        let (mut id, mut key) = ([0; KEY_ID], [0; 32]);
        fill(&mut id);
        fill(&mut key);
        Self(vec![Key { id, cipher: XChaCha20Poly1305::new(&key.into()) }])
    }

    /// This ring with the keys of `older` behind its own: they still open what they have sealed.
    pub fn followed_by(mut self, older: Self) -> Self {
        self.0.extend(older.0);
        self
    }

    /// Seals `plain` for one purpose and context; the result is base64url.
    pub fn seal(&self, purpose: Purpose, context: &str, plain: &[u8]) -> String {
        BASE64.encode(self.seal_bytes(purpose, context, plain))
    }

    /// Seals `plain` for one purpose and context.
    pub fn seal_bytes(&self, purpose: Purpose, context: &str, plain: &[u8]) -> Vec<u8> {
        let key = &self.0[0];
        let mut nonce = [0; NONCE];
        fill(&mut nonce);
        let aad = associated_data(purpose, key.id, context);
        let sealed = key
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .expect("only an input of many gigabytes cannot be sealed");
        [&key.id[..], &nonce, &sealed].concat()
    }

    /// Opens what [`KeyRing::seal`] has sealed for the same purpose and context.
    ///
    /// # Errors
    /// When one bit differs, the purpose or the context is another one, or the key is not in the ring.
    pub fn open(
        &self,
        purpose: Purpose,
        context: &str,
        sealed: &str,
    ) -> Result<Vec<u8>, Unsealable> {
        self.open_bytes(purpose, context, &BASE64.decode(sealed).map_err(|_| Unsealable)?)
    }

    /// Opens what [`KeyRing::seal_bytes`] has sealed for the same purpose and context.
    ///
    /// # Errors
    /// When one bit differs, the purpose or the context is another one, or the key is not in the ring.
    pub fn open_bytes(
        &self,
        purpose: Purpose,
        context: &str,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Unsealable> {
        let (id, rest) = bytes.split_first_chunk::<KEY_ID>().ok_or(Unsealable)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unsealable)?;
        let key = self.0.iter().find(|key| key.id == *id).ok_or(Unsealable)?;
        let aad = associated_data(purpose, *id, context);
        key.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| Unsealable)
    }
}

fn associated_data(purpose: Purpose, key_id: [u8; KEY_ID], context: &str) -> Vec<u8> {
    [purpose.as_str().as_bytes(), b"\0", &key_id, context.as_bytes()].concat()
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, [redacted])", self.0.len())
    }
}

/// A value that was not sealed by this ring, for this purpose and context, as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value is not one of ours, or was changed")]
pub struct Unsealable;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"/orders?id=1";

    #[test]
    fn c36_what_was_sealed_opens_at_every_length() {
        let ring = KeyRing::random();
        for length in 0..600 {
            let plain = vec![b'x'; length];
            let sealed = ring.seal(Purpose::PendingLogin, "a", &plain);
            assert_eq!(ring.open(Purpose::PendingLogin, "a", &sealed), Ok(plain));
        }
    }

    #[test]
    fn c09_one_changed_character_and_it_does_not_open() {
        let ring = KeyRing::random();
        let sealed = ring.seal(Purpose::PendingLogin, "a", PLAIN);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                ring.open(Purpose::PendingLogin, "a", &changed),
                Err(Unsealable),
                "{position}"
            );
        }
        for cut in 0..sealed.len() {
            assert_eq!(
                ring.open(Purpose::PendingLogin, "a", &sealed[..cut]),
                Err(Unsealable),
                "{cut}"
            );
        }
        assert_eq!(ring.open(Purpose::PendingLogin, "a", &sealed).as_deref(), Ok(PLAIN));
    }

    #[test]
    fn c38_two_seals_of_the_same_value_differ() {
        let ring = KeyRing::random();
        let seal = || ring.seal(Purpose::PendingLogin, "a", PLAIN);
        assert_ne!(seal(), seal());
    }

    #[test]
    fn c40_a_value_opens_for_its_own_purpose_and_context_only() {
        let ring = KeyRing::random();
        let sealed = ring.seal(Purpose::PendingLogin, "a", PLAIN);
        assert!(ring.open(Purpose::PendingLogin, "a", &sealed).is_ok());
        assert_eq!(ring.open(Purpose::LongTarget, "a", &sealed), Err(Unsealable));
        assert_eq!(ring.open(Purpose::PendingLogin, "b", &sealed), Err(Unsealable));
        assert_eq!(KeyRing::random().open(Purpose::PendingLogin, "a", &sealed), Err(Unsealable));
    }

    #[test]
    fn the_first_key_seals_and_all_of_them_open() {
        let old = KeyRing::random();
        let sealed = old.seal(Purpose::PendingLogin, "a", PLAIN);
        let ring = KeyRing::random().followed_by(old.clone());
        assert_eq!(ring.open(Purpose::PendingLogin, "a", &sealed).as_deref(), Ok(PLAIN));
        let newer = ring.seal(Purpose::PendingLogin, "a", PLAIN);
        assert_eq!(old.open(Purpose::PendingLogin, "a", &newer), Err(Unsealable));
    }
}
