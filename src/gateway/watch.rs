//! Notices when files change that a configuration is made of.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::{sync::Notify, time};

/// How long nothing must happen before files are read: an editor writes in several steps.
const QUIET: Duration = Duration::from_millis(200);

const LONGEST_UNREST: Duration = Duration::from_secs(2);

/// Files that are watched, by what is in them. Folders are watched rather than files, since most programs replace a file
/// by renaming another over it, and Kubernetes replaces the folder behind a link.
#[derive(Debug)]
pub struct WatchedFiles {
    files: BTreeSet<PathBuf>,
    seen: [u8; 32],
    event: Arc<Notify>,
    /// Stops watching when it is dropped.
    _watcher: RecommendedWatcher,
}

impl WatchedFiles {
    /// Watches these files. One that is a folder is watched with the files in it.
    ///
    /// # Errors
    /// When the system does not tell about one of the folders.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let event = Arc::new(Notify::new());
        let tell = event.clone();
        // An event that is an error may hide a change, so it counts as one. That somebody has read a file does not: it
        // may have been us.
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                tell.notify_one();
            }
        });
        let mut watcher = watcher.map_err(io::Error::other)?;
        let folder = |file: &PathBuf| if file.is_dir() { file.clone() } else { folder_of(file) };
        for folder in files.iter().map(folder).collect::<BTreeSet<_>>() {
            watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(io::Error::other)?;
        }
        Ok(Self { seen: fingerprint(&files), files, event, _watcher: watcher })
    }

    /// Waits until one of the files has other content, or another mode, than when this was last asked.
    pub async fn changed(&mut self) {
        loop {
            self.event.notified().await;
            // Where something else in the folder never rests, it is looked at all the same.
            let quiet =
                async { while time::timeout(QUIET, self.event.notified()).await.is_ok() {} };
            time::timeout(LONGEST_UNREST, quiet).await.ok();
            let now = fingerprint(&self.files);
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn fingerprint(files: &BTreeSet<PathBuf>) -> [u8; 32] {
    let mut all = Sha256::new();
    let mut add = |file: &Path| {
        // A file that cannot be read differs from one that is empty.
        let content = fs::read(file).map(Sha256::digest);
        all.update(content.map_or([0; 32], Into::into));
        // A file with keys is not taken as long as others may read it.
        all.update(fs::metadata(file).map_or(0, |it| it.mode()).to_be_bytes());
    };
    for file in files {
        match fs::read_dir(file) {
            Ok(entries) => {
                let inside: BTreeSet<_> = entries.flatten().map(|entry| entry.path()).collect();
                for file in &inside {
                    add(file);
                }
            }
            Err(_) => add(file),
        }
    }
    all.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn other_content_is_noticed_and_the_same_content_is_not() {
        let folder = std::env::temp_dir().join(format!("wxgate-watch-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let (file, next) = (folder.join("wxgate.toml"), folder.join("next"));
        fs::write(&file, "one").unwrap();
        let mut files = WatchedFiles::new([file.clone()]).unwrap();

        fs::write(&file, "one").unwrap();
        fs::write(folder.join("other"), "two").unwrap();
        let same = time::timeout(5 * QUIET, files.changed()).await;
        assert!(same.is_err(), "nothing has changed");

        fs::write(&file, "two").unwrap();
        let limit = Duration::from_secs(10);
        time::timeout(limit, files.changed()).await.expect("written anew");
        fs::write(&next, "three").unwrap();
        fs::rename(&next, &file).unwrap();
        time::timeout(limit, files.changed()).await.expect("replaced");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        time::timeout(limit, files.changed()).await.expect("closed to others");
        fs::remove_dir_all(folder).unwrap();
    }
}
