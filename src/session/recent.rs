//! A table that has room for so much, and forgets what was used longest ago.
//!
//! A look-up only reads, and what it finds names itself, so that no name is kept twice: there may be millions, and each
//! is asked for with every request of a browser. What was asked for is moved to the front by [`Recent::used`], which a
//! caller needs to say once in a while only.

use std::{
    fmt,
    hash::RandomState,
    mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hashbrown::HashTable;
use slab::Slab;

use crate::clock::Timestamp;

/// Something that can be kept in such a table.
pub(super) trait Named: Send + Sync {
    type Name: ?Sized;

    fn is(&self, name: &Self::Name) -> bool;

    /// As good in its lower half as in its upper one.
    fn hash(name: &Self::Name, random: &RandomState) -> u64;
}

/// The table. In parts, so that who signs in waits for few others. Each part has an order of its own: from a full table of
/// many goes what was used longest ago of one part in [`PARTS`].
pub(super) struct Recent<T> {
    parts: Box<[Aligned<T>]>,
    count: AtomicUsize,
    most: usize,
    /// What was not used for so long is of no use any more.
    idle: Duration,
    random: RandomState,
}

/// A power of two.
const PARTS: usize = 64;
/// What is smaller has one part, and so one order.
const SMALL: usize = 64 * PARTS;
/// How many that are of no use any more are dropped each time that one is added.
const DROPPED_AT_ONCE: usize = 2;

/// So that locks do not share a line of the processor's cache.
#[repr(align(128))]
struct Aligned<T>(RwLock<Part<T>>);

struct Part<T> {
    /// Where each is in `kept`.
    places: HashTable<u32>,
    kept: Slab<Kept<T>>,
    /// The ends of the order in which they were used.
    oldest: u32,
    newest: u32,
}

struct Kept<T> {
    what: Arc<T>,
    hash: u32,
    /// In seconds since 1970.
    used_at: u32,
    older: u32,
    newer: u32,
}

/// Beyond the ends of the order.
const NOTHING: u32 = u32::MAX;

impl<T: Named> Recent<T> {
    pub(super) fn new(most: u64, idle: Duration) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let parts = if most < SMALL { 1 } else { PARTS };
        Self {
            parts: (0..parts).map(|_| Aligned(RwLock::new(Part::new()))).collect(),
            count: AtomicUsize::new(0),
            most,
            idle,
            random: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, name: &T::Name) -> Option<Arc<T>> {
        let (part, hash) = self.part_of(name);
        let part = read(part);
        part.find(name, hash).map(|at| part.at(at).what.clone())
    }

    /// Notes that somebody has used what has this name.
    pub(super) fn used(&self, name: &T::Name, now: Timestamp) {
        let (part, hash) = self.part_of(name);
        let mut part = write(part);
        if let Some(at) = part.find(name, hash) {
            part.use_again(at, seconds(now));
        }
    }

    /// What has this name, used now, and made where there is nothing. Beside it whether it was made, and what had to go for
    /// it.
    pub(super) fn get_or_make(
        &self,
        name: &T::Name,
        now: Timestamp,
        make: impl FnOnce() -> Arc<T>,
    ) -> Found<T> {
        let (part, hash) = self.part_of(name);
        let mut part = write(part);
        if let Some(at) = part.find(name, hash) {
            part.use_again(at, seconds(now));
            return Found { what: part.at(at).what.clone(), is_made: false, gone: Vec::new() };
        }
        let what = make();
        let gone = self.add(&mut part, what.clone(), hash, now);
        Found { what, is_made: true, gone }
    }

    /// Puts what has this name in the place of whatever has it, and says what had to go.
    pub(super) fn put(&self, name: &T::Name, now: Timestamp, what: Arc<T>) -> Vec<Arc<T>> {
        let (part, hash) = self.part_of(name);
        let mut part = write(part);
        let replaced = part.find(name, hash).map(|at| part.remove(at));
        self.count.fetch_sub(usize::from(replaced.is_some()), Ordering::Relaxed);
        let mut gone = self.add(&mut part, what, hash, now);
        gone.extend(replaced);
        gone
    }

    fn add(&self, part: &mut Part<T>, what: Arc<T>, hash: u32, now: Timestamp) -> Vec<Arc<T>> {
        part.add(what, hash, seconds(now));
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let gone = part.make_room(count.saturating_sub(self.most), seconds(now - self.idle));
        self.count.fetch_sub(gone.len(), Ordering::Relaxed);
        gone
    }

    pub(super) fn remove(&self, name: &T::Name) -> Option<Arc<T>> {
        let (part, hash) = self.part_of(name);
        let mut part = write(part);
        let at = part.find(name, hash)?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(part.remove(at))
    }

    pub(super) fn clear(&self) {
        for part in &self.parts {
            let part = mem::replace(&mut *write(&part.0), Part::new());
            self.count.fetch_sub(part.kept.len(), Ordering::Relaxed);
        }
    }

    /// All of them, in no order, part by part as they are when it is their turn.
    pub(super) fn iter(&self) -> impl Iterator<Item = Arc<T>> {
        self.parts.iter().flat_map(|part| {
            let part = read(&part.0);
            part.kept.iter().map(|(_, kept)| kept.what.clone()).collect::<Vec<_>>()
        })
    }

    fn part_of(&self, name: &T::Name) -> (&RwLock<Part<T>>, u32) {
        let [a, b, c, d, lower @ ..] = T::hash(name, &self.random).to_be_bytes();
        let upper = u32::from_be_bytes([a, b, c, d]) as usize;
        (&self.parts[upper % self.parts.len()].0, u32::from_be_bytes(lower))
    }
}

impl<T> fmt::Debug for Recent<T> {
    /// How many, and nothing of what: their names may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count.load(Ordering::Relaxed);
        f.debug_struct("Recent").field("count", &count).finish_non_exhaustive()
    }
}

/// What has a name.
pub(super) struct Found<T> {
    pub(super) what: Arc<T>,
    /// Whether it was not there.
    pub(super) is_made: bool,
    /// What had to go for it.
    pub(super) gone: Vec<Arc<T>>,
}

impl<T: Named> Part<T> {
    fn new() -> Self {
        Self { places: HashTable::new(), kept: Slab::new(), oldest: NOTHING, newest: NOTHING }
    }

    fn find(&self, name: &T::Name, hash: u32) -> Option<u32> {
        let is_it = |at: &u32| {
            let kept = self.at(*at);
            kept.hash == hash && kept.what.is(name)
        };
        self.places.find(spread(hash), is_it).copied()
    }

    /// Adds it as the newest.
    fn add(&mut self, what: Arc<T>, hash: u32, used_at: u32) {
        let kept = Kept { what, hash, used_at, older: NOTHING, newer: NOTHING };
        let at = u32::try_from(self.kept.insert(kept)).expect("they are fewer than four billion");
        let kept = &self.kept;
        self.places.insert_unique(spread(hash), at, |at| spread(kept[*at as usize].hash));
        self.append(at);
    }

    fn use_again(&mut self, at: u32, now: u32) {
        self.unlink(at);
        self.append(at);
        self.at_mut(at).used_at = now;
    }

    /// Drops the oldest, and at the least so many: but never the newest. And a few more that were last used before `useless`.
    fn make_room(&mut self, too_many: usize, useless: u32) -> Vec<Arc<T>> {
        let mut gone = Vec::new();
        while self.oldest != self.newest
            && (gone.len() < too_many
                || (gone.len() < DROPPED_AT_ONCE && self.at(self.oldest).used_at < useless))
        {
            gone.push(self.remove(self.oldest));
        }
        gone
    }

    fn remove(&mut self, at: u32) -> Arc<T> {
        self.unlink(at);
        let Kept { what, hash, .. } = self.kept.remove(at as usize);
        let place = self.places.find_entry(spread(hash), |other| *other == at);
        place.expect("what is kept has a place").remove();
        what
    }

    /// Takes it out of the order.
    fn unlink(&mut self, at: u32) {
        let Kept { older, newer, .. } = *self.at(at);
        *self.newer_of(older) = newer;
        *self.older_of(newer) = older;
    }

    /// Puts it at the end of the order.
    fn append(&mut self, at: u32) {
        let newest = mem::replace(&mut self.newest, at);
        let kept = self.at_mut(at);
        (kept.older, kept.newer) = (newest, NOTHING);
        *self.newer_of(newest) = at;
    }

    /// Where it is noted what comes behind.
    fn newer_of(&mut self, at: u32) -> &mut u32 {
        if at == NOTHING { &mut self.oldest } else { &mut self.at_mut(at).newer }
    }

    /// Where it is noted what comes before.
    fn older_of(&mut self, at: u32) -> &mut u32 {
        if at == NOTHING { &mut self.newest } else { &mut self.at_mut(at).older }
    }

    fn at(&self, at: u32) -> &Kept<T> {
        &self.kept[at as usize]
    }

    fn at_mut(&mut self, at: u32) -> &mut Kept<T> {
        &mut self.kept[at as usize]
    }
}

/// A table of hashes looks at both ends of one.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.unix()).unwrap_or(u32::MAX)
}

// Nothing in here panics half way through a change.

fn read<T>(part: &RwLock<Part<T>>) -> RwLockReadGuard<'_, Part<T>> {
    part.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(part: &RwLock<Part<T>>) -> RwLockWriteGuard<'_, Part<T>> {
    part.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use proptest::prelude::*;

    use super::*;

    const IDLE: Duration = Duration::from_secs(100);

    #[derive(Debug, PartialEq)]
    struct Number(u16);

    impl Named for Number {
        type Name = u16;

        fn is(&self, name: &u16) -> bool {
            self.0 == *name
        }

        fn hash(name: &u16, random: &RandomState) -> u64 {
            random.hash_one(name)
        }
    }

    fn add(table: &Recent<Number>, number: u16, now: u64) -> Found<Number> {
        table.get_or_make(&number, Timestamp::from_unix(now), || Arc::new(Number(number)))
    }

    fn sorted(table: &Recent<Number>) -> Vec<u16> {
        let mut all: Vec<_> = table.iter().map(|number| number.0).collect();
        all.sort_unstable();
        all
    }

    #[derive(Clone, Debug)]
    enum Step {
        Make(u16),
        Put(u16),
        Use(u16),
        Remove(u16),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..30_u16).prop_map(Step::Make),
            1 => (0..30_u16).prop_map(Step::Put),
            2 => (0..30_u16).prop_map(Step::Use),
            1 => (0..30_u16).prop_map(Step::Remove),
            1 => (0..60_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Told by a list with the oldest in front.
        #[test]
        fn it_keeps_what_was_used_last(steps in prop::collection::vec(step(), 0..300), most in 1..12_u64) {
            let table = Recent::new(most, IDLE);
            let mut list: Vec<(u16, u64)> = Vec::new();
            let mut now = 1000;
            for step in steps {
                let place = |number, list: &Vec<(u16, u64)>| list.iter().position(|it| it.0 == number);
                match step {
                    Step::Make(number) => {
                        let found = add(&table, number, now);
                        let known = place(number, &list);
                        prop_assert_eq!(found.is_made, known.is_none());
                        if let Some(at) = known {
                            list.remove(at);
                        }
                        list.push((number, now));
                        let mut gone = Vec::new();
                        while found.is_made && list.len() > 1
                            && (list.len() as u64 > most
                                || (gone.len() < DROPPED_AT_ONCE && list[0].1 + IDLE.as_secs() < now))
                        {
                            gone.push(list.remove(0).0);
                        }
                        prop_assert_eq!(found.gone.iter().map(|it| it.0).collect::<Vec<_>>(), gone);
                    }
                    Step::Put(number) => {
                        let gone = table.put(&number, Timestamp::from_unix(now), Arc::new(Number(number)));
                        let replaced = place(number, &list).map(|at| list.remove(at).0);
                        list.push((number, now));
                        let mut expected = Vec::new();
                        while list.len() > 1
                            && (list.len() as u64 > most
                                || (expected.len() < DROPPED_AT_ONCE && list[0].1 + IDLE.as_secs() < now))
                        {
                            expected.push(list.remove(0).0);
                        }
                        expected.extend(replaced);
                        prop_assert_eq!(gone.iter().map(|it| it.0).collect::<Vec<_>>(), expected);
                    }
                    Step::Use(number) => {
                        table.used(&number, Timestamp::from_unix(now));
                        if let Some(at) = place(number, &list) {
                            list.remove(at);
                            list.push((number, now));
                        }
                    }
                    Step::Remove(number) => {
                        let removed = place(number, &list).map(|at| list.remove(at).0);
                        prop_assert_eq!(table.remove(&number).map(|it| it.0), removed);
                    }
                    Step::Wait(seconds) => now += seconds,
                }
                let mut expected: Vec<_> = list.iter().map(|it| it.0).collect();
                expected.sort_unstable();
                for number in 0..30 {
                    prop_assert_eq!(table.get(&number).is_some(), expected.contains(&number));
                }
                prop_assert_eq!(sorted(&table), expected);
                prop_assert_eq!(table.len(), list.len());
            }
        }
    }

    #[test]
    fn a_large_table_has_room_for_exactly_as_many_and_for_the_newest_always() {
        let most = SMALL + 100;
        let table = Recent::new(most as u64, IDLE);
        assert_eq!(table.parts.len(), PARTS);
        for number in 0..10_000 {
            add(&table, number, 1000);
            assert!(table.get(&number).is_some());
            assert_eq!(table.len(), most.min(usize::from(number) + 1));
        }
        assert_eq!(sorted(&table).len(), most);
        // Of each part what was used last is there.
        assert!((9_900..10_000).all(|number| table.get(&number).is_some()));
    }

    #[test]
    fn whoever_uses_it_at_once_finds_what_was_made() {
        let table = Recent::new(SMALL as u64, IDLE);
        std::thread::scope(|scope| {
            for first in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for number in 0..5_000_u16 {
                        let number = number.wrapping_mul(4) + first;
                        assert!(add(table, number, 1000).is_made);
                        table.used(&number, Timestamp::from_unix(1001));
                        if number % 3 == 0 {
                            table.remove(&number);
                        }
                    }
                });
            }
        });
        assert_eq!(table.len(), sorted(&table).len());
        assert!(table.len() <= SMALL, "{}", table.len());
    }
}
