//! The tables of the threat model: each rule has tests that are there, or a reason why it needs none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use crate::architecture::{root, sources};

/// What a table says of one rule.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: String,
    rule: String,
    tests: Vec<String>,
    /// Why the rule, or a part of it, does not apply.
    reason: Option<String>,
}

/// What begins a reason, in each language.
const REASONS: [&str; 2] = ["Does not apply: ", "不适用："];

/// Every rule that there is, in the order of the tables.
fn rules() -> Vec<String> {
    let named = |letter: &'static str, last| (1..=last).map(move |n| format!("{letter}{n}"));
    named("C", 56).chain(named("W", 15)).collect()
}

/// The rules that a test names at its beginning: `c11_c12_what` guards C11 and C12.
fn guarded(test: &str) -> Vec<String> {
    let name = test.rsplit("::").next().unwrap_or(test);
    let rule = |part: &str| {
        let number = part.strip_prefix(['c', 'w']).filter(|n| n.len() > 1)?.parse::<u32>().ok()?;
        Some(format!("{}{number}", part[..1].to_uppercase()))
    };
    name.split('_').map_while(rule).collect()
}

/// `a::{b,c}::d` as `a::b::d` and `a::c::d`.
fn expanded(path: &str) -> Vec<String> {
    let parts = path.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    });
    let Some((before, inside, after)) = parts else { return vec![path.to_owned()] };
    inside.split(',').map(|name| format!("{before}{name}{after}")).collect()
}

/// The rows of all tables in a text whose first cell is a rule.
fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let [id, rule, guards, ""] = cells[..] else { return None };
        let number = id.strip_prefix(['C', 'W'])?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let quoted = guards.split('`').skip(1).step_by(2).filter(|text| text.contains("::"));
        let reason = REASONS.iter().find_map(|begins| guards.split_once(begins));
        Some(Row {
            id: id.to_owned(),
            rule: rule.to_owned(),
            tests: quoted.flat_map(expanded).collect(),
            reason: reason.map(|(_, why)| why.split("<br>").next().unwrap_or_default().to_owned()),
        })
    };
    text.lines().filter_map(row).collect()
}

/// Whether each test runs, by the name under which the tables know it.
type Tests = BTreeMap<String, bool>;

/// All that is wrong with a table.
fn problems(rows: &[Row], tests: &Tests) -> Vec<String> {
    let mut problems = Vec::new();
    let known: BTreeSet<_> = rules().into_iter().collect();
    for id in &known {
        match rows.iter().filter(|row| row.id == *id).count() {
            1 => {}
            0 => problems.push(format!("{id} is missing")),
            _ => problems.push(format!("{id} is there twice")),
        }
    }
    for row in rows {
        let id = &row.id;
        if !known.contains(id) {
            problems.push(format!("{id} is no rule"));
        }
        if row.rule.chars().count() < 10 {
            problems.push(format!("{id} does not say what it asks"));
        }
        if row.tests.is_empty() && row.reason.is_none() {
            problems.push(format!("{id} has neither a test nor a reason"));
        }
        if row.reason.as_ref().is_some_and(|reason| reason.chars().count() < 15) {
            problems.push(format!("{id} has a reason that says nothing"));
        }
        let mut seen = BTreeSet::new();
        for test in &row.tests {
            match tests.get(test) {
                None => problems.push(format!("{id}: there is no test {test}")),
                Some(false) => problems.push(format!("{id}: {test} is ignored")),
                Some(true) => {}
            }
            let guards = guarded(test);
            if !guards.is_empty() && !guards.contains(id) {
                problems.push(format!("{id}: {test} guards something else"));
            }
            if !seen.insert(test) {
                problems.push(format!("{id}: {test} is there twice"));
            }
        }
    }
    for test in tests.keys() {
        for id in guarded(test) {
            if !known.contains(&id) {
                problems.push(format!("{test} guards {id}, which is no rule"));
            }
            if !rows.iter().any(|row| row.id == id && row.tests.contains(test)) {
                problems.push(format!("{test} is not in the table at {id}"));
            }
        }
    }
    problems
}

/// The tests of a source, and whether they run.
fn tests_in(source: &str) -> Vec<(&str, bool)> {
    let (mut is_test, mut runs) = (false, true);
    let mut tests = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            runs = false;
        } else if !(line.starts_with("#[") || line.starts_with("//")) {
            let function = line.trim_start_matches("pub ").trim_start_matches("async ");
            if let Some(rest) = function.strip_prefix("fn ").filter(|_| is_test) {
                tests.push((rest.split(['(', '<']).next().unwrap_or_default(), runs));
            }
            (is_test, runs) = (false, true);
        }
    }
    tests
}

/// What a file's tests are found under: `login::path` for `src/login/path.rs` and for `src/login/path/tests.rs`, and
/// `it::routes::open` for `tests/it/routes/open.rs`.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root()).unwrap().with_extension("");
    let parts = inside.iter().map(|part| part.to_str().unwrap());
    let parts: Vec<_> =
        parts.filter(|part| !["src", "tests", "mod", "lib"].contains(part)).collect();
    parts.join("::")
}

/// Every test of the project.
fn tests() -> Tests {
    let mut tests = Tests::new();
    for folder in ["src", "tests"] {
        for file in sources(&root().join(folder)) {
            let source = fs::read_to_string(&file).unwrap();
            for (name, runs) in tests_in(&source) {
                let path = format!("{}::{name}", module(&file));
                assert_eq!(tests.insert(path.clone(), runs), None, "{path} is there twice");
            }
        }
    }
    tests
}

fn table(language: &str) -> Vec<Row> {
    let file = root().join(format!("docs/threat-model{language}.md"));
    rows(&fs::read_to_string(file).unwrap())
}

#[test]
fn each_rule_has_its_tests_or_a_reason_in_both_languages() {
    let tests = tests();
    assert!(tests.len() > 1000, "they are found: {}", tests.len());
    let (english, chinese) = (table(""), table(".zh-CN"));
    assert_eq!(problems(&english, &tests), [""; 0]);
    assert_eq!(problems(&chinese, &tests), [""; 0]);
    assert!(english.iter().map(|row| &row.id).eq(&rules()), "in order");
    assert!(chinese.iter().map(|row| &row.id).eq(&rules()), "in order");
    for (one, other) in english.iter().zip(&chinese) {
        assert_eq!(one.tests, other.tests, "{}", one.id);
        assert_eq!(one.reason.is_some(), other.reason.is_some(), "{}", one.id);
        assert_ne!(one.rule, other.rule, "{} is translated", one.id);
    }
}

/// A table in which all is well, and the tests that it names.
fn good() -> (String, Tests) {
    let mut tests = Tests::from([("it::both::c07_w10_both".to_owned(), true)]);
    let mut text = "| rule | what it asks | guarded by |\n| --- | --- | --- |\n".to_owned();
    for id in rules() {
        let (letter, number) = id.split_at(1);
        let test = format!("login::path::{}{number:0>2}_a_sentence", letter.to_lowercase());
        let more = if ["C7", "W10"].contains(&&*id) { "<br>`it::both::c07_w10_both`" } else { "" };
        writeln!(text, "| {id} | says what it asks | `{test}`{more} |").unwrap();
        tests.insert(test, true);
    }
    (text, tests)
}

#[test]
fn a_good_table_passes() {
    let (text, mut tests) = good();
    assert_eq!(rows(&text).len(), rules().len());
    assert_eq!(problems(&rows(&text), &tests), [""; 0]);
    // A reason in the place of a test, in either language.
    tests.remove("login::path::c36_a_sentence");
    for why in [
        "Does not apply: no cookie of ours is ever split.",
        "不适用：我们的 Cookie 从不分成几块，一块就够。",
    ] {
        let text = text.replace("`login::path::c36_a_sentence`", why);
        assert_eq!(problems(&rows(&text), &tests), [""; 0], "{why}");
    }
    // Several modules at once, and a test that names no rule.
    tests.remove("login::path::c01_a_sentence");
    for name in ["it::a::c01_x", "it::b::c01_x", "it::a::nothing_of_a_rule"] {
        tests.insert(name.to_owned(), true);
    }
    let several = "`it::{a,b}::c01_x`<br>`it::a::nothing_of_a_rule`";
    let text = text.replace("`login::path::c01_a_sentence`", several);
    let text =
        text.replace("`login::path::c36_a_sentence`", "Does not apply: there is no such thing.");
    assert_eq!(problems(&rows(&text), &tests), [""; 0]);
}

#[test]
fn each_thing_that_can_be_wrong_with_a_table_is_said() {
    let (text, tests) = good();
    let c5 = "| C5 | says what it asks | `login::path::c05_a_sentence` |\n";
    assert!(text.contains(c5));
    for (bad, said) in [
        (text.replace(c5, ""), "C5 is missing"),
        (format!("{text}{c5}"), "C5 is there twice"),
        (
            text.replace("`login::path::c05_a_sentence`", "soon"),
            "C5 has neither a test nor a reason",
        ),
        (
            text.replace("`login::path::c05_a_sentence`", "Does not apply: no."),
            "C5 has a reason that says nothing",
        ),
        (text.replace("| C5 | says what it asks |", "| C5 | |"), "C5 does not say what it asks"),
        (format!("{text}{}", c5.replace("C5", "C57")), "C57 is no rule"),
        (
            text.replace("`login::path::c05_a_sentence`", "`login::path::c05_another`"),
            "C5: there is no test login::path::c05_another",
        ),
        (
            text.replace("`login::path::c05_a_sentence`", "`login::path::c06_a_sentence`"),
            "C5: login::path::c06_a_sentence guards something else",
        ),
        (
            text.replace("`login::path::c05_a_sentence`", "`login::path::c06_a_sentence`"),
            "login::path::c05_a_sentence is not in the table at C5",
        ),
        (
            text.replacen("<br>`it::both::c07_w10_both`", "", 1),
            "it::both::c07_w10_both is not in the table at C7",
        ),
        (
            text.replacen(
                "`it::both::c07_w10_both`",
                "`it::both::c07_w10_both`, `it::both::c07_w10_both`",
                1,
            ),
            "C7: it::both::c07_w10_both is there twice",
        ),
    ] {
        let found = problems(&rows(&bad), &tests);
        assert!(found.iter().any(|problem| problem == said), "{said}: {found:?}");
    }
    for (name, runs, said) in [
        ("it::x::c57_what", true, "it::x::c57_what guards C57, which is no rule"),
        ("it::x::w16_what", true, "it::x::w16_what guards W16, which is no rule"),
        ("it::x::c00_what", true, "it::x::c00_what guards C0, which is no rule"),
        ("it::x::c01_what", true, "it::x::c01_what is not in the table at C1"),
        ("it::x::c01_c02_what", true, "it::x::c01_c02_what is not in the table at C2"),
        ("login::path::c05_a_sentence", false, "C5: login::path::c05_a_sentence is ignored"),
    ] {
        let mut tests = tests.clone();
        tests.insert(name.to_owned(), runs);
        let found = problems(&rows(&text), &tests);
        assert!(found.iter().any(|problem| problem == said), "{said}: {found:?}");
    }
}

#[test]
fn tests_are_found_as_the_compiler_finds_them() {
    let source = "#[test]\nfn one() {\n}\nfn helper() {}\n    #[tokio::test(flavor = \"multi_thread\")]\n    \
                  // why\n    #[allow(clippy::x)]\n    async fn c01_two()\n{\n}\n#[ignore = \"slow\"]\n#[test]\n\
                  fn three() {}\n#[test]\npub fn four() {}\n#[derive(Debug)]\nstruct S;\nfn five() {}\n";
    let found = tests_in(source);
    assert_eq!(found, [("one", true), ("c01_two", true), ("three", false), ("four", true)]);
    let at = |file: &str| module(&root().join(file));
    assert_eq!(at("src/login/path.rs"), "login::path");
    assert_eq!(at("src/gateway/config/tests/stores.rs"), "gateway::config::stores");
    assert_eq!(at("tests/it/routes/mod.rs"), "it::routes");
    assert_eq!(guarded("it::x::c11_c12_w03_what_c4"), ["C11", "C12", "W3"]);
    assert_eq!(guarded("it::x::codes_and_words"), [""; 0]);
    // This file is looked through as all others are.
    let own = "it::threat_model::tests_are_found_as_the_compiler_finds_them";
    assert_eq!(tests().get(own), Some(&true));
}
