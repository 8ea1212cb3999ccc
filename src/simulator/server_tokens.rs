//! The access tokens of accounts themselves, which are not those of people, and the tickets that they buy.

use std::collections::HashMap;

use super::errors::ApiError;
use super::ids;

/// How long a token and a ticket live, in seconds.
pub(super) const LIFE: u64 = 7200;
/// How long an old token and a new one are good at the same time.
const OVERLAP: u64 = 5 * 60;
/// Forcing a new token again is no more than a look at the one that there is.
const FORCE_PAUSE: u64 = 30;
const FORCES_A_DAY: u32 = 20;
const DAY: u64 = 24 * 60 * 60;
/// Quotas start again at midnight in Beijing.
const BEIJING: u64 = 8 * 60 * 60;

/// The tokens and tickets of all accounts. All times are seconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct ServerTokens {
    issued: HashMap<String, Issued>,
    /// By appid.
    held: HashMap<String, Held>,
}

#[derive(Debug)]
struct Issued {
    appid: String,
    expires: u64,
    /// From when on it is refused although it has not expired.
    dead: u64,
}

/// What an account has at the moment.
#[derive(Debug, Default)]
struct Held {
    classic: Chain,
    stable: Chain,
    /// When a new stable token was last forced.
    forced: Option<u64>,
    /// The day, and how often on that day.
    forces: (u64, u32),
    /// The ticket, and when it ends.
    ticket: Option<(String, u64)>,
}

/// The latest token, and the one before it.
#[derive(Debug, Default)]
struct Chain {
    latest: Option<String>,
    before: Option<String>,
}

impl ServerTokens {
    /// `/cgi-bin/token`: a new token each time. The one before it is good for five more minutes, others no more.
    pub(super) fn classic(&mut self, appid: &str, now: u64) -> String {
        let token = self.issue(appid, now);
        let chain = &mut self.held.entry(appid.to_owned()).or_default().classic;
        let before = chain.latest.replace(token.clone());
        let older = std::mem::replace(&mut chain.before, before);
        let before = chain.before.clone();
        self.end(older.as_deref(), now);
        self.end(before.as_deref(), now + OVERLAP);
        token
    }

    /// `/cgi-bin/stable_token`: a token, and how many seconds it has left.
    pub(super) fn stable(
        &mut self,
        appid: &str,
        force: bool,
        now: u64,
    ) -> Result<(String, u64), ApiError> {
        let held = self.held.entry(appid.to_owned()).or_default();
        let force = force && held.forced.is_none_or(|at| at + FORCE_PAUSE <= now);
        if force {
            let today = (now + BEIJING) / DAY;
            if held.forces.0 != today {
                held.forces = (today, 0);
            }
            if held.forces.1 >= FORCES_A_DAY {
                return Err(ApiError::DailyQuota);
            }
            held.forces.1 += 1;
            held.forced = Some(now);
        } else if let Some(token) = &held.stable.latest {
            let left = self.issued.get(token).map_or(0, |it| it.expires.saturating_sub(now));
            if left > OVERLAP {
                return Ok((token.clone(), left));
            }
        }
        let token = self.issue(appid, now);
        let chain = &mut self.held.entry(appid.to_owned()).or_default().stable;
        let before = chain.latest.replace(token.clone());
        let older = std::mem::replace(&mut chain.before, before);
        if force {
            let before = chain.before.clone();
            self.end(older.as_deref(), now);
            self.end(before.as_deref(), now);
        }
        Ok((token, LIFE))
    }

    /// A corp's token, which is the same as long as it is good, and how many seconds it has left.
    pub(super) fn corp(&mut self, corpid: &str, now: u64) -> (String, u64) {
        let latest = self.held.entry(corpid.to_owned()).or_default().stable.latest.clone();
        if let Some(token) = latest
            && self.owner(&token, now).is_ok()
        {
            let left = self.issued.get(&token).map_or(0, |it| it.expires - now);
            return (token, left);
        }
        let token = self.issue(corpid, now);
        self.held.entry(corpid.to_owned()).or_default().stable.latest = Some(token.clone());
        (token, LIFE)
    }

    /// The appid of a token, if that is alive.
    pub(super) fn owner(&self, token: &str, now: u64) -> Result<&str, ApiError> {
        let issued = self.issued.get(token).ok_or(ApiError::InvalidServerToken)?;
        if issued.dead <= now {
            Err(ApiError::InvalidServerToken)
        } else if issued.expires <= now {
            Err(ApiError::AccessTokenExpired)
        } else {
            Ok(&issued.appid)
        }
    }

    /// The token is good no more, although nobody asked for another.
    pub(super) fn kill(&mut self, token: &str, now: u64) {
        self.end(Some(token), now);
    }

    /// The `jsapi_ticket`, and how many seconds it has left.
    pub(super) fn ticket(&mut self, appid: &str, now: u64) -> (String, u64) {
        let held = self.held.entry(appid.to_owned()).or_default();
        match &held.ticket {
            Some((ticket, ends)) if now < *ends => (ticket.clone(), ends - now),
            _ => {
                let ticket = ids::ticket();
                held.ticket = Some((ticket.clone(), now + LIFE));
                (ticket, LIFE)
            }
        }
    }

    fn issue(&mut self, appid: &str, now: u64) -> String {
        let token = ids::token();
        let issued = Issued { appid: appid.to_owned(), expires: now + LIFE, dead: u64::MAX };
        self.issued.insert(token.clone(), issued);
        token
    }

    fn end(&mut self, token: Option<&str>, at: u64) {
        if let Some(issued) = token.and_then(|token| self.issued.get_mut(token)) {
            issued.dead = issued.dead.min(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;
    const APPID: &str = "wx0123456789abcdef";

    #[test]
    fn of_classic_tokens_the_last_is_good_and_the_one_before_for_five_minutes() {
        let mut tokens = ServerTokens::default();
        let first = tokens.classic(APPID, NOW);
        assert_eq!(tokens.owner(&first, NOW + LIFE - 1), Ok(APPID));
        assert_eq!(tokens.owner(&first, NOW + LIFE), Err(ApiError::AccessTokenExpired));

        let second = tokens.classic(APPID, NOW);
        assert_eq!(tokens.owner(&first, NOW + 299), Ok(APPID));
        assert_eq!(tokens.owner(&first, NOW + 300), Err(ApiError::InvalidServerToken));
        let third = tokens.classic(APPID, NOW + 10);
        assert_eq!(tokens.owner(&first, NOW + 10), Err(ApiError::InvalidServerToken));
        assert_eq!(tokens.owner(&second, NOW + 309), Ok(APPID));
        assert_eq!(tokens.owner(&third, NOW + 600), Ok(APPID));
    }

    #[test]
    fn a_stable_token_stays_until_its_last_five_minutes() {
        let mut tokens = ServerTokens::default();
        let (first, _) = tokens.stable(APPID, false, NOW).expect("a token");
        let again = tokens.stable(APPID, false, NOW + 6899);
        assert_eq!(again, Ok((first.clone(), 301)));
        let (second, left) = tokens.stable(APPID, false, NOW + 6900).expect("a token");
        assert_ne!(second, first);
        assert_eq!(left, LIFE);
        assert_eq!(tokens.owner(&first, NOW + 7199), Ok(APPID));
        assert_eq!(tokens.owner(&first, NOW + 7200), Err(ApiError::AccessTokenExpired));
        assert_eq!(tokens.owner(&second, NOW + 7200), Ok(APPID));
    }

    #[test]
    fn forcing_kills_the_old_at_once_with_a_pause_and_twenty_times_a_day() {
        let mut tokens = ServerTokens::default();
        let (first, _) = tokens.stable(APPID, false, NOW).expect("a token");
        let (second, _) = tokens.stable(APPID, true, NOW).expect("forced");
        assert_ne!(second, first);
        assert_eq!(tokens.owner(&first, NOW), Err(ApiError::InvalidServerToken));
        let too_soon = tokens.stable(APPID, true, NOW + 29);
        assert_eq!(too_soon, Ok((second, LIFE - 29)));

        let midnight = (NOW + BEIJING).next_multiple_of(DAY) - BEIJING;
        for count in 0..20 {
            assert!(tokens.stable(APPID, true, midnight + 30 * count).is_ok(), "{count}");
        }
        let one_more = tokens.stable(APPID, true, midnight + 30 * 20);
        assert_eq!(one_more, Err(ApiError::DailyQuota));
        assert!(tokens.stable(APPID, false, midnight + 30 * 20).is_ok());
        assert!(tokens.stable(APPID, true, midnight + DAY).is_ok());
    }

    #[test]
    fn the_two_ways_to_a_token_know_nothing_of_each_other() {
        let mut tokens = ServerTokens::default();
        let (stable, _) = tokens.stable(APPID, false, NOW).expect("a token");
        for _ in 0..3 {
            tokens.classic(APPID, NOW);
        }
        let classic = tokens.classic(APPID, NOW);
        assert_eq!(tokens.owner(&stable, NOW), Ok(APPID));
        tokens.stable(APPID, true, NOW).expect("forced");
        assert_eq!(tokens.owner(&stable, NOW), Err(ApiError::InvalidServerToken));
        assert_eq!(tokens.owner(&classic, NOW), Ok(APPID));
    }

    #[test]
    fn a_ticket_is_the_same_until_it_ends() {
        let mut tokens = ServerTokens::default();
        let (first, left) = tokens.ticket(APPID, NOW);
        assert_eq!((first.len(), left), (86, LIFE));
        assert_eq!(tokens.ticket(APPID, NOW + 7199), (first.clone(), 1));
        assert_ne!(tokens.ticket(APPID, NOW + 7200).0, first);
    }
}
