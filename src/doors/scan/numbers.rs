//! The number that both screens show, and the two others that the phone shows with it.

use sha2::{Digest, Sha256};

use super::code::ScanId;

/// Three numbers of two digits. Which one is right is known to whoever knows the scan, so nothing has to be kept, and a
/// phone that loads its page again sees the same three in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    all: [u8; 3],
    right: usize,
}

impl Numbers {
    pub(super) fn of(id: &ScanId) -> Self {
        let mut all = [0; 3];
        let mut found = 0;
        let mut right = 0;
        for round in 0_u8..=u8::MAX {
            let digest = Sha256::new().chain_update(b"numbers").chain_update([round]);
            let digest = digest.chain_update(id.as_bytes()).finalize();
            // Only the largest multiples that a byte holds keep every choice equally likely.
            let mut bytes = digest.iter().copied().filter(|byte| *byte < 180);
            for number in bytes.by_ref().map(|byte| 10 + byte % 90) {
                if found < all.len() && all[..found].iter().all(|other| is_unlike(number, *other)) {
                    all[found] = number;
                    found += 1;
                } else if found == all.len() {
                    right = usize::from(number % 3);
                    return Self { all, right };
                }
            }
        }
        Self { all, right }
    }

    /// The right one, as the desktop shows it.
    pub(super) fn right(self) -> u8 {
        self.all[self.right]
    }

    /// As the phone shows them.
    pub(super) fn all(self) -> [u8; 3] {
        self.all
    }
}

/// Whether nobody takes one for the other in passing: no digit is in both.
fn is_unlike(one: u8, other: u8) -> bool {
    let digits = |number: u8| [number / 10, number % 10];
    digits(one).iter().all(|digit| !digits(other).contains(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_that_nobody_takes_for_one_another_and_any_of_them_is_right() {
        let mut places = [0; 3];
        let mut first_digits = [0; 10];
        for _ in 0..3000 {
            let id = ScanId::random();
            let numbers = Numbers::of(&id);
            assert_eq!(numbers, Numbers::of(&id), "a page that is loaded again is the same");
            let all = numbers.all();
            for (at, number) in all.iter().enumerate() {
                assert!((10..=99).contains(number), "{all:?}");
                assert!(all[..at].iter().all(|other| is_unlike(*number, *other)), "{all:?}");
            }
            let right = all.iter().position(|number| *number == numbers.right()).unwrap();
            places[right] += 1;
            first_digits[usize::from(numbers.right() / 10)] += 1;
        }
        assert!(places.iter().all(|count| (850..1150).contains(count)), "{places:?}");
        assert!(
            first_digits[1..].iter().all(|count| (230..440).contains(count)),
            "{first_digits:?}"
        );
    }
}
