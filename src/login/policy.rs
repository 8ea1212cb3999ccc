//! What a path asks of its visitors.

use std::{collections::HashSet, sync::Arc};

use super::{
    identity::WechatUser,
    pattern::{PathPattern, Rule, TwoReadings, first_fit},
};
use crate::wechat::{OpenId, UnionId};

/// Which sign-in a path needs.
///
/// Ordered: a later one asks for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Login {
    /// None: nobody is looked up, nobody is injected.
    Off,
    /// None, but who is signed in is known.
    Optional,
    /// A silent sign-in, which tells the openid. The default.
    #[default]
    Base,
    /// A sign-in with consent, which tells nickname and avatar as well.
    Userinfo,
}

/// What a browser that is not WeChat's is offered where somebody has to sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outside {
    /// A page that says how to open the address in WeChat. The default. Where WeChat is a simulator on this machine, any
    /// browser is sent there instead.
    #[default]
    Help,
    /// A code to scan with the phone. The login needs [the door](super::WechatLoginLayer::door) for it (`doors::Scan`);
    /// without that, it is as `Help`, and the log says so.
    Scan,
    /// A sign-in with the login's [website application](super::WechatLoginLayer::website).
    Website,
}

impl Outside {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Help, Self::Scan, Self::Website];

    /// Its name in addresses and configurations.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Scan => "scan",
            Self::Website => "website",
        }
    }

    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outside| outside.as_str() == name)
    }
}

/// All that a path asks of its visitors.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    login: Login,
    members: Option<Arc<Members>>,
    keeps_fragment: bool,
    outside: Option<Outside>,
    followers_only: bool,
    own_account: bool,
}

/// Who may come in, besides being signed in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Members {
    openids: HashSet<OpenId>,
    unionids: HashSet<UnionId>,
}

impl From<Login> for Demand {
    fn from(login: Login) -> Self {
        Self { login, ..Self::default() }
    }
}

impl Demand {
    /// Lets in only users with one of these openids or unionids, compared whole and exactly. Who may come in has to be
    /// known, so [`Login::Off`] and [`Login::Optional`] become [`Login::Base`]. Two empty lists let nobody in.
    pub fn only(
        mut self,
        openids: impl IntoIterator<Item = OpenId>,
        unionids: impl IntoIterator<Item = UnionId>,
    ) -> Self {
        let members = Members {
            openids: openids.into_iter().collect(),
            unionids: unionids.into_iter().collect(),
        };
        self.members = Some(Arc::new(members));
        self.login = self.login.max(Login::Base);
        self
    }

    /// Keeps the `#fragment` of the page's address over a sign-in, as single-page apps with a hash router need it: the
    /// first answer is an invisible page with a script that saves it. Default no, since it costs a step.
    pub fn keep_fragment(mut self, keep: bool) -> Self {
        self.keeps_fragment = keep;
        self
    }

    /// What browsers are offered here that are not WeChat's. Default what the login [offers
    /// everywhere](super::WechatLoginLayer::outside_wechat).
    pub fn outside_wechat(mut self, outside: Outside) -> Self {
        self.outside = Some(outside);
        self
    }

    /// Lets in only people who follow the account. Others see a page that says how to. Who may come in has to be known, as
    /// with [`only`](Self::only).
    pub fn followers_only(mut self) -> Self {
        self.followers_only = true;
        self.own_account = true;
        self.login = self.login.max(Login::Base);
        self
    }

    /// The same people, and at least this sign-in.
    #[cfg(feature = "gateway")]
    pub(crate) fn at_least(mut self, login: Login) -> Self {
        self.login = self.login.max(login);
        self
    }

    /// Which sign-in it needs.
    pub fn login(&self) -> Login {
        self.login
    }

    pub(crate) fn keeps_fragment(&self) -> bool {
        self.keeps_fragment
    }

    /// Lets in only people who have signed in with the login's own account, none of its companions.
    #[cfg(feature = "gateway")]
    pub(crate) fn own_account(mut self) -> Self {
        self.own_account = true;
        self
    }

    pub(crate) fn is_for_own_account(&self) -> bool {
        self.own_account
    }

    pub(crate) fn is_for_followers(&self) -> bool {
        self.followers_only
    }

    pub(crate) fn outside(&self) -> Option<Outside> {
        self.outside
    }

    /// Whether anybody has to sign in.
    pub(crate) fn keeps_out(&self) -> bool {
        self.login >= Login::Base
    }

    /// Whether nobody gets in here whom the other keeps out.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.login >= other.login || !other.keeps_out())
            && (other.members.is_none() || self.members == other.members)
            && (self.followers_only || !other.followers_only)
            && (self.own_account || !other.own_account)
    }

    pub(crate) fn admits(&self, user: &WechatUser) -> bool {
        self.members.as_ref().is_none_or(|members| {
            members.openids.contains(user.openid())
                || user.unionid().is_some_and(|unionid| members.unionids.contains(unionid))
        })
    }
}

/// What each path asks. The prefix that says most decides, and the default where none fits.
///
/// The query never counts. A path that servers could read as another rule's is refused: one with parameters
/// (`/open;x/a`), and one in another case of the letters (`/PRIVATE`) where that rule keeps somebody out.
#[derive(Clone, Debug)]
pub struct Policy {
    default: (PathPattern, Demand),
    rules: Vec<(PathPattern, Demand)>,
}

impl Rule for (PathPattern, Demand) {
    fn pattern(&self) -> &PathPattern {
        &self.0
    }

    fn covers(&self, other: &Self) -> bool {
        self.1.covers(&other.1)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::all(Demand::default())
    }
}

impl Policy {
    /// The same for every path.
    pub fn all(default: impl Into<Demand>) -> Self {
        Self { default: (PathPattern::prefix("/"), default.into()), rules: Vec::new() }
    }

    /// Another rule for `prefix` and what lies below it: `/app` covers `/app` and `/app/x`, not `/apple`. Plain text,
    /// not encoded. A later rule for the same prefix replaces the earlier one.
    pub fn path(mut self, prefix: &str, demand: impl Into<Demand>) -> Self {
        let pattern = PathPattern::prefix(prefix);
        self.rules.retain(|(known, _)| *known != pattern);
        self.rules.push((pattern, demand.into()));
        self.rules.sort_by_key(|(pattern, _)| pattern.rank());
        self
    }

    /// Another rule for where no prefix fits.
    pub fn otherwise(mut self, demand: impl Into<Demand>) -> Self {
        self.default.1 = demand.into();
        self
    }

    /// What a canonical path asks.
    pub(crate) fn of(&self, path: &str) -> Result<&Demand, TwoReadings> {
        let rule = first_fit(&self.rules, Some(&self.default), path, |_| true)?;
        Ok(&rule.unwrap_or(&self.default).1)
    }

    /// The rules, the default among them as one for every path.
    #[cfg(feature = "gateway")]
    pub(crate) fn rules(&self) -> Vec<(PathPattern, Demand)> {
        let mut rules = self.rules.clone();
        if !rules.iter().any(|(pattern, _)| *pattern == self.default.0) {
            rules.push(self.default.clone());
        }
        rules
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
        let of = |path| policy.of(path).unwrap().login();
        assert_eq!(of("/"), Login::Optional);
        assert_eq!(of("/privately"), Login::Optional);
        assert_eq!(of("/private/x"), Login::Userinfo);
        assert_eq!(of("/private/open"), Login::Off);
        assert_eq!(of("/private/open/x"), Login::Off);
        assert_eq!(of("/private/opening"), Login::Userinfo);
    }

    #[test]
    fn c27_a_path_with_two_readings_is_refused_where_they_ask_different_things() {
        let policy = Policy::all(Login::Base).path("/open", Login::Off);
        assert_eq!(policy.of("/open/a;x").unwrap().login(), Login::Off);
        assert_eq!(policy.of("/page;x/a").unwrap().login(), Login::Base);
        assert!(policy.of("/open;x/a").is_err());
    }

    #[test]
    fn c27_in_another_case_of_the_letters_the_one_that_asks_for_more_counts() {
        let alice = || [OpenId::parse("o6_alice").unwrap()];
        let policy = Policy::all(Login::Off)
            .path("/page", Login::Base)
            .path("/open", Login::Optional)
            .path("/page/staff", Demand::default().only(alice(), []))
            .path("/page/fans", Demand::default().followers_only());
        let of = |path| policy.of(path).map(Demand::login);
        assert_eq!((of("/x"), of("/page")), (Ok(Login::Off), Ok(Login::Base)));
        assert_eq!(of("/OPEN"), Ok(Login::Off), "nobody is kept out there");
        for path in ["/PAGE", "/Page/x", "/page/STAFF", "/page/Fans/x"] {
            assert_eq!(of(path), Err(TwoReadings), "{path}");
        }
        let closed = Policy::all(Login::Base).path("/static", Login::Off);
        assert_eq!(closed.of("/STATIC/x").map(Demand::login), Ok(Login::Base));
    }

    #[test]
    fn c27_a_rule_covers_another_only_where_it_keeps_out_everybody_whom_that_keeps_out() {
        let listed = |name| Demand::default().only([OpenId::parse(name).unwrap()], []);
        let (base, fans) = (Demand::default(), Demand::default().followers_only());
        for (one, other, covers) in [
            (&base, &base, true),
            (&listed("o6_alice"), &base, true),
            (&listed("o6_alice"), &listed("o6_alice"), true),
            (&listed("o6_alice"), &listed("o6_bob"), false),
            (&base, &listed("o6_alice"), false),
            (&fans, &base, true),
            (&fans, &fans, true),
            (&base, &fans, false),
            (&fans, &listed("o6_alice"), false),
            (&Login::Userinfo.into(), &base, true),
            (&base, &Login::Userinfo.into(), false),
            (&Login::Off.into(), &Login::Optional.into(), true),
            (&Login::Optional.into(), &base, false),
        ] {
            assert_eq!(one.covers(other), covers, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_later_rule_for_the_same_prefix_takes_the_place_of_the_earlier_one() {
        let policy = Policy::all(Login::Base)
            .path("/a", Login::Off)
            .path("/b", Login::Optional)
            .path("/a/", Login::Userinfo);
        assert_eq!(policy.of("/a/x").unwrap().login(), Login::Userinfo);
        assert_eq!(policy.of("/b").unwrap().login(), Login::Optional);
    }

    #[test]
    fn a_list_of_people_asks_for_a_sign_in() {
        let nobody = Demand::from(Login::Off).only([], []);
        assert_eq!(nobody.login(), Login::Base);
        assert_eq!(Demand::from(Login::Userinfo).only([], []).login(), Login::Userinfo);
    }
}
