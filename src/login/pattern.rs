//! Which paths a rule speaks of: a prefix, one path, or a pattern with gaps.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode;

use super::path::without_parameters;

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
    pub(crate) fn fits(&self, path: &str, reading: Reading) -> bool {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let all_fit = self.segments.iter().all(|wanted| {
            segments.next().is_some_and(|segment| match wanted {
                Segment::Any => true,
                Segment::Named(wanted) => reading.is(segment, wanted),
            })
        });
        all_fit && (self.below || segments.next().is_none())
    }

    /// Whether the case of the letters is all that sets them apart.
    fn is_in_other_case(&self, other: &Self) -> bool {
        let alike = |pair: (&Segment, &Segment)| match pair {
            (Segment::Named(one), Segment::Named(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        self.below == other.below
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(alike)
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

/// How a server reads the segments of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As they are written.
    AsWritten,
    /// Without their parameters (`;x` in `/private;x`), as Java servers do.
    WithoutParameters,
    /// Without them, and whatever the case of the letters, as Express and servers on Windows do.
    Loose,
}

impl Reading {
    fn is(self, segment: &str, name: &str) -> bool {
        let segment = match self {
            Self::AsWritten => segment,
            Self::WithoutParameters | Self::Loose => without_parameters(segment),
        };
        let segment = percent_decode(segment.as_bytes());
        let lower = |byte: u8| byte.to_ascii_lowercase();
        match self {
            Self::Loose => segment.map(lower).eq(name.bytes().map(lower)),
            Self::AsWritten | Self::WithoutParameters => segment.eq(name.bytes()),
        }
    }
}

/// A path that two rules speak of, depending on who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TwoReadings;

/// One of several rules, sorted by the ranks of their patterns, of which the first that fits a path decides.
pub(crate) trait Rule {
    fn pattern(&self) -> &PathPattern;

    /// Whether it lets in nobody whom the other keeps out.
    fn covers(&self, other: &Self) -> bool;
}

/// The rule of a canonical path, among those that `apply`. It is an error where a server could take the path for another
/// rule's, and that one keeps out somebody whom this one lets in.
pub(crate) fn first_fit<'a, R: Rule>(
    rules: &'a [R],
    otherwise: Option<&'a R>,
    path: &str,
    apply: impl Fn(&R) -> bool,
) -> Result<Option<&'a R>, TwoReadings> {
    let fits = |rule: &R, reading| apply(rule) && rule.pattern().fits(path, reading);
    let find = |reading| rules.iter().position(|rule| fits(rule, reading));
    let at = find(Reading::AsWritten);
    if path.contains([';', '%']) && find(Reading::WithoutParameters) != at {
        return Err(TwoReadings);
    }
    let Some(found) = at.map(|at| &rules[at]).or(otherwise) else { return Ok(None) };
    let (ahead, behind) = rules.split_at(at.unwrap_or(rules.len()));
    let twins = behind.iter().filter(|rule| rule.pattern().is_in_other_case(found.pattern()));
    let mut others = ahead.iter().chain(twins).filter(|rule| fits(rule, Reading::Loose));
    if others.any(|other| !found.covers(other)) {
        return Err(TwoReadings);
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &PathPattern, path: &str) -> bool {
        pattern.fits(path, Reading::AsWritten)
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
            assert!(private.fits(path, Reading::WithoutParameters), "{path}");
            assert!(!fits(&private, path), "{path}");
        }
        for path in ["/PRIVATE/x", "/Private;v=1", "/%50rivate"] {
            assert!(private.fits(path, Reading::Loose), "{path}");
            assert!(!private.fits(path, Reading::WithoutParameters), "{path}");
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

    /// What it speaks of, and how much it asks.
    struct Asks(PathPattern, u8);

    impl Rule for Asks {
        fn pattern(&self) -> &PathPattern {
            &self.0
        }

        fn covers(&self, other: &Self) -> bool {
            self.1 >= other.1
        }
    }

    fn asked(rules: &[(&str, u8)], path: &str) -> Result<Option<u8>, TwoReadings> {
        let rule = |(prefix, asks): &(&str, u8)| Asks(PathPattern::prefix(prefix), *asks);
        let mut rules: Vec<_> = rules.iter().map(rule).collect();
        rules.sort_by_key(|rule| rule.0.rank());
        Ok(first_fit(&rules, None, path, |_| true)?.map(|rule| rule.1))
    }

    #[test]
    fn c27_a_path_that_two_rules_may_speak_of_is_refused() {
        let find = |path| asked(&[("/open", 0), ("/", 1)], path);
        assert_eq!(find("/open/a;x"), Ok(Some(0)));
        assert_eq!(find("/a;x"), Ok(Some(1)));
        for path in ["/open;x/a", "/open%3bx/a", "/%6fpen%3B"] {
            assert_eq!(find(path), Err(TwoReadings), "{path}");
        }
    }

    #[test]
    fn c27_another_case_of_the_letters_opens_nothing() {
        let find = |path| asked(&[("/", 0), ("/staff", 2), ("/staff/canteen", 1)], path);
        assert_eq!(find("/staff/canteen"), Ok(Some(1)));
        assert_eq!(find("/staff/CANTEEN"), Ok(Some(2)), "the one that asks for more decides");
        for path in ["/Staff", "/STAFF/x", "/st%41ff/x", "/STAFF;a/x"] {
            assert_eq!(find(path), Err(TwoReadings), "{path}");
        }
        for twins in [[("/a", 1), ("/A", 0)], [("/A", 0), ("/a", 1)]] {
            assert_eq!(asked(&twins, "/a/x"), Ok(Some(1)));
            assert_eq!(asked(&twins, "/A/x"), Err(TwoReadings));
        }
        let is_twin = |one: &str, other: &str| {
            let pattern = |text: &str| text.parse::<PathPattern>().unwrap();
            pattern(one).is_in_other_case(&pattern(other))
        };
        assert!(is_twin("/*/a", "/*/A"));
        for other in ["/x/A", "/*/b", "/*/A/**", "/*/A/*", "/*"] {
            assert!(!is_twin("/*/a", other), "{other}");
        }
        assert_eq!(asked(&[("/a", 1)], "/A"), Ok(None), "what leads nowhere opens nothing");
    }
}
