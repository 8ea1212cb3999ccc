//! Notes accounts that stand where one of another kind is needed.

use super::{
    account,
    reader::{Place, Source},
    site::Draft,
    values::kind_word,
};
use crate::{
    login::{Login, Outside},
    wechat::AccountKind,
};

/// Notes what a site wants of accounts that these cannot do. What it says of an account that is not good has been noted.
pub(super) fn check(source: &Source<'_>, site: &Draft<'_>, accounts: &account::Drafts) {
    let only = Only { source, accounts };
    if let Some(website) = &site.website {
        only.a(
            AccountKind::Website,
            &website.value,
            &website.place,
            "it is for people who are not in WeChat",
        );
    }
    for mini_program in &site.mini_programs {
        let (name, place) = (&mini_program.value, &mini_program.place);
        only.a(AccountKind::MiniProgram, name, place, "it signs in at /_wx/mini-program/login");
    }
    if let (Some(jssdk), Some(account)) = (&site.jssdk, &site.account) {
        only.a(
            AccountKind::OfficialAccount,
            account,
            &jssdk.place,
            "WeChat gives JS-SDK signatures",
        );
    }
    let own_routes =
        site.routes.iter().map(|route| (&route.own.outside, route.all.account.as_ref()));
    let all = own_routes.chain([(&site.outside, None)]);
    for (outside, account) in all {
        let Some(outside) = outside else { continue };
        let account = account.map(|given| &given.value).or(site.account.as_ref());
        match outside.value {
            Outside::Scan => {
                if let Some(account) = account {
                    let why = "the phone that scans a code signs in inside WeChat";
                    only.a(AccountKind::OfficialAccount, account, &outside.place, why);
                }
            }
            Outside::Website if site.website.is_none() => {
                let why = "the site has no website account to offer; write website = \"NAME\" in the site, with the name \
                           of an account whose kind is \"website\"";
                source.refuse(&outside.place, why);
            }
            Outside::Website if account != site.account.as_ref() => {
                let why = "people of a route with an account of its own sign in with that one alone; leave account out, or \
                           write outside_wechat = \"help\"";
                source.refuse(&outside.place, why);
            }
            Outside::Help | Outside::Website => {}
        }
    }
    for route in &site.routes {
        let account = route.all.account.as_ref();
        if let Some(given) = account.filter(|_| route.own.account.is_some()) {
            only.not_a_mini_program(&given.value, &given.place);
        }
        let name = account.map(|given| &given.value).or(site.account.as_ref());
        if let Some(name) = name
            && route.all.asks() == Login::Userinfo
            && only.is_corp_without_agentid(name)
        {
            let why = format!(
                "WeCom tells names and avatars to an app with an agentid only; write agentid = 1000002, or what \
                               it is, in account {name:?}"
            );
            let place = route.all.login.as_ref().map_or(&route.place, |login| &login.place);
            source.refuse(place, why);
        }
        if let (Some(require), Some(name)) = (&route.own.require, name) {
            only.a(
                AccountKind::OfficialAccount,
                name,
                &require.place,
                "only such an account has followers",
            );
        }
    }
    if let Some(account) = &site.account {
        only.not_a_mini_program(account, &site.section.place_of("account"));
    }
}

struct Only<'a> {
    source: &'a Source<'a>,
    accounts: &'a account::Drafts,
}

impl Only<'_> {
    fn kind_of(&self, name: &str) -> Option<AccountKind> {
        let (_, account) = self.accounts.iter().find(|(known, _)| known == name)?;
        Some(account.value.account.kind())
    }

    fn is_corp_without_agentid(&self, name: &str) -> bool {
        self.accounts.iter().any(|(known, account)| {
            let account = &account.value.account;
            known == name && account.kind() == AccountKind::Wecom && account.agentid().is_none()
        })
    }

    fn a(&self, wanted: AccountKind, name: &str, place: &Place, why: &str) {
        if let Some(kind) = self.kind_of(name)
            && kind != wanted
        {
            let (kind, wanted) = (kind_word(kind), kind_word(wanted));
            let why = format!(
                "{why}, which takes an account of kind {wanted:?}, and account {name:?} is of kind {kind:?}"
            );
            self.source.refuse(place, why);
        }
    }

    fn not_a_mini_program(&self, name: &str, place: &Place) {
        if self.kind_of(name) == Some(AccountKind::MiniProgram) {
            let why = format!(
                "nobody can be sent to a mini-program to sign in, and account {name:?} is one; name it in \
                 mini_programs, and write an account of another kind here"
            );
            self.source.refuse(place, why);
        }
    }
}
