//! Records in one file: the contract, and what can happen to the file.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use http::StatusCode;
use rusqlite::Connection;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    session::{
        Handle, KeyRing, SessionId, Store,
        conformance::{self, Subject},
        durable::{DurableStore, Ended, FileRecords, Records},
    },
    simulator::Simulator,
};

use crate::{
    process::Folder,
    world::{self, App, Browser, HOUR},
};

struct OneFile {
    // In this order: the file is closed before its folder goes.
    store: Arc<DurableStore>,
    clock: ManualClock,
    _folder: Folder,
}

#[async_trait]
impl Subject for OneFile {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[tokio::test]
async fn it_keeps_every_promise_of_a_store() {
    conformance::run(async || {
        let folder = Folder::new();
        let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
        let records = FileRecords::open(folder.path().join("sessions.db"), clock.clone()).unwrap();
        let store = DurableStore::builder(records, KeyRing::random()).clock(clock.clone()).build();
        OneFile { store: Arc::new(store), clock, _folder: folder }
    })
    .await;
}

fn open(path: &Path) -> FileRecords {
    FileRecords::open(path, SystemClock).unwrap()
}

/// The file, as soon as a gateway that is stopping lets go of it.
async fn opened(path: &Path) -> FileRecords {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match FileRecords::open(path, SystemClock) {
            Ok(records) => return records,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn refusal(path: &Path) -> String {
    FileRecords::open(path, SystemClock).unwrap_err().to_string()
}

/// Keeps so many sessions.
async fn fill(records: &FileRecords, count: usize) -> Vec<Handle> {
    let handles: Vec<_> = (0..count).map(|_| SessionId::new().handle()).collect();
    for some in handles.chunks(1000) {
        let put = |handle: &Handle| records.put_session(*handle, &[7; 180], HOUR);
        for outcome in join_all(some.iter().map(put)).await {
            outcome.unwrap();
        }
    }
    handles
}

/// The files of a folder, with what is in them.
fn content(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .map(|path| (path.file_name().unwrap().display().to_string(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_it_keeps_is_there_when_it_is_opened_again() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let records = open(&path);
    let handle = SessionId::new().handle();
    records.put_session(handle, b"sealed", HOUR).await.unwrap();
    assert!(records.put_app_data(handle, b"data").await.unwrap());
    records.make_account_epoch("account", u64::MAX).await.unwrap();
    assert!(records.claim("once", HOUR).await.unwrap());
    drop(records);
    let records = open(&path);
    assert_eq!(records.session(handle).await.unwrap().unwrap().sealed, b"sealed");
    assert_eq!(records.app_data(handle).await.unwrap().unwrap(), b"data");
    assert_eq!(records.account_epoch("account").await.unwrap(), Some(u64::MAX));
    assert!(!records.claim("once", HOUR).await.unwrap());
}

#[tokio::test]
async fn it_tells_of_ends_and_lists_every_session_once() {
    let folder = Folder::new();
    let records = open(&folder.path().join("sessions.db"));
    let ends = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = ends.clone();
    records.tell_of_ends(Arc::new(move |ended| told.lock().unwrap().push(ended)));
    let mut handles = fill(&records, 25).await;
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = records.sessions(after.as_deref(), 10).await.unwrap();
        listed.extend(page.sessions.iter().map(|(handle, _)| *handle));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    listed.sort();
    handles.sort();
    assert_eq!(listed, handles);
    assert!(records.remove_session(handles[0]).await.unwrap());
    assert!(!records.remove_session(handles[0]).await.unwrap());
    records.set_user_epoch("user", 1).await.unwrap();
    records.set_account_epoch("account", 1).await.unwrap();
    let session = Ended::Session(handles[0]);
    let expected = [session.clone(), session, Ended::User("user".into()), Ended::Account];
    assert_eq!(*ends.lock().unwrap(), expected);
}

#[tokio::test]
async fn only_its_owner_can_read_it() {
    let folder = Folder::new();
    let path = folder.path().join("a name with ? and % and é.db");
    let records = open(&path);
    fill(&records, 1).await;
    let files = fs::read_dir(folder.path()).unwrap();
    let modes: Vec<_> =
        files.map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect();
    assert_eq!(modes, [0o600, 0o600], "the file and its log");
}

#[tokio::test]
async fn a_second_one_is_told_that_the_file_is_taken() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let first = open(&path);
    let error = refusal(&path);
    assert!(error.contains("sessions.db: another process has it open"), "{error}");
    // And the refused one has not let go of it for the first.
    let other = std::process::Command::new("python3")
        .arg("-c")
        .arg("import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM account')")
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("database is locked"), "{said}");
    fill(&first, 1).await;
    drop(first);
    open(&path);
}

#[tokio::test]
async fn what_is_something_else_is_refused_and_stays_as_it_is() {
    type Plant<'a> = &'a dyn Fn(&Path);
    let plant = |path: &Path, sql: &str| {
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
    };
    let newer = |path: &Path| {
        drop(open(path));
        plant(path, "PRAGMA user_version = 2");
    };
    let cases: [(Plant<'_>, &str); 5] = [
        (&|path| fs::write(path, "some notes").unwrap(), "no store of wxgate"),
        (&|path| fs::write(path, [0; 8192]).unwrap(), "no store of wxgate"),
        (&|path| plant(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"), "no store of wxgate"),
        (
            &|path| plant(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (a)"),
            "no store of wxgate",
        ),
        (&newer, "newer wxgate has made it (format 2"),
    ];
    for (plant, expected) in cases {
        let folder = Folder::new();
        let path = folder.path().join("sessions.db");
        plant(&path);
        let before = content(&folder);
        let error = refusal(&path);
        assert!(error.contains(expected) && error.contains("sessions.db"), "{error}");
        assert_eq!(content(&folder), before, "{expected}");
    }
    // An empty file is none of them.
    let folder = Folder::new();
    open(&folder.write("sessions.db", ""));
}

#[tokio::test]
async fn a_place_where_no_file_can_be_is_named() {
    let folder = Folder::new();
    let error = refusal(&folder.path().join("missing/sessions.db"));
    assert!(error.contains("missing/sessions.db: its folder does not exist"), "{error}");
    let error = refusal(folder.path());
    assert!(error.contains("it is no file"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let records = open(&path);
    fill(&records, 1000).await;
    drop(records);
    let good = fs::read(&path).unwrap();
    let short = good[..good.len() / 2].to_vec();
    let mut scratched = good.clone();
    scratched[4096 * 2..4096 * 20].fill(0xa5);
    for bad in [short, scratched] {
        fs::write(&path, &bad).unwrap();
        let error = refusal(&path);
        assert!(error.contains("sessions.db: it is damaged: put a backup"), "{error}");
    }
    fs::write(&path, good).unwrap();
    open(&path);
}

/// Writes nonsense over all pages but those that are in use from the start on.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[4096 * 24..].fill(0xa5);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn c42_a_damaged_page_is_an_error_and_never_an_absent_session() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let records = open(&path);
    let handles = fill(&records, 5000).await;
    drop(records);
    let records = open(&path);
    damage(&path);
    let mut errors = 0;
    for handle in handles {
        match records.session(handle).await {
            Ok(found) => assert_eq!(found.expect("it is kept").sealed, [7; 180]),
            Err(error) => {
                errors += 1;
                let error = error.to_string();
                assert!(error.contains("sessions.db: it is damaged"), "{error}");
            }
        }
    }
    assert!(errors > 4000, "{errors}");
    // What is not on those pages goes on.
    records.set_account_epoch("account", 1).await.unwrap();
    assert_eq!(records.account_epoch("account").await.unwrap(), Some(1));
}

#[tokio::test]
async fn c42_a_damaged_file_signs_nobody_out() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let keys = KeyRing::random();
    fill(&open(&path), 5000).await;
    let (sim, app) = (Simulator::start().await, App::start().await);
    let start = async || {
        let clock = ManualClock::new(SystemClock.now());
        let store = DurableStore::builder(opened(&path).await, keys.clone());
        let (url, login) = world::login(&sim, clock.clone(), store.clock(clock).build());
        let gateway = world::gateway(&url, login, &app.url());
        (Browser::new(&url, "alice"), gateway)
    };
    let (alice, gateway) = start().await;
    assert_eq!(alice.walk("/page").await.status, StatusCode::OK);
    gateway.stop().await;
    let cookies = alice.jar;
    drop(opened(&path).await);
    let good = fs::read(&path).unwrap();
    for (is_damaged, expected) in [(true, StatusCode::SERVICE_UNAVAILABLE), (false, StatusCode::OK)]
    {
        let (alice, gateway) = start().await;
        if is_damaged {
            damage(&path);
        }
        alice.jar.lock().unwrap().clone_from(&cookies.lock().unwrap());
        let page = alice.get("/page").await;
        assert_eq!(page.status, expected);
        assert!(page.set_cookies().is_empty(), "{page:?}");
        gateway.stop().await;
        fs::write(&path, &good).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_was_deleted_takes_nothing_more() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let records = open(&path);
    let handles = fill(&records, 10).await;
    fs::rename(&path, folder.path().join("moved.db")).unwrap();
    let refused = records.put_session(SessionId::new().handle(), b"sealed", HOUR).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("sessions.db: it or its -wal file was deleted, moved or"), "{error}");
    assert!(records.session(handles[0]).await.unwrap().is_some(), "what is there can be read");
    fs::rename(folder.path().join("moved.db"), &path).unwrap();
    fill(&records, 1).await;
    fs::remove_file(folder.path().join("sessions.db-wal")).unwrap();
    assert!(records.claim("once", HOUR).await.is_err());
}

#[tokio::test]
#[allow(clippy::print_stdout)] // What it measures is worth knowing.
async fn a_hundred_thousand_sessions_are_there_at_once_after_a_crash() {
    let folder = Folder::new();
    let path = folder.path().join("sessions.db");
    let records = open(&path);
    let before = Instant::now();
    let handles = fill(&records, 100_000).await;
    let filled = before.elapsed();
    // What a crash would leave: the file as it is, and a log that is not in it yet.
    let crashed = folder.path().join("crashed.db");
    fs::copy(&path, &crashed).unwrap();
    fs::copy(folder.path().join("sessions.db-wal"), folder.path().join("crashed.db-wal")).unwrap();
    let log = fs::metadata(folder.path().join("crashed.db-wal")).unwrap().len();
    let content =
        || [&crashed, &folder.path().join("crashed.db-wal")].map(|path| fs::read(path).unwrap());
    let left = content();
    let before = Instant::now();
    let again = open(&crashed);
    let opened = before.elapsed();
    assert!(content() == left, "a start writes nothing, so that it works on a full disk");
    for handle in handles.iter().step_by(1000).chain(&handles[99_900..]) {
        assert!(again.session(*handle).await.unwrap().is_some());
    }
    let size = fs::metadata(&path).unwrap().len();
    println!(
        "100,000 sessions were written in {filled:?}, take {size} bytes and are there again after {opened:?} (log: {log})"
    );
    assert!(opened < Duration::from_millis(500), "{opened:?}");
    assert!(log > 0);
}
