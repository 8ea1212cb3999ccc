//! Takes keys out of a TOML file one by one, and notes what is wrong with each.

use std::{
    cell::RefCell,
    ffi::OsString,
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use super::{
    flags,
    keys::{self, Key},
    problem::Problem,
    unknown,
    values::{hides_secret, is_name, shown, shown_key},
};

/// The text of a configuration, what surrounds it, and what has been found so far.
pub(super) struct Source<'a> {
    pub(super) file: Arc<str>,
    pub(super) text: &'a str,
    /// What relative paths are relative to.
    pub(super) folder: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The text was made from flags of the command line: those are named, and not its keys.
    pub(super) from_flags: bool,
    pub(super) problems: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// The files that were named.
    pub(super) files: RefCell<Vec<PathBuf>>,
}

/// Where something stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: String,
    /// The byte at which it begins.
    pub(super) at: usize,
}

impl Place {
    pub(super) fn below(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{dot}{}", self.path, shown_key(name)), at: self.at }
    }
}

/// A value, and where it was given.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl Source<'_> {
    pub(super) fn refuse(&self, place: &Place, message: impl Display) {
        self.problems.borrow_mut().push(self.problem(place, message.to_string()));
    }

    pub(super) fn warn(&self, place: &Place, message: impl Display) {
        self.warnings.borrow_mut().push(self.problem(place, message.to_string()));
    }

    pub(super) fn refuse_syntax(&self, at: usize, reason: &str) {
        let before = self.before(at);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let line = self.text.as_bytes()[start..].split(|byte| *byte == b'\n').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        self.problems.borrow_mut().push(Problem {
            file: self.file.clone(),
            path: String::new(),
            line: Some(self.line(at)),
            column: Some(column),
            message: unknown::syntax(reason, &line, before.len() - start),
        });
    }

    /// How a key is given: as a line of the file, or as a flag.
    pub(super) fn example(&self, path: &str, key: &Key) -> String {
        match flags::flag_of(path) {
            Some(flag) if self.from_flags => format!("{flag} {}", key.example.trim_matches('"')),
            _ => format!("{} = {}", key.name(), key.example),
        }
    }

    fn before(&self, at: usize) -> &[u8] {
        &self.text.as_bytes()[..at.min(self.text.len())]
    }

    fn line(&self, at: usize) -> usize {
        self.before(at).split(|byte| *byte == b'\n').count()
    }

    fn problem(&self, place: &Place, message: String) -> Problem {
        let (path, line) = if self.from_flags {
            (flags::flag_of(&place.path).unwrap_or(&place.path).to_owned(), None)
        } else {
            (place.path.clone(), Some(self.line(place.at)))
        };
        Problem { file: self.file.clone(), path, line, column: None, message }
    }
}

/// One table of the file, or one that is not there and so has no keys.
#[derive(Clone)]
pub(super) struct Section<'d> {
    pub(super) source: &'d Source<'d>,
    /// Its name among the [`keys::SECTIONS`].
    kind: &'static str,
    table: Option<&'d DeTable<'d>>,
    pub(super) place: Place,
}

impl<'d> Section<'d> {
    /// The whole file. Keys and sections that are unknown are noted.
    pub(super) fn top(source: &'d Source<'d>, table: &'d DeTable<'d>) -> Self {
        let place = Place { path: String::new(), at: 0 };
        let section = Self { source, kind: "", table: Some(table), place };
        section.note_unknown();
        section
    }

    /// A section below the top, such as `[tls]`.
    pub(super) fn section(&self, kind: &'static str) -> Self {
        let none = Self { source: self.source, kind, table: None, place: self.place.below(kind) };
        let Some(entry) = self.entry(kind) else { return none };
        let DeValue::Table(table) = entry.value else {
            self.source.refuse(
                &entry.place,
                format!(
                    "{} is not a section; write [{kind}] on a line of its own, and its keys below",
                    shown(entry.value)
                ),
            );
            return none;
        };
        let section = Self { table: Some(table), place: entry.place, ..none };
        section.note_unknown();
        section
    }

    /// The sections that carry names, such as `[site.h5]`.
    pub(super) fn named(&self, word: &'static str, kind: &'static str) -> Vec<(String, Self)> {
        let Some(entry) = self.entry(word) else { return Vec::new() };
        let DeValue::Table(table) = entry.value else {
            let why = format!("it needs a name, and single brackets: write [{word}.main]");
            self.source.refuse(&entry.place, why);
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let place = Place { path: entry.place.below(name).path, at: key.span().start };
            let DeValue::Table(table) = value.get_ref() else {
                let why = format!("[{word}] needs a name: write [{word}.main], and its keys below");
                self.source.refuse(&place, why);
                continue;
            };
            if !is_name(name) {
                self.source.refuse(
                    &place,
                    "a name is 1 to 32 of a-z, 0-9 and -, and begins with a letter or digit",
                );
            }
            let section = Self { source: self.source, kind, table: Some(table), place };
            section.note_unknown();
            found.push((name.to_owned(), section));
        }
        // As they stand in the file.
        found.sort_by_key(|(_, section)| section.place.at);
        found
    }

    /// The `[[site.NAME.route]]` of a site.
    pub(super) fn routes(&self) -> Vec<Self> {
        let Some(entry) = self.entry("route") else { return Vec::new() };
        let DeValue::Array(array) = entry.value else {
            let why = format!(
                "write [[{}]], with double brackets: there may be several",
                entry.place.path
            );
            self.source.refuse(&entry.place, why);
            return Vec::new();
        };
        let mut found = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let path = format!("{}[{index}]", entry.place.path);
            let place = Place { path, at: value.span().start };
            let DeValue::Table(table) = value.get_ref() else {
                let why = format!(
                    "{} is not a route; write [[{}]], and its keys below",
                    shown(value.get_ref()),
                    entry.place.path
                );
                self.source.refuse(&place, why);
                continue;
            };
            let section =
                Self { source: self.source, kind: "site.*.route", table: Some(table), place };
            section.note_unknown();
            found.push(section);
        }
        found
    }

    /// Whether the key is given, be its value good or not, and be it misspelt.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_meant = |other: &str| {
            !unknown::is_known(self.kind, other) && unknown::meant(self.kind, other) == Some(name)
        };
        self.entry(name).is_some()
            || self.table.into_iter().flatten().any(|(key, _)| is_meant(key.get_ref().as_ref()))
    }

    /// Whether the key is given with a value that could not be used.
    pub(super) fn is_bad<T>(&self, name: &str, read: Option<&Given<T>>) -> bool {
        read.is_none() && self.has(name)
    }

    /// Where the key is, or would be.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.entry(name).map_or_else(|| self.place.below(name), |entry| entry.place)
    }

    /// Whether the key is given as `[]`.
    pub(super) fn has_empty_list(&self, name: &str) -> bool {
        let list = self.entry(name).and_then(|entry| entry.value.as_array());
        list.is_some_and(|list| list.is_empty())
    }

    /// Whether the section itself is there.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Notes a key that has to be given.
    pub(super) fn missing(&self, name: &str) {
        let place = self.place.below(name);
        let example = self.source.example(&place.path, self.key(name));
        self.source.refuse(&place, format!("it is missing; write for example {example}"));
    }

    /// How a key of this section is given.
    pub(super) fn example(&self, name: &str) -> String {
        self.source.example(&self.place.below(name).path, self.key(name))
    }

    /// A text that `read` makes something of. What `read` says is noted, unless it would show a secret.
    pub(super) fn text<T, E: Display>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Given<T>> {
        let entry = self.entry(name)?;
        let DeValue::String(text) = entry.value else {
            return self.wrong_type(name, &entry, "text in quotes");
        };
        self.make(text, entry.place, name, read)
    }

    /// A list of texts, each of which `read` makes something of.
    pub(super) fn list<T, E: Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Given<Vec<Given<T>>>> {
        let entry = self.entry(name)?;
        let DeValue::Array(array) = entry.value else {
            return self.wrong_type(name, &entry, "a list in square brackets");
        };
        let mut list = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let path = format!("{}[{index}]", entry.place.path);
            let place = Place { path, at: item.span().start };
            match item.get_ref() {
                DeValue::String(text) => list.extend(self.make(text, place, name, &read)),
                other => {
                    let item = Entry { value: other, place };
                    self.wrong_type::<()>(name, &item, "a list of texts in quotes");
                }
            }
        }
        Some(Given { value: list, place: entry.place })
    }

    /// A list of texts, or one text alone.
    pub(super) fn one_or_list<T, E: Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Given<Vec<Given<T>>>> {
        let entry = self.entry(name)?;
        if let DeValue::Array(_) = entry.value {
            return self.list(name, read);
        }
        let one = self.text(name, read);
        Some(Given { value: one.into_iter().collect(), place: entry.place })
    }

    pub(super) fn flag(&self, name: &str) -> Option<Given<bool>> {
        let entry = self.entry(name)?;
        let DeValue::Boolean(value) = entry.value else {
            return self.wrong_type(name, &entry, "true or false, without quotes,");
        };
        Some(Given { value: *value, place: entry.place })
    }

    pub(super) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Option<Given<u64>> {
        let entry = self.entry(name)?;
        let DeValue::Integer(digits) = entry.value else {
            return self.wrong_type(name, &entry, "a whole number, without quotes,");
        };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(value) if range.contains(&value) => Some(Given { value, place: entry.place }),
            _ => {
                let (least, most) = range.into_inner();
                let why =
                    format!("{} is not a whole number from {least} to {most}", shown(entry.value));
                self.source.refuse(&entry.place, why);
                None
            }
        }
    }

    /// A number of bytes: a whole number, or a text that `read` understands.
    pub(super) fn number_or_text<E: Display>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<u64, E>,
    ) -> Option<Given<u64>> {
        let entry = self.entry(name)?;
        match entry.value {
            DeValue::Integer(_) => self.number(name, 1..=u64::MAX >> 1),
            DeValue::String(_) => self.text(name, read),
            _ => {
                self.wrong_type(name, &entry, "a whole number of bytes or a text such as \"10MiB\"")
            }
        }
    }

    fn make<T, E: Display>(
        &self,
        text: &str,
        place: Place,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Given<T>> {
        match read(text) {
            Ok(value) => Some(Given { value, place }),
            Err(_) if hides_secret(text) => {
                let example = self.source.example(&place.path, self.key(name));
                let why = format!(
                    "what stands here looks like a secret, so it is not repeated, and does not belong here; \
                     write for example {example}"
                );
                self.source.refuse(&place, why);
                None
            }
            Err(error) => {
                self.source.refuse(&place, error);
                None
            }
        }
    }

    fn wrong_type<T>(&self, name: &str, entry: &Entry<'_>, wanted: &str) -> Option<T> {
        let example = self.source.example(&entry.place.path, self.key(name));
        let why = format!(
            "{} stands where {wanted} is wanted; write for example {example}",
            shown(entry.value)
        );
        self.source.refuse(&entry.place, why);
        None
    }

    fn key(&self, name: &str) -> &'static Key {
        keys::find(self.kind, name).expect("only keys of the table of keys are asked for")
    }

    fn entry(&self, name: &str) -> Option<Entry<'d>> {
        let (key, value) = self.table?.get_key_value(name)?;
        let place = Place { path: self.place.below(name).path, at: key.span().start };
        Some(Entry { value: value.get_ref(), place })
    }

    fn note_unknown(&self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !unknown::is_known(self.kind, name) {
                let place = Place { path: self.place.below(name).path, at: key.span().start };
                self.source.refuse(&place, unknown::advice(self.kind, &self.place.path, name));
            }
        }
    }
}

struct Entry<'d> {
    value: &'d DeValue<'d>,
    place: Place,
}
