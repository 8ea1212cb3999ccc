//! What docs/doors.md shows is good, and the same in both languages.

use std::fs;

use wxgate::gateway::config::Config;

use crate::process::{Folder, SECRET};

const ENGLISH: &str = "docs/doors.md";
const CHINESE: &str = "docs/doors.zh-CN.md";

fn read(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of code, each with its language in front.
fn blocks(document: &str) -> Vec<&str> {
    document.split("```").skip(1).step_by(2).collect()
}

#[test]
fn each_file_that_the_documentation_of_the_doors_shows_is_good() {
    let folder = Folder::new();
    folder.write("secret.txt", SECRET);
    folder.write("web.txt", "1".repeat(32));
    folder.write("mini.txt", "2".repeat(32));
    folder.write("corp.txt", "3".repeat(43));
    folder.write("server-token-secret.txt", "4".repeat(64));
    folder.write("follow.png", b"\x89PNG\r\n\x1a\n and so on");
    fs::create_dir(folder.path().join("proof")).unwrap();
    let proof = folder.path().join("proof").display().to_string();
    let document = read(ENGLISH);
    let files = blocks(&document).into_iter().filter_map(|block| block.strip_prefix("toml\n"));
    let mut count = 0;
    for file in files.map(|file| file.replace("/srv/h5/proof", &proof)) {
        let config = Config::from_toml(&file, folder.path(), &|_| None);
        let config = config.unwrap_or_else(|problems| panic!("{problems}\n{file}"));
        assert!(config.warnings.is_empty(), "{:?}\n{file}", config.warnings);
        count += 1;
    }
    assert_eq!(count, 9, "one for each door, and one with a file for WeChat");
}

#[test]
fn both_languages_show_the_same_code() {
    let (english, chinese) = (read(ENGLISH), read(CHINESE));
    let (english, chinese) = (blocks(&english), blocks(&chinese));
    assert_eq!(english.len(), chinese.len());
    for (one, other) in english.iter().zip(&chinese) {
        assert_eq!(one, other);
    }
    let is_whole = |block: &&str| block.split_once('\n').is_some_and(|(name, _)| !name.is_empty());
    assert!(english.iter().all(is_whole), "each has a language, or rustdoc takes it for Rust");
}
