//! The thread that has the file: it reads, writes what waits together, and tidies up.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};

use super::{
    place::{Place, explain},
    queue::Job,
    tables::{Tables, seconds},
};
use crate::clock::Clock;

/// How many operations are taken at once. Each that fails makes all of them be done one by one.
const TOGETHER: usize = 256;

/// It is tidied up after so many writes,
const WRITES: usize = 256;
/// or after so long,
const SELDOM: Duration = Duration::from_secs(60);
/// or, where there was more than one step does, as soon as others had their turn.
const SOON: Duration = Duration::from_millis(50);

/// How many records of each kind one step deletes.
const SWEPT: usize = 500;

/// How many pages one step gives back to the disk, once a quarter of the file is unused. What is unused is used again, so
/// a file of steady size gives back nothing.
const GIVEN_BACK: i64 = 256;

pub(super) struct Worker {
    db: Connection,
    place: Place,
    clock: Arc<dyn Clock>,
    /// Since it was tidied up.
    writes: usize,
    is_troubled: bool,
}

impl Worker {
    pub(super) fn new(db: Connection, place: Place, clock: Arc<dyn Clock>) -> Self {
        Self { db, place, clock, writes: 0, is_troubled: false }
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        let mut next = Instant::now() + SELDOM;
        loop {
            match jobs.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(first) => {
                    let jobs = std::iter::once(first).chain(jobs.try_iter().take(TOGETHER - 1));
                    // Whatever happens to these, others come. What was begun is rolled back.
                    if catch_unwind(AssertUnwindSafe(|| self.work(jobs))).is_err() {
                        tracing::error!("the session store has given up on what it was asked");
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.writes >= WRITES || next <= Instant::now() {
                next = Instant::now() + if self.tidy_up() { SOON } else { SELDOM };
            }
        }
    }

    /// Reads are answered first: they need not wait for the commit, and so never see what may be rolled back.
    fn work(&mut self, jobs: impl Iterator<Item = Box<dyn Job>>) {
        let (mut writes, reads): (Vec<_>, Vec<_>) = jobs.partition(|job| job.writes());
        // Who does not wait any more was told that it may have been done or not. Each is asked when its turn comes, since
        // a slow disk lets time pass.
        for mut job in reads.into_iter().filter(|job| job.is_wanted()) {
            let outcome = job.run(&Tables(&self.db));
            job.answer(outcome.map_err(|error| explain(self.place.path(), &error)));
        }
        writes.retain(|job| job.is_wanted());
        if !writes.is_empty() {
            self.write(writes);
        }
    }

    fn write(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if let Err(reason) = self.place.is_unchanged() {
            for job in jobs {
                job.answer(Err(reason.clone()));
            }
            return;
        }
        self.writes += jobs.len();
        let together = self.commit(&mut jobs);
        if together.is_err() && jobs.len() > 1 {
            // One of them failed, and the others shall not suffer from it.
            for mut job in jobs {
                let alone = self.commit(std::slice::from_mut(&mut job));
                job.answer(alone);
            }
            return;
        }
        for job in jobs {
            job.answer(together.clone());
        }
    }

    /// Does them in one transaction, all or none.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), String> {
        let explain = |error| explain(self.place.path(), &error);
        let behavior = TransactionBehavior::Immediate;
        let all = self.db.transaction_with_behavior(behavior).map_err(explain)?;
        for job in jobs {
            job.run(&Tables(&all)).map_err(explain)?;
        }
        all.commit().map_err(explain)
    }

    /// Takes one step of it. True where another one is due soon.
    fn tidy_up(&mut self) -> bool {
        self.writes = 0;
        let outcome = self.step().map_err(|error| explain(self.place.path(), &error));
        match &outcome {
            Err(reason) if !self.is_troubled => {
                tracing::warn!(%reason, "the session store cannot be tidied up");
            }
            Ok(_) if self.is_troubled => tracing::info!("the session store is tidied up again"),
            _ => {}
        }
        self.is_troubled = outcome.is_err();
        outcome.unwrap_or(false)
    }

    fn step(&mut self) -> rusqlite::Result<bool> {
        let now = seconds(self.clock.now().unix());
        let all = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut is_more = Tables(&all).sweep(now, SWEPT)?;
        let unused: i64 = all.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        let pages: i64 = all.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if unused > pages / 4 {
            is_more |= unused > GIVEN_BACK;
            let sql = format!("PRAGMA incremental_vacuum({GIVEN_BACK})");
            let mut give_back = all.prepare(&sql)?;
            let mut rows = give_back.query([])?;
            while rows.next()?.is_some() {}
        }
        all.commit()?;
        // What is in the log goes into the file, so that the log starts again and stays small.
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(is_more)
    }
}
