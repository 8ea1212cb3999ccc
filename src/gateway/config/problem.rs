//! What is wrong with a configuration, said so that somebody can act on it.

use std::{fmt, path::PathBuf, sync::Arc};

/// One thing that is wrong, or worth a warning. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named, or the program where there is none.
    pub file: Arc<str>,
    /// The key, such as `site.h5.route[1].login`, or the flag. Empty for what is no TOML.
    pub path: String,
    /// Counted from 1.
    pub line: Option<usize>,
    /// Counted from 1. Known for what is no TOML only.
    pub column: Option<usize>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for position in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{position}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with a configuration, in the order of the file. At least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    found: Vec<Problem>,
    /// The files that were read, or should have been: whoever wants to notice that they were mended watches them.
    pub files: Vec<PathBuf>,
}

impl Problems {
    pub(super) fn new(found: Vec<Problem>, files: Vec<PathBuf>) -> Self {
        Self { found: in_order(found), files }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }
}

/// Sorted by line. What several routes have inherited from their site is said once.
pub(super) fn in_order(mut found: Vec<Problem>) -> Vec<Problem> {
    found.sort_by(|a, b| {
        let key = |p: &Problem| (p.line.unwrap_or(usize::MAX), p.column);
        key(a).cmp(&key(b)).then_with(|| (&a.path, &a.message).cmp(&(&b.path, &b.message)))
    });
    found.dedup();
    found
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.found.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Problems {
    /// Without the files: somebody may have written a secret where a file belongs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Problems").field(&self.found).finish()
    }
}

impl std::error::Error for Problems {}
