//! The `state` of an authorization: a random word that WeChat carries round.

/// So many characters of a state name its cookie.
pub(super) const SUFFIX: usize = 8;

/// The random word that WeChat carries round: 32 characters of base62, so above 190 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State([u8; 32]);

impl State {
    pub(crate) fn random() -> Self {
        let bytes = || {
            let mut bytes = [0_u8; 64];
            getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
            bytes
        };
        let mut letters = std::iter::repeat_with(bytes).flatten().filter_map(letter);
        Self(std::array::from_fn(|_| letters.next().expect("there are always more")))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a state is ASCII")
    }

    /// What names its cookie.
    pub(super) fn suffix(&self) -> &str {
        &self.as_str()[..SUFFIX]
    }
}

/// The character that a random byte stands for. Only the largest multiple of 62 that a byte holds keeps every character
/// equally likely.
fn letter(byte: u8) -> Option<u8> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (byte < 248).then(|| ALPHABET[usize::from(byte % 62)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w01_every_character_of_a_state_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::<u8, usize>::new();
        for letter in (0..=u8::MAX).filter_map(letter) {
            *counts.entry(letter).or_default() += 1;
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.iter().all(|(letter, count)| letter.is_ascii_alphanumeric() && *count == 4));
    }

    #[test]
    fn w01_a_state_is_short_opaque_and_never_the_same() {
        let states: std::collections::HashSet<_> =
            (0..1000).map(|_| State::random().as_str().to_owned()).collect();
        assert_eq!(states.len(), 1000);
        let alphabet: std::collections::HashSet<_> =
            states.iter().flat_map(|s| s.bytes()).collect();
        assert_eq!(alphabet.len(), 62, "each character has its chance");
        for state in states {
            assert_eq!(state.len(), 32);
            assert!(State::parse(&state).is_some());
        }
        for bad in ["", "a", "a%20", &"é".repeat(16), &"a".repeat(33)] {
            assert!(State::parse(bad).is_none(), "{bad}");
        }
    }
}
