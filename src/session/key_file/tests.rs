//! Tests of key files: what is read, what is refused, and what a rotation leaves.

use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;
use crate::session::Purpose;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const START: Timestamp = Timestamp::from_unix(1_800_000_000);
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// A folder that goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wxgate-keys-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("wxgate.keys")
    }

    fn with(&self, text: &str) -> PathBuf {
        let file = self.file();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// What else is in it.
    fn count(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn seal(ring: &KeyRing) -> String {
    ring.seal(Purpose::StoredSession, "a", b"plain")
}

fn opens(ring: &KeyRing, sealed: &str) -> bool {
    ring.open(Purpose::StoredSession, "a", sealed).is_ok_and(|plain| plain == b"plain")
}

#[test]
fn a_new_file_is_for_its_owner_and_reads_as_it_was_written() {
    let folder = Folder::new();
    let file = folder.file();
    let made = KeyFile::create(&file, START).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(folder.count(), 1);
    let read = KeyFile::read(&file).unwrap();
    assert_eq!(read.keys(), made.keys());
    let roles: Vec<_> = read.keys().iter().map(|key| (key.role, key.created, key.until)).collect();
    assert_eq!(roles, [(KeyRole::Seals, START, None), (KeyRole::Next, START, None)]);
    let (ring, again) = (made.ring(), KeyRing::from_file(&file).unwrap());
    assert!(opens(&again, &seal(&ring)) && opens(&ring, &seal(&again)));

    let before = fs::read(&file).unwrap();
    let error = KeyFile::create(&file, START).unwrap_err().to_string();
    assert!(error.contains("is there already, and is left as it is"), "{error}");
    assert_eq!((fs::read(&file).unwrap(), folder.count()), (before, 1));
}

#[test]
fn the_first_line_seals_and_comments_are_no_keys() {
    let folder = Folder::new();
    let lines = [
        "# wxgate-key-1 00000000 nobody",
        "",
        "  wxgate-key-1 0000000a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8  2026-01-31T08:30:00Z ",
        "wxgate-key-1 FFFFFFFF HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 2026-01-30T08:30:00Z 2026-01-31T08:30:00Z",
    ];
    let file = KeyFile::read(&folder.with(&lines.join("\r\n"))).unwrap();
    let ids: Vec<_> = file.keys().into_iter().map(|key| key.id).collect();
    assert_eq!(ids, ["0000000a", "ffffffff"]);
    let first = KeyFile::parse(lines[2]).unwrap().ring();
    assert!(opens(&first, &seal(&file.ring())) && opens(&file.ring(), &seal(&first)));
}

#[test]
fn c30_a_file_that_is_missing_unreadable_or_broken_is_an_error_with_its_line() {
    let folder = Folder::new();
    let error = KeyRing::from_file(folder.file()).unwrap_err();
    assert!(error.is_missing() && error.to_string().contains("`wxgate keys new "), "{error}");
    let error = KeyRing::from_file(&folder.0).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    let good = format!("wxgate-key-1 0000000a {KEY} 2026-01-31T08:30:00Z");
    for (text, hint) in [
        (String::new(), "holds no key"),
        ("# nothing\n\n".to_owned(), "holds no key"),
        (KEY.to_owned(), "line 1: it does not begin with wxgate-key-1"),
        (format!("\n{}", good.replace("key-1", "key-2")), "line 2: this kind of key"),
        (good.replace("0000000a", "+000000a"), "line 1: the id is not 8"),
        (good.replace("0000000a ", ""), "line 1: the id is not 8"),
        (good.replace(KEY, &KEY[1..]), "line 1: the key is not 32 bytes"),
        (good.replace(KEY, &format!("{KEY}=")), "line 1: the key is not 32 bytes"),
        (good.replace(" 2026-01-31T08:30:00Z", ""), "line 1: the date behind the key is missing"),
        (good.replace("T08:30:00Z", ""), "line 1: a date is not such as"),
        (format!("{good} {KEY}"), "line 1: a date is not such as"),
        (format!("{good} 2026-01-31T08:30:00Z x"), "line 1: there is something behind"),
        (format!("{good}\n# twice\n{good}"), "line 3: 0000000a is the key of line 1 already"),
        (format!("{good}\n{}", "#".repeat(65 * 1024)), "larger than 64 KiB"),
    ] {
        let error = KeyRing::from_file(folder.with(&text)).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(hint), "{hint}: {said}");
        assert!(!said.contains(&KEY[1..9]) && said.contains("wxgate.keys"), "{said}");
        // Nor does a rotation make anything of it.
        assert!(KeyFile::rotate(&folder.file(), START, None).is_err());
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
    }
    assert!(KeyRing::from_file(folder.with(&good)).is_ok());
}

#[test]
fn a_file_that_others_can_read_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let file = folder.file();
    KeyFile::create(&file, START).unwrap();
    for (mode, is_good) in
        [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o660, false)]
    {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        match KeyFile::read(&file) {
            Ok(_) => assert!(is_good, "{mode:o}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!is_good && error.contains(&format!("mode {mode:04o}")), "{error}");
                assert!(error.contains("`chmod 600 "), "{error}");
            }
        }
    }
}

#[test]
fn w10_a_key_file_shows_no_key() {
    let folder = Folder::new();
    let line = format!("wxgate-key-1 0000000a {KEY} 2026-01-31T08:30:00Z");
    let file = KeyFile::read(&folder.with(&line)).unwrap();
    let shown = format!("{file:?} {:?} {:?}", file.ring(), file.keys());
    assert!(shown.contains("0000000a") && !shown.contains(&KEY[..8]), "{shown}");
}

#[test]
fn the_next_key_takes_over_and_a_fresh_one_is_the_next() {
    let folder = Folder::new();
    let file = folder.file();
    let ids = |file: &KeyFile| file.keys().into_iter().map(|key| key.id).collect::<Vec<_>>();
    let made = ids(&KeyFile::create(&file, START).unwrap());
    let first = KeyFile::rotate(&file, START + DAY, None).unwrap();
    let second = KeyFile::rotate(&file, START + 2 * DAY, None).unwrap();
    assert!(first.took_over && first.dropped.is_empty());
    let (first, second) = (ids(&first.keys), second.keys);
    assert_eq!([&first[0], &first[2]], [&made[1], &made[0]]);
    assert_eq!(ids(&second)[..1], first[1..2]);
    assert_eq!(ids(&second)[2..], [made[1].clone(), made[0].clone()]);
    let untils: Vec<_> = second.keys().iter().map(|key| key.until).collect();
    assert_eq!(untils, [None, None, Some(START + 2 * DAY), Some(START + DAY)]);
    assert_eq!(KeyFile::read(&file).unwrap().keys(), second.keys());
    assert_eq!(folder.count(), 1);
}

#[test]
fn a_rotation_signs_nobody_out_whenever_the_machines_read_it() {
    let folder = Folder::new();
    let file = folder.file();
    KeyFile::create(&file, START).unwrap();
    // Two machines, each of which takes over a new file at a moment of its own.
    let machines = [KeyRing::from_file(&file).unwrap(), KeyRing::from_file(&file).unwrap()];
    let mut sealed: Vec<String> = machines.iter().map(seal).collect();
    for round in 1..=4 {
        KeyFile::rotate(&file, START + round * DAY, None).unwrap();
        for turn in 0..2 {
            let machine = (round as usize + turn) % 2;
            machines[machine].replace_with(&KeyRing::from_file(&file).unwrap());
            sealed.extend(machines.iter().map(seal));
            for machine in &machines {
                assert!(sealed.iter().all(|sealed| opens(machine, sealed)), "{round} {turn}");
            }
        }
    }
    // What is not rotated together is not opened together.
    assert!(!opens(&KeyFile::create(&folder.0.join("other"), START).unwrap().ring(), &sealed[0]));
}

#[test]
fn keys_are_dropped_by_the_time_they_stopped_sealing_and_never_the_first_two() {
    let folder = Folder::new();
    let file = folder.file();
    let old = KeyFile::create(&file, START).unwrap();
    let sealed = seal(&old.ring());
    // It has sealed for a year, and stops now.
    let year = START + 365 * DAY;
    let limit = Some(60 * DAY);
    assert!(KeyFile::rotate(&file, year, limit).unwrap().dropped.is_empty());
    let kept = KeyFile::rotate(&file, year + 60 * DAY, limit).unwrap();
    assert!(kept.dropped.is_empty() && opens(&kept.keys.ring(), &sealed));
    let gone = KeyFile::rotate(&file, year + 61 * DAY, limit).unwrap();
    assert_eq!((gone.dropped.len(), &gone.dropped[0].id), (1, &old.keys()[0].id));
    assert!(!opens(&gone.keys.ring(), &sealed));
    // What has stopped this very moment stays, and so do the first two, however old they are.
    let last = KeyFile::rotate(&file, year + 1000 * DAY, Some(Duration::ZERO)).unwrap();
    assert_eq!(last.keys.keys().len(), 3);
    assert!(opens(&last.keys.ring(), &seal(&gone.keys.ring())));
}

#[test]
fn one_key_alone_goes_on_sealing_until_a_next_one_is_known() {
    let folder = Folder::new();
    let alone = format!("wxgate-key-1 0000000a {KEY} 2026-01-31T08:30:00Z");
    let file = folder.with(&alone);
    let rotated = KeyFile::rotate(&file, START, None).unwrap();
    assert!(!rotated.took_over);
    let keys = rotated.keys.keys();
    assert_eq!((keys.len(), &*keys[0].id, keys[1].role), (2, "0000000a", KeyRole::Next));
}

#[test]
fn a_rotation_keeps_mode_owner_and_link_and_waits_for_nobody() {
    let folder = Folder::new();
    let (file, link) = (folder.file(), folder.0.join("link"));
    KeyFile::create(&file, START).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
    symlink("wxgate.keys", &link).unwrap();
    let before = fs::metadata(&file).unwrap();
    KeyFile::rotate(&link, START, None).unwrap();
    let after = fs::metadata(&file).unwrap();
    let who = |file: &fs::Metadata| (file.uid(), file.gid(), file.mode());
    assert_eq!(who(&after), who(&before));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(KeyFile::read(&file).unwrap().keys().len(), 3);

    let other = File::open(&file).unwrap();
    other.try_lock().unwrap();
    let error = KeyFile::rotate(&file, START, None).unwrap_err().to_string();
    assert!(error.starts_with("somebody else is changing"), "{error}");
    drop(other);
    assert!(KeyFile::rotate(&file, START, None).is_ok());
}
