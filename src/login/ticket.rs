//! Tickets: a site whose host WeChat does not know signs people in through one that it does.
//!
//! WeChat takes two callback hosts for an account. A site on another host sends the browser to the *sign-in site*, which
//! signs it in and sends it back with a ticket. A ticket is sealed, good for a minute and one use, and opens only for the
//! site and the state that it was made for; the state is in the browser's own pending-login cookie.

use std::time::Duration;

use http::Uri;

use super::{
    PREFIX,
    gate::Gate,
    request::{Twice, encode, parameters},
    start::{ACCOUNT, SEALED_TARGET},
    state::State,
};
use crate::{
    clock::Timestamp,
    origin::Origin,
    session::{KeyRing, OneUse, Purpose, Session, SessionId},
    wechat::Scope,
};

/// How long the way from one site to the other may take.
const LIFE: Duration = Duration::from_secs(60);
/// A way to the sign-in site holds the target sealed, and must still be a target there.
pub(super) const LONGEST_TARGET: usize = 1200;
/// The parameter that names the site which asks for a ticket.
const FOR: &str = "for";

/// The site through which another one signs people in.
#[derive(Clone, Debug)]
pub(crate) struct SignInSite {
    pub(crate) url: Origin,
    /// The account's name, unless both sites have it as their own.
    pub(crate) account: Option<Box<str>>,
    /// Whether it has a way in for browsers that are not WeChat's.
    pub(crate) any_browser: bool,
}

/// A site's request for a ticket.
#[derive(Debug)]
pub(crate) struct Request {
    site: Origin,
    state: State,
    sealed_target: Option<String>,
    account: Option<String>,
}

impl Request {
    /// The address at the sign-in site where `site` asks for a ticket.
    pub(super) fn url(
        at: &SignInSite,
        site: &Origin,
        scope: Scope,
        state: &State,
        sealed_target: Option<&str>,
    ) -> String {
        let scope = if scope.has_userinfo() { "userinfo" } else { "base" };
        let mut url = format!(
            "{}{PREFIX}/login?scope={scope}&{FOR}={}&state={}",
            at.url,
            encode(site.as_str()),
            state.as_str()
        );
        if let Some(account) = &at.account {
            url.extend(["&", ACCOUNT, "=", account]);
        }
        if let Some(sealed) = sealed_target {
            url.extend(["&", SEALED_TARGET, "=", sealed]);
        }
        url
    }

    /// The request that an address at the sign-in site makes, if it makes one. `Err` where it makes one that is not
    /// answered: for a site that is none of `partners`, without a state, or with anything twice.
    pub(crate) fn of(uri: &Uri, partners: &[Origin]) -> Result<Option<Self>, Unlisted> {
        let names = [FOR, "state", SEALED_TARGET, ACCOUNT];
        let values = parameters(uri.query().unwrap_or_default(), names);
        let [site, state, sealed_target, account] = values.map_err(|Twice| Unlisted)?;
        let Some(site) = site else { return Ok(None) };
        let site = partners.iter().find(|partner| partner.as_str() == site).ok_or(Unlisted)?;
        let state = state.as_deref().and_then(State::parse).ok_or(Unlisted)?;
        if !sealed_target.iter().chain(&account).all(|value| is_base64(value)) {
            return Err(Unlisted);
        }
        Ok(Some(Self { site: site.clone(), state, sealed_target, account }))
    }

    /// The address that brings `session` to the site that has asked.
    pub(super) fn grant(&self, gate: &Gate, session: &Session) -> String {
        let ticket = seal(gate.keys(), &self.site, &self.state, session.id(), gate.now() + LIFE);
        let mut url =
            format!("{}{PREFIX}/accept?ticket={ticket}&state={}", self.site, self.state.as_str());
        for (name, value) in [(ACCOUNT, &self.account), (SEALED_TARGET, &self.sealed_target)] {
            if let Some(value) = value {
                url.extend(["&", name, "=", value]);
            }
        }
        url
    }
}

/// A request for a ticket that nobody may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unlisted;

/// The session that a ticket brings, and the use that it is good for. None for whatever is not a ticket of ours for this
/// site and state, or is too old.
pub(crate) fn open(
    gate: &Gate,
    state: &State,
    ticket: &str,
) -> Option<(SessionId, OneUse, Duration)> {
    let site = gate.public_url();
    let plain = gate.keys().open(Purpose::Ticket, &context(site, state), ticket).ok()?;
    let (id, ends_at) = plain.split_first_chunk::<16>()?;
    let ends_at = Timestamp::from_unix(u64::from_be_bytes(*ends_at.first_chunk()?));
    let id = SessionId::from_u128(u128::from_be_bytes(*id));
    // The one who has made it may have another clock, so its use is remembered for longer than it is good.
    (gate.now() < ends_at).then(|| (id, OneUse::sealed("ticket", ticket), 2 * LIFE))
}

pub(crate) fn seal(
    keys: &KeyRing,
    site: &Origin,
    state: &State,
    session: SessionId,
    ends_at: Timestamp,
) -> String {
    let plain = [&session.as_u128().to_be_bytes()[..], &ends_at.unix().to_be_bytes()].concat();
    keys.seal(Purpose::Ticket, &context(site, state), &plain)
}

fn context(site: &Origin, state: &State) -> String {
    format!("{site} {}", state.as_str())
}

/// What may stand in an address as it is.
fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c05_only_a_listed_site_gets_a_ticket() {
        let partners = [Origin::parse("https://shop.example.com").unwrap()];
        let state = State::random();
        let of = |site: &str, state: &str| {
            let uri = format!("/_wx/login?for={}&state={state}", encode(site));
            Request::of(&uri.parse().unwrap(), &partners).map(|request| request.is_some())
        };
        assert_eq!(of("https://shop.example.com", state.as_str()), Ok(true));
        for other in [
            "https://evil.example",
            "https://evil-shop.example.com",
            "https://shop.example.com.evil.example",
            "https://shop.example.com:99",
            "https://shop.example.com/x",
            "https://shop.example.com@evil.example",
            "http://shop.example.com",
            "https://SHOP.example.com",
            "",
        ] {
            assert_eq!(of(other, state.as_str()), Err(Unlisted), "{other}");
        }
        assert_eq!(of("https://shop.example.com", "short"), Err(Unlisted));
        let good = "https://shop.example.com";
        let state = state.as_str();
        assert_eq!(of(good, &format!("{state}&account=b&t=a-_")), Ok(true));
        for twice in
            ["&state=a", "&for=a", "&account=b&account=b", "&t=a&t=b", "&account=b%26", "&t=%20"]
        {
            assert_eq!(of(good, &format!("{state}{twice}")), Err(Unlisted), "{twice}");
        }
        assert!(Request::of(&"/_wx/login?to=/".parse().unwrap(), &partners).unwrap().is_none());
    }

    #[test]
    fn c40_a_ticket_opens_for_its_own_site_and_state_only() {
        let keys = KeyRing::random();
        let site = Origin::parse("https://shop.example.com").unwrap();
        let other = Origin::parse("https://blog.example.com").unwrap();
        let (state, id) = (State::random(), SessionId::new());
        let ticket = seal(&keys, &site, &state, id, Timestamp::from_unix(60));
        let opens = |site: &Origin, state: &State| {
            keys.open(Purpose::Ticket, &context(site, state), &ticket).is_ok()
        };
        assert!(opens(&site, &state));
        assert!(!opens(&other, &state) && !opens(&site, &State::random()));
        assert!(keys.open(Purpose::LongTarget, &context(&site, &state), &ticket).is_err());
    }
}
