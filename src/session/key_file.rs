//! Keys for sealing in a file, which several machines share and which is rotated without signing anybody out.
//!
//! One key a line: `wxgate-key-1 ID KEY CREATED [UNTIL]`. The first line seals, all open. The second is the *next* one:
//! it has sealed nothing yet, so that every machine that has the present file can open what the next file will seal.
//! A rotation puts the next key first and a fresh one second. So machines may read the file at different times, as long
//! as none is more than one rotation behind.

mod write;

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use secrecy::zeroize::Zeroizing;

use super::seal::{KeyId, KeyRing, SealingKey, random_id};
use crate::clock::Timestamp;

/// What a line with a key begins with.
const MARK: &str = "wxgate-key-1";

/// Far more than anybody's keys. What is larger is some other file.
const LARGEST: u64 = 64 * 1024;

/// The keys of a file. At least one.
#[derive(Clone)]
pub struct KeyFile(Arc<Vec<FileKey>>);

struct FileKey {
    id: KeyId,
    key: Arc<SealingKey>,
    created: Timestamp,
    /// When it stopped sealing.
    until: Option<Timestamp>,
}

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// What it is called: 8 hexadecimal digits.
    pub id: String,
    /// What it does.
    pub role: KeyRole,
    /// When it was made.
    pub created: Timestamp,
    /// When it stopped sealing, where that is known.
    pub until: Option<Timestamp>,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// It seals, and opens.
    Seals,
    /// It opens, and will seal after the next rotation.
    Next,
    /// It opens what it has sealed.
    Opens,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Seals => "seals",
            Self::Next => "next",
            Self::Opens => "opens",
        })
    }
}

/// What a rotation has come to.
#[derive(Debug)]
pub struct Rotated {
    /// The keys that the file has now.
    pub keys: KeyFile,
    /// The keys that it has no more.
    pub dropped: Vec<KeyInfo>,
    /// False where there was no next key that could take over, and all that was done is to add one.
    pub took_over: bool,
}

impl KeyRing {
    /// The keys of a file: the first one seals, all open.
    ///
    /// # Errors
    /// See [`KeyFile::read`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        KeyFile::read(path.as_ref()).map(|file| file.ring())
    }
}

impl KeyFile {
    /// Reads the keys of a file.
    ///
    /// # Errors
    /// When the file cannot be read, somebody else than its owner could read it, it holds no key, or one of its lines
    /// is none that belongs there. No error shows a key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        File::open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Problem::Missing,
                _ => Problem::Unreadable(error),
            })
            .and_then(|file| Self::read_from(&file))
            .map_err(|problem| problem.of(path))
    }

    fn read_from(file: &File) -> Result<Self, Problem> {
        let metadata = file.metadata().map_err(Problem::Unreadable)?;
        if metadata.is_dir() {
            return Err(Problem::Unreadable(io::ErrorKind::IsADirectory.into()));
        }
        if is_open_to_others(&metadata) {
            return Err(Problem::OpenToOthers(metadata.mode() & 0o777));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LARGEST + 1).read_to_string(&mut text).map_err(Problem::Unreadable)?;
        if text.len() as u64 > LARGEST {
            return Err(Problem::TooLarge);
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut keys: Vec<(usize, FileKey)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = FileKey::parse(line).map_err(|why| Problem::Line(number, why.into()))?;
            if let Some((twin, _)) = keys.iter().find(|(_, other)| other.id == key.id) {
                let why = format!("{} is the key of line {twin} already", name_of(key.id));
                return Err(Problem::Line(number, why));
            }
            keys.push((number, key));
        }
        if keys.is_empty() {
            return Err(Problem::Empty);
        }
        Ok(Self(Arc::new(keys.into_iter().map(|(_, key)| key).collect())))
    }

    /// Makes a file that is not there yet, with a key that seals and the next one. Nobody but its owner can read it.
    ///
    /// # Errors
    /// When there is something already, or the folder cannot be written to.
    pub fn create(path: &Path, now: Timestamp) -> Result<Self, KeyFileError> {
        let keys = Self(Arc::new(vec![FileKey::random(now), FileKey::random(now)]));
        match write::new(path, &keys.text()) {
            Ok(()) => Ok(keys),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Problem::Exists.of(path))
            }
            Err(error) => Err(Problem::Unwritable(error).of(path)),
        }
    }

    /// Lets the next key seal and adds a fresh one as the next. The key that has sealed so far stays, to open what it has
    /// sealed; of those that stopped sealing longer ago than `drop_older_than`, none stays.
    ///
    /// # Errors
    /// As of [`KeyFile::read`], when somebody else is changing the file, or when it cannot be written. It is as it was
    /// then.
    pub fn rotate(
        path: &Path,
        now: Timestamp,
        drop_older_than: Option<Duration>,
    ) -> Result<Rotated, KeyFileError> {
        // A link leads to the file, and is not replaced by it.
        let target = fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Problem::Missing.of(path),
            _ => Problem::Unreadable(error).of(path),
        })?;
        let change = |target: &Path| {
            let locked = write::Locked::open(target)?;
            let rotated = Self::read_from(locked.file())?.rotated(now, drop_older_than);
            locked.replace(target, &rotated.keys.text()).map_err(Problem::Unwritable)?;
            Ok(rotated)
        };
        change(&target).map_err(|problem: Problem| problem.of(path))
    }

    fn rotated(&self, now: Timestamp, drop_older_than: Option<Duration>) -> Rotated {
        let took_over = self.0.len() > 1;
        let mut keys: Vec<_> = self.0.iter().map(FileKey::share).collect();
        if took_over {
            keys.swap(0, 1);
        }
        keys.insert(1, FileKey::random(now));
        for (index, key) in keys.iter_mut().enumerate() {
            // Whatever stands behind the first two has stopped by now, and they have not, wherever somebody has put them.
            key.until = (index > 1).then(|| key.until.unwrap_or(now));
        }
        let is_over = |key: &FileKey| {
            let age = key.until.map(|until| now.since(until));
            age.zip(drop_older_than).is_some_and(|(age, limit)| age > limit)
        };
        let (dropped, keys): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_over);
        let dropped = dropped.iter().map(|key| key.info(KeyRole::Opens)).collect();
        Rotated { keys: Self(Arc::new(keys)), dropped, took_over }
    }

    /// A ring with these keys.
    pub fn ring(&self) -> KeyRing {
        KeyRing::of(self.0.iter().map(|key| (key.id, &*key.key)))
    }

    /// What may be told of the keys, in the order of the file.
    pub fn keys(&self) -> Vec<KeyInfo> {
        let role = |index| match index {
            0 => KeyRole::Seals,
            1 => KeyRole::Next,
            _ => KeyRole::Opens,
        };
        self.0.iter().enumerate().map(|(index, key)| key.info(role(index))).collect()
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512 + 128 * self.0.len()));
        text.push_str(
            "# Keys of wxgate, made by `wxgate keys`: nobody else may read them. The first seals, all open. Comments are\n\
             # not kept by `wxgate keys rotate`.\n",
        );
        for FileKey { id, key, created, until } in &*self.0 {
            for part in [MARK, " ", &name_of(*id), " ", &key.to_text(), " ", &date(*created)] {
                text.push_str(part);
            }
            if let Some(until) = until {
                text.push(' ');
                text.push_str(&date(*until));
            }
            text.push('\n');
        }
        text
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFile").field(&self.keys()).finish()
    }
}

impl FileKey {
    fn random(created: Timestamp) -> Self {
        let key = Arc::new(SealingKey::random());
        Self { id: random_id(), key, created, until: None }
    }

    fn share(&self) -> Self {
        let &Self { id, ref key, created, until } = self;
        Self { id, key: key.clone(), created, until }
    }

    /// What is wrong is said without what stands there: it may be a key.
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(MARK) => {}
            Some(other) if other.starts_with("wxgate-key-") => {
                return Err("this kind of key is not known here; a newer wxgate may have made it");
            }
            _ => return Err("it does not begin with wxgate-key-1, as a line with a key does"),
        }
        let id = words.next().and_then(id_of).ok_or("the id is not 8 hexadecimal digits")?;
        let key = words.next().and_then(SealingKey::from_text);
        let key = key.ok_or("the key is not 32 bytes in base64url; a part of it may be missing")?;
        let created = words.next().ok_or("the date behind the key is missing")?;
        let time = |text| timestamp(text).ok_or("a date is not such as 2026-01-31T08:30:00Z");
        let created = time(created)?;
        let until = words.next().map(time).transpose()?;
        if words.next().is_some() {
            return Err("there is something behind the dates");
        }
        Ok(Self { id, key: Arc::new(key), created, until })
    }

    fn info(&self, role: KeyRole) -> KeyInfo {
        let &Self { id, created, until, .. } = self;
        KeyInfo { id: name_of(id), role, created, until }
    }
}

fn name_of(id: KeyId) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn id_of(text: &str) -> Option<KeyId> {
    let is_id = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| u32::from_str_radix(text, 16).ok().map(u32::to_be_bytes))?
}

fn date(time: Timestamp) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(time.unix());
    humantime::format_rfc3339_seconds(time).to_string()
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let since_epoch = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix(since_epoch.as_secs()))
}

/// Whether others could read it. As with ssh, a group matters only where the file is ours: what a service manager hands
/// over belongs to root, and is opened to us alone by the group's bits.
fn is_open_to_others(file: &fs::Metadata) -> bool {
    let others = if is_ours(file) { 0o077 } else { 0o027 };
    file.mode() & others != 0
}

fn is_ours(file: &fs::Metadata) -> bool {
    // Where the system does not say who we are, the stricter rule holds.
    fs::metadata("/proc/self").map_or(true, |own| own.uid() == file.uid())
}

/// Why keys cannot be had from a file, or put there. Names the file, never a key.
#[derive(Debug, thiserror::Error)]
#[error("{}", problem.text(path))]
pub struct KeyFileError {
    path: PathBuf,
    problem: Problem,
}

impl KeyFileError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self.problem, Problem::Missing)
    }
}

#[derive(Debug)]
enum Problem {
    Missing,
    Exists,
    Busy,
    Unreadable(io::Error),
    Unwritable(io::Error),
    OpenToOthers(u32),
    TooLarge,
    Empty,
    Line(usize, String),
}

impl Problem {
    fn of(self, path: &Path) -> KeyFileError {
        KeyFileError { path: path.to_owned(), problem: self }
    }

    fn text(&self, path: &Path) -> String {
        let file = path.display();
        match self {
            Self::Missing => format!(
                "the key file {file} is missing: put it back if it was there, copy it from where its keys are in use, or \
                 make a first one with `wxgate keys new {file}`"
            ),
            Self::Exists => format!(
                "{file} is there already, and is left as it is; `wxgate keys rotate {file}` changes its keys"
            ),
            Self::Busy => format!("somebody else is changing the key file {file}: try again"),
            Self::Unreadable(error) => format!("the key file {file} cannot be read: {error}"),
            Self::Unwritable(error) => format!("the key file {file} cannot be written: {error}"),
            Self::OpenToOthers(mode) => format!(
                "the key file {file} has the mode {mode:04o}, so others than its owner can use its keys: run `chmod 600 \
                 {file}`"
            ),
            Self::TooLarge => format!("{file} is larger than 64 KiB, so it is no key file"),
            Self::Empty => format!(
                "the key file {file} holds no key; remove it, and make one with `wxgate keys new {file}`"
            ),
            Self::Line(number, why) => format!("the key file {file}, line {number}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
