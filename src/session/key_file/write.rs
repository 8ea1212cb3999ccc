//! Writes a key file: whole or not at all, for its owner alone, and over nothing that was not meant.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use super::Problem;

/// Writes a file that is not there yet.
pub(super) fn new(path: &Path, text: &str) -> io::Result<()> {
    let draft = Draft::write(path, text, |_| Ok(()))?;
    // Renaming would replace what somebody has put there in the meantime.
    fs::hard_link(&draft.0, path)?;
    sync_folder_of(path)
}

/// A key file that nobody else changes meanwhile.
pub(super) struct Locked(File);

impl Locked {
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let file = File::open(path).map_err(Problem::Unreadable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Problem::Busy),
            Err(TryLockError::Error(error)) => return Err(Problem::Unreadable(error)),
        }
        let number = |file: io::Result<fs::Metadata>| file.map(|it| (it.dev(), it.ino()));
        let (own, present) = (number(file.metadata()), number(fs::metadata(path)));
        // Somebody has put another file there between the two steps: this one is of the past.
        match (own, present) {
            (Ok(own), Ok(present)) if own == present => Ok(Self(file)),
            _ => Err(Problem::Busy),
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Puts another content in its place, with the same owner and mode.
    pub(super) fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let before = self.0.metadata()?;
        let draft = Draft::write(path, text, |file| {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (before.uid(), before.gid()) {
                // Or the gateway, which is somebody else, could read it no more.
                fchown(file, Some(before.uid()), Some(before.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(before.mode() & 0o777))
        })?;
        fs::rename(&draft.0, path)?;
        sync_folder_of(path)
    }
}

/// A file beside the one that is meant, which goes away unless it takes its place.
struct Draft(PathBuf);

impl Draft {
    fn write(
        path: &Path,
        text: &str,
        prepare: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<Self> {
        let path = folder_of(path).join(format!(".wxgate-keys-{}", uuid::Uuid::new_v4()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let (mut file, draft) = (file?, Self(path));
        file.write_all(text.as_bytes())?;
        prepare(&file)?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it has taken its place there is nothing left to remove.
        fs::remove_file(&self.0).ok();
    }
}

/// What is in a folder is only certain to survive once the folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
