//! Properties of sealing: what was sealed opens, for its own purpose, context and keys, and nothing else does.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::{tests::purposes, *};

fn bounded() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

fn purpose() -> impl Strategy<Value = Purpose> {
    select(purposes())
}

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn c36_what_is_sealed_opens_whatever_it_is(
        plain in vec(any::<u8>(), 0..4096),
        context in ".{0,80}",
        purpose in purpose(),
    ) {
        let ring = KeyRing::random();
        let sealed = ring.seal(purpose, &context, &plain);
        let size = (plain.len() + KeyRing::OVERHEAD) * 4;
        prop_assert_eq!(sealed.len(), size.div_ceil(3));
        let newer = KeyRing::random().followed_by(ring.clone());
        prop_assert_eq!(newer.open(purpose, &context, &sealed), Ok(plain.clone()));
        prop_assert_eq!(ring.open(purpose, &context, &sealed), Ok(plain));
        prop_assert_eq!(KeyRing::random().open(purpose, &context, &sealed), Err(Unsealable));
    }

    #[test]
    fn c09_what_was_changed_anywhere_does_not_open(
        plain in vec(any::<u8>(), 0..512),
        context in ".{0,20}",
        purpose in purpose(),
        at in any::<Index>(),
        change in 1_u8..,
        more in vec(any::<u8>(), 1..40),
    ) {
        let ring = KeyRing::random();
        let sealed = ring.seal_bytes(purpose, &context, &plain);
        let opens = |sealed: &[u8]| ring.open_bytes(purpose, &context, sealed).is_ok();
        prop_assert!(opens(&sealed));
        let at = at.index(sealed.len());
        let mut changed = sealed.clone();
        changed[at] ^= change;
        prop_assert!(!opens(&changed), "byte {}", at);
        prop_assert!(!opens(&sealed[..at]), "cut to {}", at);
        prop_assert!(!opens(&sealed[at + 1..]), "cut from {}", at);
        prop_assert!(!opens(&[&sealed[..], &more].concat()));
        prop_assert!(!opens(&[&more, &sealed[..]].concat()));
        prop_assert!(!opens(&more));
    }

    #[test]
    fn c40_what_is_sealed_opens_for_nothing_else(
        plain in vec(any::<u8>(), 0..256),
        (own, other) in (purpose(), purpose()),
        (context, elsewhere) in (".{0,12}", ".{0,12}"),
    ) {
        let ring = KeyRing::random();
        let sealed = ring.seal(own, &context, &plain);
        let opened = ring.open(other, &elsewhere, &sealed);
        prop_assert_eq!(opened.is_ok(), own == other && context == elsewhere);
        // No border between purpose and context can be moved.
        let moved = format!("{context}{elsewhere}");
        prop_assert_eq!(ring.open(own, &moved, &sealed).is_ok(), elsewhere.is_empty());
    }
}
