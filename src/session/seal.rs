//! Authenticated encryption for what leaves this process and comes back.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretBox, zeroize::Zeroizing};

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
    /// A session on its way from a mini-program into its web-view.
    WebView,
    /// A code that we give to an app in WeChat's place.
    ClientCode,
    /// An access token that we give to an app in WeChat's place.
    ClientToken,
    /// A refresh token that we give to an app in WeChat's place.
    ClientRefresh,
    /// A code that a phone scans to sign a desktop in.
    ScanCode,
    /// The desktop's side of such a code, in its cookie.
    ScanCookie,
    /// Where the desktop goes once it is signed in.
    ScanTarget,
    /// A session, in a store.
    StoredSession,
    /// What is known of a user, in a store.
    StoredUser,
    /// The app's own data of a session, in a store.
    StoredAppData,
    /// What became of a one-use record, in a store.
    StoredOutcome,
    /// Nothing, in a store: whoever can open it has the store's keys.
    StoreMark,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PendingLogin => "pending-login",
            Self::LongTarget => "long-target",
            Self::Ticket => "ticket",
            Self::WebView => "web-view",
            Self::ClientCode => "client-code",
            Self::ClientToken => "client-token",
            Self::ClientRefresh => "client-refresh",
            Self::ScanCode => "scan-code",
            Self::ScanCookie => "scan-cookie",
            Self::ScanTarget => "scan-target",
            Self::StoredSession => "stored-session",
            Self::StoredUser => "stored-user",
            Self::StoredAppData => "stored-app-data",
            Self::StoredOutcome => "stored-outcome",
            Self::StoreMark => "store-mark",
        }
    }
}

/// What a key is called. It stands before each value that the key has sealed.
pub(super) type KeyId = [u8; KEY_ID];

/// The key itself. It cannot be printed, compared or serialised, and is wiped when it is dropped.
pub(super) struct SealingKey(SecretBox<[u8; 32]>);

impl SealingKey {
    pub(super) fn random() -> Self {
        Self(SecretBox::init_with_mut(|key: &mut [u8; 32]| fill(key)))
    }

    /// The key as it is written into a file.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.0.expose_secret()))
    }

    /// The key that [`SealingKey::to_text`] has written.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64.decode(text).ok()?);
        let key: [u8; 32] = bytes.as_slice().try_into().ok()?;
        Some(Self(SecretBox::new(Box::new(key))))
    }
}

/// The name of a key that is about to be made.
pub(super) fn random_id() -> KeyId {
    let mut id = [0; KEY_ID];
    fill(&mut id);
    id
}

/// Keys for sealing: the first one seals, all of them open. Clones are the same ring.
///
/// XChaCha20-Poly1305 with a random nonce, which is long enough never to repeat. Purpose, key id and context are
/// authenticated with the value.
#[derive(Clone)]
pub struct KeyRing(Arc<ArcSwap<Vec<Key>>>);

#[derive(Clone)]
struct Key {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl KeyRing {
    /// How many bytes sealing adds, before they are written as base64url.
    pub const OVERHEAD: usize = KEY_ID + NONCE + 16;

    /// A ring with one random key, good for as long as this process lives.
    pub fn random() -> Self {
        let key = SealingKey::random();
        Self::of(std::iter::once((random_id(), &key)))
    }

    /// A ring of these keys, of which there is at least one.
    pub(super) fn of<'k>(keys: impl Iterator<Item = (KeyId, &'k SealingKey)>) -> Self {
        let key = |(id, key): (KeyId, &SealingKey)| Key {
            id,
            cipher: XChaCha20Poly1305::new(key.0.expose_secret().into()),
        };
        Self(Arc::new(ArcSwap::from_pointee(keys.map(key).collect())))
    }

    /// A ring of its own with the keys of this one, and behind them those of `older`: they still open what they have
    /// sealed.
    pub fn followed_by(self, older: Self) -> Self {
        let keys = [self, older].map(|ring| ring.0.load_full());
        let keys = keys.iter().flat_map(|keys| keys.iter().cloned()).collect();
        Self(Arc::new(ArcSwap::from_pointee(keys)))
    }

    /// The name of the key that seals.
    pub(super) fn sealing_id(&self) -> KeyId {
        self.0.load()[0].id
    }

    /// Takes the present keys of `other` in place of its own, for all clones of this ring at once.
    pub fn replace_with(&self, other: &Self) {
        self.0.store(other.0.load_full());
    }

    /// Whether what `other` seals at present opens here.
    pub fn opens_what_is_sealed_by(&self, other: &Self) -> bool {
        let sealed = other.seal_bytes(Purpose::PendingLogin, "", b"");
        self.open_bytes(Purpose::PendingLogin, "", &sealed).is_ok()
    }

    /// A ring of its own with those keys of this one that `dropped` does not have.
    #[cfg(test)]
    pub(super) fn without(&self, dropped: &Self) -> Self {
        let dropped = dropped.0.load_full();
        let keys = self.0.load_full();
        let stays = |key: &&Key| !dropped.iter().any(|gone| gone.id == key.id);
        Self(Arc::new(ArcSwap::from_pointee(keys.iter().filter(stays).cloned().collect())))
    }

    /// Seals `plain` for one purpose and context; the result is base64url.
    pub fn seal(&self, purpose: Purpose, context: &str, plain: &[u8]) -> String {
        BASE64.encode(self.seal_bytes(purpose, context, plain))
    }

    /// Seals `plain` for one purpose and context.
    pub fn seal_bytes(&self, purpose: Purpose, context: &str, plain: &[u8]) -> Vec<u8> {
        // Once, so that key and id belong together however often the ring is replaced meanwhile.
        let keys = self.0.load();
        let key = &keys[0];
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
        let keys = self.0.load();
        let key = keys.iter().find(|key| key.id == *id).ok_or(Unsealable)?;
        let aad = associated_data(purpose, *id, context);
        key.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map_err(|_| Unsealable)
    }
}

fn associated_data(purpose: Purpose, key_id: KeyId, context: &str) -> Vec<u8> {
    [purpose.as_str().as_bytes(), b"\0", &key_id, context.as_bytes()].concat()
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, [redacted])", self.0.load().len())
    }
}

/// A value that was not sealed by this ring, for this purpose and context, as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value is not one of ours, or was changed")]
pub struct Unsealable;

#[cfg(test)]
mod properties;

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
    fn c38_the_name_of_the_key_is_authenticated_with_the_value() {
        let key = SealingKey::random();
        let ring = KeyRing::of([([1; KEY_ID], &key), ([2; KEY_ID], &key)].into_iter());
        let mut sealed = ring.seal_bytes(Purpose::StoredUser, "a", PLAIN);
        assert_eq!(ring.open_bytes(Purpose::StoredUser, "a", &sealed).as_deref(), Ok(PLAIN));
        sealed[..KEY_ID].copy_from_slice(&[2; KEY_ID]);
        assert_eq!(ring.open_bytes(Purpose::StoredUser, "a", &sealed), Err(Unsealable));
    }

    /// Every purpose. One that is missing here does not compile.
    pub(super) fn purposes() -> Vec<Purpose> {
        let next = |purpose| match purpose {
            Purpose::PendingLogin => Some(Purpose::LongTarget),
            Purpose::LongTarget => Some(Purpose::Ticket),
            Purpose::Ticket => Some(Purpose::WebView),
            Purpose::WebView => Some(Purpose::ClientCode),
            Purpose::ClientCode => Some(Purpose::ClientToken),
            Purpose::ClientToken => Some(Purpose::ClientRefresh),
            Purpose::ClientRefresh => Some(Purpose::ScanCode),
            Purpose::ScanCode => Some(Purpose::ScanCookie),
            Purpose::ScanCookie => Some(Purpose::ScanTarget),
            Purpose::ScanTarget => Some(Purpose::StoredSession),
            Purpose::StoredSession => Some(Purpose::StoredUser),
            Purpose::StoredUser => Some(Purpose::StoredAppData),
            Purpose::StoredAppData => Some(Purpose::StoredOutcome),
            Purpose::StoredOutcome => Some(Purpose::StoreMark),
            Purpose::StoreMark => None,
        };
        std::iter::successors(Some(Purpose::PendingLogin), |purpose| next(*purpose)).collect()
    }

    #[test]
    fn c40_a_value_opens_for_its_own_purpose_and_context_only() {
        let ring = KeyRing::random();
        let purposes = purposes();
        assert!(purposes.len() >= 11);
        for own in &purposes {
            let sealed = ring.seal(*own, "a", PLAIN);
            for other in &purposes {
                let opened = ring.open(*other, "a", &sealed);
                let wanted = if own == other { Ok(PLAIN) } else { Err(Unsealable) };
                assert_eq!(opened.as_deref(), wanted.as_deref(), "{own:?} as {other:?}");
            }
            assert_eq!(ring.open(*own, "b", &sealed), Err(Unsealable));
            assert_eq!(KeyRing::random().open(*own, "a", &sealed), Err(Unsealable));
        }
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

    #[test]
    fn clones_are_one_ring_and_change_together() {
        let ring = KeyRing::random();
        let (clone, next) = (ring.clone(), KeyRing::random());
        let before = ring.seal(Purpose::Ticket, "a", PLAIN);
        clone.replace_with(&next);
        let after = ring.seal(Purpose::Ticket, "a", PLAIN);
        assert_eq!(next.open(Purpose::Ticket, "a", &after).as_deref(), Ok(PLAIN));
        assert_eq!(ring.open(Purpose::Ticket, "a", &before), Err(Unsealable));
        // The ring that gave its keys is not the same one for that.
        next.replace_with(&KeyRing::random());
        assert_eq!(clone.open(Purpose::Ticket, "a", &after).as_deref(), Ok(PLAIN));
    }

    #[test]
    fn what_is_sealed_while_the_ring_is_replaced_is_whole() {
        const ROUNDS: usize = 2000;
        let rings = [KeyRing::random(), KeyRing::random()];
        let all = rings[0].clone().followed_by(rings[1].clone());
        let ring = KeyRing::random();
        ring.replace_with(&rings[0]);
        std::thread::scope(|scope| {
            let replacing = scope.spawn(|| {
                for round in 0..ROUNDS {
                    ring.replace_with(&rings[round % 2]);
                }
            });
            let mut sealed = 0;
            while !replacing.is_finished() || sealed == 0 {
                let value = ring.seal(Purpose::Ticket, "a", PLAIN);
                assert_eq!(all.open(Purpose::Ticket, "a", &value).as_deref(), Ok(PLAIN));
                sealed += 1;
            }
        });
    }

    #[test]
    fn a_ring_knows_whether_it_can_take_the_place_of_another_one() {
        let (old, new) = (KeyRing::random(), KeyRing::random());
        assert!(!new.opens_what_is_sealed_by(&old));
        assert!(new.followed_by(old.clone()).opens_what_is_sealed_by(&old));
    }
}
