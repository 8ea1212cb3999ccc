//! Replays every corpus, and keeps targets, corpora and programs the same.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// What is in a folder, by name without ending.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries.map(|entry| stem(entry.unwrap().path())).collect()
}

/// Runs a target on each file of its corpus.
fn replay(name: &str, target: fn(&[u8])) {
    let corpus = folder("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    assert!(files.len() <= 160, "{}: {} files are too many", corpus.display(), files.len());
    let mut size = 0;
    for file in files {
        let data = fs::read(&file).unwrap();
        size += data.len();
        let holds = std::panic::catch_unwind(|| target(&data)).is_ok();
        assert!(holds, "replayed {}", file.display());
    }
    assert!(size <= 200 * 1024, "{}: {size} bytes are too many", corpus.display());
    target(b"");
    if name == "configuration" {
        super::configuration::tidy();
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];

        mod replayed {
            $(
                #[test]
                fn $name() {
                    super::replay(stringify!($name), super::super::$name);
                }
            )*
        }
    };
}

targets![
    callback_query,
    configuration,
    cookies,
    forward_auth,
    forwarded,
    header_stripping,
    html_injector,
    mini_program,
    paths,
    return_targets,
    store_records,
    tokens,
    upstream_answers,
    wechat_json,
];

#[test]
fn each_target_has_a_corpus_and_a_program_and_nothing_else_has() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names(&folder("corpus")), targets);
    assert_eq!(names(&folder("fuzz_targets")), targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap().iter();
    let programs: BTreeSet<_> =
        programs.map(|program| program["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(programs, targets);
    let dictionaries = names(&folder("dictionaries"));
    assert!(dictionaries.is_subset(&targets), "{dictionaries:?}");
}
