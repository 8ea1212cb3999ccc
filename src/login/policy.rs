//! Which path needs which sign-in.

use super::path::{Parameters, lies_below};

/// What a path asks of its visitors.
///
/// Ordered: a later one asks for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Login {
    /// Nothing: nobody is looked up, nobody is injected.
    Off,
    /// Nothing, but who is signed in is known.
    Optional,
    /// A silent sign-in, which tells the openid. The default.
    #[default]
    Base,
    /// A sign-in with consent, which tells nickname and avatar as well.
    Userinfo,
}

/// What each path asks. The longest prefix that fits decides, and the default where none does.
///
/// Prefixes are plain text, not encoded, and are compared by whole segments: `/app` covers `/app` and `/app/x`, not
/// `/apple`. The query never counts.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    default: Login,
    rules: Vec<(Box<str>, Login)>,
}

impl Policy {
    /// The same for every path.
    pub fn all(default: Login) -> Self {
        Self { default, rules: Vec::new() }
    }

    /// Another rule for `prefix` and what lies below it. A later rule for the same prefix replaces the earlier one.
    pub fn path(mut self, prefix: &str, login: Login) -> Self {
        let prefix: Box<str> = prefix.trim_end_matches('/').into();
        self.rules.retain(|(known, _)| *known != prefix);
        self.rules.push((prefix, login));
        self.rules.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// Another rule for where no prefix fits.
    pub fn otherwise(mut self, login: Login) -> Self {
        self.default = login;
        self
    }

    /// What a canonical path asks. Where servers read it in two ways, the stricter one counts.
    pub(crate) fn of(&self, path: &str) -> Login {
        let asked = self.read(path, Parameters::Kept);
        if path.contains(';') { asked.max(self.read(path, Parameters::Cut)) } else { asked }
    }

    fn read(&self, path: &str, parameters: Parameters) -> Login {
        let rule = self.rules.iter().find(|(prefix, _)| lies_below(path, prefix, parameters));
        rule.map_or(self.default, |(_, login)| *login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let policy = Policy::all(Login::Base)
            .path("/", Login::Optional)
            .path("/private", Login::Userinfo)
            .path("/private/open/", Login::Off);
        assert_eq!(policy.of("/"), Login::Optional);
        assert_eq!(policy.of("/privately"), Login::Optional);
        assert_eq!(policy.of("/private/x"), Login::Userinfo);
        assert_eq!(policy.of("/private/open"), Login::Off);
        assert_eq!(policy.of("/private/open/x"), Login::Off);
        assert_eq!(policy.of("/private/opening"), Login::Userinfo);
    }

    #[test]
    fn c27_of_two_readings_of_a_path_the_stricter_one_counts() {
        let policy =
            Policy::all(Login::Base).path("/open", Login::Off).path("/profile", Login::Userinfo);
        assert_eq!(policy.of("/open/a"), Login::Off);
        assert_eq!(policy.of("/open/a;x"), Login::Off);
        assert_eq!(policy.of("/open;x/a"), Login::Base);
        assert_eq!(policy.of("/profile;x/a"), Login::Userinfo);
    }
}
