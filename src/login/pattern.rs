//! Which paths a rule speaks of: a prefix, one path, or a pattern with gaps.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode;

/// What paths a rule speaks of. Written as plain text, not encoded, and compared by whole segments, each decoded once.
///
/// A slash at the end never counts, neither here nor in a request's path: servers do not agree on what it means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    segments: Box<[Segment]>,
    below: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    /// `*`: any one segment.
    Any,
    Named(Box<str>),
}

impl PathPattern {
    /// `prefix` and what lies below it: `/app` speaks of `/app` and `/app/x`, not of `/apple`.
    pub fn prefix(prefix: &str) -> Self {
        Self { segments: named(prefix), below: true }
    }

    /// This path alone.
    pub fn exact(path: &str) -> Self {
        Self { segments: named(path), below: false }
    }

    /// Which of two that both fit decides: sort by it, and the first that fits is right. Segment by segment, a name
    /// comes before `*`, and that before the end of the path, and that before all that lies below.
    pub fn rank(&self) -> impl Ord + use<> {
        let segments = self.segments.iter().map(|segment| u8::from(*segment == Segment::Any));
        segments.chain([if self.below { 3 } else { 2 }]).collect::<Vec<_>>()
    }

    /// Whether the rule speaks of a canonical path.
    pub(crate) fn fits(&self, path: &str, reading: Parameters) -> bool {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let all_fit = self.segments.iter().all(|wanted| {
            segments.next().is_some_and(|segment| match wanted {
                Segment::Any => true,
                Segment::Named(wanted) => {
                    percent_decode(reading.name_of(segment).as_bytes()).eq(wanted.bytes())
                }
            })
        });
        all_fit && (self.below || segments.next().is_none())
    }
}

fn named(path: &str) -> Box<[Segment]> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.map(|name| Segment::Named(name.into())).collect()
}

/// A pattern as it is written: `/users/*/orders`, where `*` is any one segment; `/**` at the end adds all that lies
/// below.
impl FromStr for PathPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let refuse = |reason| InvalidPattern { text: text.to_owned(), reason };
        if !text.starts_with('/') {
            return Err(refuse("it has to begin with a slash"));
        }
        let (path, below) = match text.strip_suffix("/**") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(match segment {
                "*" => Segment::Any,
                "." | ".." => return Err(refuse("dot segments have no place here")),
                _ if segment.contains('*') => {
                    return Err(refuse(
                        "a star stands for a whole segment, and two at the very end",
                    ));
                }
                _ => Segment::Named(segment.into()),
            });
        }
        Ok(Self { segments: segments.into(), below })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Any => f.write_str("/*")?,
                Segment::Named(name) => write!(f, "/{name}")?,
            }
        }
        f.write_str(if self.below { "/**" } else { "" })
    }
}

/// A text that is no pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a pattern such as /users/*/orders or /files/**: {reason}")]
pub struct InvalidPattern {
    text: String,
    reason: &'static str,
}

/// What becomes of a segment's parameters (`;x` in `/private;x`): Java servers cut them off, others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameters {
    Cut,
    Kept,
}

impl Parameters {
    fn name_of(self, segment: &str) -> &str {
        match self {
            Self::Cut => segment.split(';').next().unwrap_or_default(),
            Self::Kept => segment,
        }
    }
}

/// A path that two rules speak of, depending on who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TwoReadings;

/// The first rule that fits a canonical path, however servers read it.
pub(crate) fn first_fit<'a, R>(
    rules: &'a [R],
    path: &str,
    fits: impl Fn(&R, Parameters) -> bool,
) -> Result<Option<&'a R>, TwoReadings> {
    let find = |reading| rules.iter().find(|rule| fits(rule, reading));
    let found = find(Parameters::Kept);
    if path.contains(';') {
        let same = match (found, find(Parameters::Cut)) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Err(TwoReadings);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &PathPattern, path: &str) -> bool {
        pattern.fits(path, Parameters::Kept)
    }

    #[test]
    fn c23_segments_are_compared_whole_and_decoded_once() {
        let private = PathPattern::prefix("/private/");
        for path in ["/private", "/private/", "/private/x", "/%70rivate"] {
            assert!(fits(&private, path), "{path}");
        }
        for path in
            ["/", "/privat", "/privatex", "/x/private", "/%2570rivate", "/Private", "/private%20"]
        {
            assert!(!fits(&private, path), "{path}");
        }
        assert!(fits(&PathPattern::prefix("/订单"), "/%E8%AE%A2%E5%8D%95/1"));
        assert!(fits(&PathPattern::prefix("/"), "/anything"));
        for path in ["/private;v=1/x", "/private;"] {
            assert!(private.fits(path, Parameters::Cut), "{path}");
            assert!(!fits(&private, path), "{path}");
        }
    }

    #[test]
    fn one_path_and_patterns_fit_what_they_say() {
        let exact = PathPattern::exact("/a/b");
        assert!(fits(&exact, "/a/b") && fits(&exact, "/a/b/"));
        assert!(!fits(&exact, "/a") && !fits(&exact, "/a/b/c"));
        let orders: PathPattern = "/users/*/orders".parse().unwrap();
        assert!(fits(&orders, "/users/1/orders") && fits(&orders, "/users/%E8%AE%A2/orders/"));
        assert!(!fits(&orders, "/users/orders") && !fits(&orders, "/users/1/orders/2"));
        let below: PathPattern = "/users/*/**".parse().unwrap();
        assert!(fits(&below, "/users/1") && fits(&below, "/users/1/orders/2"));
        assert!(!fits(&below, "/users"));
        for bad in ["", "users", "/a*", "/**/a", "/a/**b", "/a/../b"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_pattern_that_says_more_comes_first() {
        let mut patterns = [
            PathPattern::prefix("/"),
            "/*/b/**".parse().unwrap(),
            PathPattern::prefix("/a"),
            PathPattern::exact("/a"),
            PathPattern::prefix("/a/b"),
            PathPattern::exact("/"),
            "/a/*".parse().unwrap(),
        ];
        patterns.sort_by_key(PathPattern::rank);
        let expected = [
            PathPattern::prefix("/a/b"),
            "/a/*".parse().unwrap(),
            PathPattern::exact("/a"),
            PathPattern::prefix("/a"),
            "/*/b/**".parse().unwrap(),
            PathPattern::exact("/"),
            PathPattern::prefix("/"),
        ];
        assert_eq!(patterns, expected);
    }

    #[test]
    fn c27_a_path_that_two_rules_may_speak_of_is_refused() {
        let rules = [PathPattern::prefix("/open"), PathPattern::prefix("/")];
        let find = |path: &str| {
            let found = first_fit(&rules, path, |rule, reading| rule.fits(path, reading))?;
            Ok(found.map(|rule| rule == &rules[0]))
        };
        assert_eq!(find("/open/a;x"), Ok(Some(true)));
        assert_eq!(find("/a;x"), Ok(Some(false)));
        assert_eq!(find("/open;x/a"), Err(TwoReadings));
    }
}
