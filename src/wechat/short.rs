//! Text that is mostly short.

use std::{cmp::Ordering, fmt};

/// Text that lies where it is, without an allocation, unless it is longer than `N` bytes, of which there are 255 at most.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Short<const N: usize>(Place<N>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place<const N: usize> {
    /// Zeros behind the text, so that the same text is the same value.
    Here {
        length: u8,
        bytes: [u8; N],
    },
    Elsewhere(Box<str>),
}

impl<const N: usize> Short<N> {
    pub(super) fn as_str(&self) -> &str {
        match &self.0 {
            Place::Here { length, bytes } => std::str::from_utf8(&bytes[..usize::from(*length)])
                .expect("it was taken in as text"),
            Place::Elsewhere(text) => text,
        }
    }
}

impl<const N: usize> From<&str> for Short<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        let here = bytes.get_mut(..text.len()).zip(u8::try_from(text.len()).ok());
        Self(match here {
            Some((place, length)) => {
                place.copy_from_slice(text.as_bytes());
                Place::Here { length, bytes }
            }
            None => Place::Elsewhere(text.into()),
        })
    }
}

impl<const N: usize> Ord for Short<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<const N: usize> PartialOrd for Short<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> Short<6> {
        Short::from(text)
    }

    #[test]
    fn text_of_any_length_is_what_it_was() {
        for text in ["", "a", "小红", "小红a", "abcdef", "abcdefg", &"x".repeat(300)] {
            assert_eq!(short(text).as_str(), text);
            assert_eq!(format!("{:?}", short(text)), format!("{text:?}"));
            assert_eq!(short(text), short(text));
        }
        assert_ne!(short("a"), short("a\0"));
    }

    #[test]
    fn the_order_is_that_of_the_text_wherever_it_lies() {
        let texts = ["", "a", "abcdefg", "b", "ba"];
        assert!(texts.is_sorted() && texts.map(short).is_sorted());
    }

    #[test]
    fn the_length_of_wechats_identifiers_takes_four_words() {
        assert_eq!((size_of::<Short<30>>(), size_of::<Short<22>>()), (32, 24));
    }
}
