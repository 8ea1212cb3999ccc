//! How the thread works through its queue: together, each for itself, in time, and with nothing left lying about.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::mpsc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};

use super::*;
use crate::{
    clock::{ManualClock, Timestamp},
    session::SessionId,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

struct Subject {
    // In this order: the file is closed before its folder goes.
    records: FileRecords,
    folder: Folder,
    clock: ManualClock,
}

fn subject() -> Subject {
    let folder = std::env::temp_dir().join(format!("wxgate-file-{}", uuid::Uuid::new_v4()));
    fs::create_dir(&folder).unwrap();
    let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
    let records = FileRecords::open(folder.join("sessions.db"), clock.clone()).unwrap();
    Subject { records, folder: Folder(folder), clock }
}

type Held<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;
type Hold<'a> = (mpsc::Sender<()>, Held<'a>);

impl Subject {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// Holds the thread until what it returns is dropped. By now it has taken this, and nothing that comes later.
    fn hold(&self) -> Hold<'_> {
        let (hold, has_begun) = self.hand_in_hold();
        has_begun.recv().unwrap();
        hold
    }

    /// The same, while the thread may be doing something else. The second says when it is held.
    fn hand_in_hold(&self) -> (Hold<'_>, mpsc::Receiver<()>) {
        let (release, released) = mpsc::channel::<()>();
        let (begins, has_begun) = mpsc::channel();
        let wait = move |_: &Tables<'_>| {
            begins.send(()).ok();
            released.recv().ok();
            Ok(())
        };
        let mut held: Held<'_> = Box::pin(self.records.queue.read("wait", wait));
        assert!(held.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        ((release, held), has_begun)
    }

    async fn number(&self, sql: &'static str, column: usize) -> i64 {
        let number =
            move |tables: &Tables<'_>| tables.0.query_row(sql, [], |row| row.get::<_, i64>(column));
        self.records.queue.read("count", number).await.unwrap()
    }

    async fn sign_in(&self, life: Duration) -> Handle {
        let handle = SessionId::new().handle();
        self.records.put_session(handle, &[7; 200], life).await.unwrap();
        handle
    }
}

/// Has `others` wait behind a thread that is held, and lets go.
async fn behind<T>((hold, held): Hold<'_>, others: impl Future<Output = T>) -> T {
    let let_go = async {
        tokio::task::yield_now().await; // `others` are all handed in
        drop(hold);
    };
    let (held, (others, ())) = join(held, join(others, let_go)).await;
    held.unwrap();
    others
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[tokio::test]
async fn what_waits_is_committed_together() {
    let subject = subject();
    let frames = async || subject.number("PRAGMA wal_checkpoint(NOOP)", 1).await;
    let before = frames().await;
    let handles = behind(subject.hold(), join_all((0..200).map(|_| subject.sign_in(HOUR)))).await;
    let together = frames().await - before;
    assert!((1..100).contains(&together), "{together} pages were written for 200 sign-ins");
    for handle in handles {
        assert!(subject.records.session(handle).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let subject = subject();
    let text = |sql: &'static str| {
        let text = move |tables: &Tables<'_>| tables.0.query_row(sql, [], |row| row.get(0));
        subject.records.queue.read::<String>("look", text)
    };
    assert_eq!(text("PRAGMA journal_mode").await.unwrap(), "wal");
    assert_eq!(text("PRAGMA locking_mode").await.unwrap(), "exclusive");
    assert_eq!(subject.number("PRAGMA synchronous", 0).await, 2, "FULL");
    assert_eq!(subject.number("PRAGMA auto_vacuum", 0).await, 2, "INCREMENTAL");
    assert_eq!(subject.number("PRAGMA foreign_keys", 0).await, 1);
}

#[tokio::test]
async fn one_that_fails_does_not_fail_those_it_waited_with() {
    let subject = subject();
    let queue = &subject.records.queue;
    let bad = queue.write("try", |tables| {
        tables.0.execute("INSERT INTO account (appid, epoch) VALUES ('half', 1)", [])?;
        tables.0.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    let good = join(subject.sign_in(HOUR), join(bad, subject.sign_in(HOUR)));
    let (first, (bad, second)) = behind(subject.hold(), good).await;
    let error = bad.unwrap_err().to_string();
    assert!(error.contains("failed to try") && error.contains("nowhere"), "{error}");
    assert_eq!(subject.records.account_epoch("half").await.unwrap(), None, "all or nothing");
    for handle in [first, second] {
        assert!(subject.records.session(handle).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_read_does_not_see_what_is_not_acknowledged_yet() {
    let subject = subject();
    let handle = SessionId::new().handle();
    let put = subject.records.put_session(handle, b"sealed", HOUR);
    let both = join(put, subject.records.session(handle));
    let (put, seen) = behind(subject.hold(), both).await;
    assert!(put.is_ok() && seen.unwrap().is_none());
    assert!(subject.records.session(handle).await.unwrap().is_some());
}

#[tokio::test]
async fn a_panic_ends_neither_the_thread_nor_what_it_keeps() {
    let subject = subject();
    let kept = subject.sign_in(HOUR).await;
    let queue = &subject.records.queue;
    let gave_up = queue.write::<()>("try", |tables| {
        tables.0.execute("DELETE FROM session", [])?;
        panic!("planted")
    });
    assert!(gave_up.await.unwrap_err().to_string().contains("given up"));
    assert!(subject.records.session(kept).await.unwrap().is_some());
    subject.sign_in(HOUR).await;
}

// The time of the runtime moves on by itself as soon as all of its tasks wait.
#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_so_and_what_is_not_wanted_is_not_done() {
    let subject = subject();
    let (hold, held) = subject.hold();
    let held = async {
        let error = held.await.unwrap_err().to_string();
        assert!(error.contains("has not answered for 2s"), "{error}");
    };
    let handle = SessionId::new().handle();
    let late = async {
        let error = subject.records.put_session(handle, b"sealed", HOUR).await.unwrap_err();
        assert!(error.to_string().contains("has not answered"), "{error}");
    };
    join(held, late).await;
    drop(hold);
    tokio::time::resume();
    assert!(subject.records.session(handle).await.unwrap().is_none());
    subject.sign_in(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wanted_any_more_is_not_done_even_if_it_was_taken() {
    let subject = subject();
    let (first, first_held) = subject.hold();
    let (second, has_begun) = subject.hand_in_hold();
    let (second, second_held) = second;
    let handle = SessionId::new().handle();
    let mut late = Box::pin(subject.records.put_session(handle, b"sealed", HOUR));
    assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // The thread takes the last two at once, and is held by the first of them.
    drop(first);
    has_begun.recv().unwrap();
    assert!(late.await.unwrap_err().to_string().contains("has not answered"));
    drop((first_held, second_held, second));
    tokio::time::resume();
    assert!(subject.records.session(handle).await.unwrap().is_none());
    subject.sign_in(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_an_error_at_once() {
    let subject = subject();
    let (hold, held) = subject.hold();
    let handle = SessionId::new().handle();
    let many = join_all((0..5000).map(|_| subject.records.session(handle)));
    let (_, answers) = join(held, many).await;
    let full = |error: &StoreError| error.to_string().contains("4096 operations wait");
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err()).filter(|e| full(e));
    assert_eq!(refused.count(), 5000 - 4096);
    drop(hold);
    tokio::time::resume();
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = subject.records.session(handle).await {
        assert!(full(&error) && Instant::now() < deadline, "{error}");
    }
}

#[tokio::test]
async fn what_is_over_is_deleted_and_the_disk_gets_its_room_back() {
    let subject = subject();
    join_all((0..3000).map(|_| subject.sign_in(HOUR))).await;
    let with_data = subject.sign_in(HOUR).await;
    assert!(subject.records.put_app_data(with_data, &vec![7; 100_000]).await.unwrap());
    for n in 0..600 {
        assert!(subject.records.claim(&format!("claim {n}"), HOUR).await.unwrap());
        subject.records.put_outcome(&format!("claim {n}"), b"outcome", HOUR).await.unwrap();
    }
    let stays = subject.sign_in(3 * HOUR).await;
    let pages = subject.number("PRAGMA page_count", 0).await;
    subject.clock.advance(2 * HOUR);
    // Enough writes for it to be time to tidy up; they change nothing.
    join_all((0..300).map(|_| subject.records.keep_session(with_data, HOUR))).await;
    let rows = "SELECT (SELECT count(*) FROM session) + (SELECT count(*) FROM app_data)
        + (SELECT count(*) FROM claim) + (SELECT count(*) FROM outcome)";
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let left = subject.number(rows, 0).await;
        let now = subject.number("PRAGMA page_count", 0).await;
        if left == 1 && now < pages / 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{left} records and {now} of {pages} pages are left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(subject.records.session(stays).await.unwrap().is_some());
}

#[tokio::test]
async fn the_log_stays_small() {
    let subject = subject();
    for _ in 0..40 {
        join_all((0..250).map(|_| subject.sign_in(HOUR))).await;
    }
    let (file, log) = (size(&subject.file("sessions.db")), size(&subject.file("sessions.db-wal")));
    assert!(file > 2_500_000, "{file}");
    assert!(log < 16_000_000, "{log}");
    drop(subject.records);
    assert!(!subject.folder.0.join("sessions.db-wal").exists(), "it is gone once all is closed");
}
