//! Rules that hold for the sources as a whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms, each of which may use those before it. The simulator stands alone.
const ROOMS: [&str; 13] = [
    "clock", "secret", "origin", "trust", "wechat", "session", "keeper", "login", "doors",
    "gateway", "demo", "fuzzing", "bench",
];

/// Where the project lies.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources in a folder and below it.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}

fn name(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

/// The rooms that a source uses: what stands behind `crate::`, one by one where there are braces.
fn uses(source: &str) -> Vec<String> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut rooms = Vec::new();
    for (at, found) in source.match_indices("crate::") {
        let rest = &source[at + found.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            rooms.push(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut start = 0;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                rooms.push(word(&list[start..at]));
                start = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn imports_run_one_way() {
    assert_eq!(uses("use crate::{a::{b, c}, d,\n e::f};\ncrate::g::h()"), ["a", "d", "e", "g"]);
    let mut checked = 0;
    for file in sources(&root().join("src")) {
        let inside = file.strip_prefix(root().join("src")).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        let source = fs::read_to_string(&file).unwrap();
        for used in uses(&source) {
            checked += 1;
            if room == "simulator" {
                assert_eq!(used, "simulator", "{}", name(&file));
                continue;
            }
            if used == "simulator" {
                assert_eq!(room, "demo", "{}", name(&file));
                continue;
            }
            let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
            let (Some(own), Some(other)) = (rank(room), rank(&used)) else {
                panic!("{}: is `{used}` a room? is `{room}`?", name(&file));
            };
            assert!(other <= own, "{} uses crate::{used}", name(&file));
            if room == "session" && used == "wechat" {
                let only = !source.contains("wechat::Client") && !source.contains("wechat::client");
                assert!(only, "{}: sessions know WeChat's types only", name(&file));
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn every_source_says_in_its_first_line_what_it_is_for() {
    for folder in ["src", "tests", "examples", "benches", "fuzz/fuzz_targets"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let first = text.lines().next().unwrap();
            assert!(first.starts_with("//! ") && first.len() < 130, "{}: {first}", name(&file));
        }
    }
}

#[test]
fn only_a_clock_reads_the_time() {
    let mut readers = Vec::new();
    for file in sources(&root().join("src")) {
        if fs::read_to_string(&file).unwrap().contains("SystemTime::now") {
            readers.push(name(&file));
        }
    }
    readers.sort();
    assert_eq!(readers, ["src/clock.rs", "src/simulator/clock.rs"]);
}

#[test]
fn the_quick_start_is_the_same_everywhere() {
    let docs = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let docs: Vec<_> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let docs = docs.join("\n");
    let start = docs.split("```no_run\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(start.contains("WechatLoginLayer::new"), "{start}");
    for readme in ["README.md", "README.zh-CN.md"] {
        let text = fs::read_to_string(root().join(readme)).unwrap();
        assert!(
            text.contains(&format!("```rust,no_run\n{start}```")),
            "{readme} has another quick start"
        );
    }
}
