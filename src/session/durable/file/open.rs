//! Opening the file: what it must be, what is made where there is none, and how it is used.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    path::Path,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::{
    place::{Place, explain},
    tables::{FORMAT, LOOKS, SCHEMA},
};

/// "wxgt": says in its header that a file is ours.
const APPLICATION: i64 = 0x7778_6774;

/// How the file is used. `EXCLUSIVE` comes first: it keeps other processes out, and the log's index in our memory.
///
/// `FULL`: a commit has reached the disk when it returns. The log goes into the file when it is tidied up, after some 256
/// writes; large ones may make SQLite do it earlier, at 4000 pages.
const USE: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -16384;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 16777216;";

/// The file at this path, made where there is none, for this process alone.
pub(super) fn open(path: &Path) -> Result<(Connection, Place), String> {
    let shown = path.display();
    let made = make(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{shown}: its folder does not exist: make it"),
        _ => format!("{shown}: it cannot be made: {error}"),
    });
    made?;
    let whole = fs::canonicalize(path).map_err(|error| format!("{shown}: {error}"))?;
    if !whole.is_file() {
        return Err(format!("{shown}: it is no file"));
    }
    let failed = |error| explain(path, &error);
    // Nothing is written, not even a lock, before it is certain that the file is ours.
    let is_new = check(&peek(&whole).map_err(failed)?, path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&whole, flags).map_err(failed)?;
    if db.is_readonly("main").map_err(failed)? {
        return Err(format!(
            "{shown}: it cannot be written: is its disk read-only, or does it belong to another user?"
        ));
    }
    set_up(&db, is_new).map_err(failed)?;
    check(&db, path)?;
    Ok((db, Place::of(whole)))
}

/// Makes an empty file that only its owner can read, unless there is one.
fn make(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if path.exists() => {
            tracing::debug!(%error, "the session store's file is there");
            Ok(())
        }
        made => made.map(|_| ()),
    }
}

/// The file as it is, without its log, to be looked at only. SQLite has to open it: to close a file that this process has
/// locked through another handle would unlock it.
fn peek(path: &Path) -> rusqlite::Result<Connection> {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), KEPT);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)
}

/// Whether the file is empty; an error where it is something else than ours.
fn check(db: &Connection, path: &Path) -> Result<bool, String> {
    let number = |pragma: &str| {
        let sql = format!("PRAGMA {pragma}");
        db.query_row(&sql, [], |row| row.get::<_, i64>(0)).map_err(|error| explain(path, &error))
    };
    let shown = path.display();
    if number("page_count")? == 0 {
        return Ok(true);
    }
    if number("application_id")? != APPLICATION {
        return Err(format!(
            "{shown}: it is no store of wxgate: give another path, or move it away"
        ));
    }
    match number("user_version")? {
        FORMAT => Ok(false),
        other => Err(format!(
            "{shown}: a newer wxgate has made it (format {other}; this one knows {FORMAT}): run that one, or give another \
             path"
        )),
    }
}

fn set_up(db: &Connection, is_new: bool) -> rusqlite::Result<()> {
    db.busy_timeout(std::time::Duration::ZERO)?;
    db.set_prepared_statement_cache_capacity(64);
    // Nothing here writes into a file that is there: a start has to work on a full disk.
    db.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")?;
    if is_new {
        // Not yet with a log: so the file itself says from its first page on whose it is.
        db.execute_batch(&format!(
            "PRAGMA auto_vacuum = INCREMENTAL; BEGIN EXCLUSIVE; PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {FORMAT}; {SCHEMA} COMMIT;"
        ))?;
    }
    db.execute_batch(USE)?;
    for look in LOOKS {
        db.prepare(look)?.query([])?.next()?;
    }
    Ok(())
}
