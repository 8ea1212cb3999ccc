//! Where the file is, whether it is still there, and what its errors mean.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Error, ErrorCode};

/// An open file and its log, as they were when they were opened.
pub(super) struct Place {
    path: PathBuf,
    log: PathBuf,
    identity: [Option<Identity>; 2],
}

impl Place {
    pub(super) fn of(path: PathBuf) -> Self {
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        let log = PathBuf::from(log);
        let identity = [identity(&path), identity(&log)];
        Self { path, log, identity }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error where the file was deleted, moved or replaced: what is written into it now would be lost with the process.
    pub(super) fn is_unchanged(&self) -> Result<(), String> {
        if self.identity == [identity(&self.path), identity(&self.log)] {
            return Ok(());
        }
        let path = self.path.display();
        Err(format!("{path}: it or its -wal file was deleted, moved or replaced: restart wxgate"))
    }
}

/// Device and number of a file.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Where an open file cannot be deleted, it is there.
#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}

/// What went wrong with the file, and what to do.
pub(super) fn explain(path: &Path, error: &Error) -> String {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has it open, and only one may: stop that one, or give each its own file"
        }
        Some(ErrorCode::NotADatabase) => {
            "it is no store of wxgate, or it is damaged: give another path, or move it away"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "it is damaged: put a backup in its place, or move it away, and everybody signs in again"
        }
        Some(ErrorCode::DiskFull) => "its disk is full",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "it cannot be written: is its disk read-only, or does it belong to another user?"
        }
        Some(ErrorCode::SystemIoFailure) => "its disk fails, or is read-only",
        Some(ErrorCode::CannotOpen) => "it cannot be opened",
        _ => "it cannot be used",
    };
    format!("{}: {advice} ({error})", path.display())
}
