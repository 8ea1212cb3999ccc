//! What has been granted: codes, the tokens they became, and remembered consents.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::errors::ApiError;
use super::ids;
use super::world::{Account, User};

const CODE_LIFE: u64 = 5 * 60;
/// How long an access token lives, in seconds.
pub(super) const TOKEN_LIFE: u64 = 7200;
const REFRESH_LIFE: u64 = 30 * DAY;
const CONSENT_LIFE: u64 = 30 * DAY;
const DAY: u64 = 24 * 60 * 60;

/// Everything that the platform remembers about who allowed what. All times are seconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Grants {
    codes: HashMap<String, Code>,
    /// By refresh token.
    given: HashMap<String, Grant>,
    access_tokens: HashMap<String, AccessToken>,
    /// When (appid, user) last said yes to `snsapi_userinfo`.
    consents: HashMap<(String, String), u64>,
    /// The latest visits of (appid, user) to the authorize page.
    visits: HashMap<(String, String), VecDeque<u64>>,
}

#[derive(Debug)]
struct Code {
    appid: String,
    user: String,
    scope: String,
    expires: u64,
    used: bool,
}

/// One sign-in, as its tokens know it.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) appid: String,
    /// The person, by the name in the world.
    pub(super) user: String,
    pub(super) openid: String,
    pub(super) unionid: Option<String>,
    pub(super) scope: String,
    /// The profile is a virtual one.
    pub(super) snapshot: bool,
    pub(super) access_token: Arc<str>,
    pub(super) refresh_token: Arc<str>,
    refresh_expires: u64,
    /// A later grant took the refresh token's place.
    superseded: bool,
}

#[derive(Debug)]
struct AccessToken {
    refresh_token: Arc<str>,
    expires: u64,
}

/// What an exchange is told to do besides exchanging.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Special {
    pub(super) snapshot: bool,
    pub(super) no_unionid: bool,
    pub(super) keep_earlier_refresh: bool,
}

impl Grants {
    /// A fresh code of this person for this account.
    pub(super) fn issue_code(&mut self, appid: &str, user: &str, scope: &str, now: u64) -> String {
        let code = ids::code();
        let issued = Code {
            appid: appid.to_owned(),
            user: user.to_owned(),
            scope: scope.to_owned(),
            expires: now + CODE_LIFE,
            used: false,
        };
        self.codes.insert(code.clone(), issued);
        code
    }

    /// Uses up a code: the name of its person and its scope.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        appid: &str,
        now: u64,
    ) -> Result<(String, String), ApiError> {
        let found = self.codes.get_mut(code).filter(|it| it.appid == appid);
        let issued = found.ok_or(ApiError::InvalidCode)?;
        if issued.used {
            return Err(ApiError::CodeUsed);
        }
        if issued.expires <= now {
            // 42003 is documented; 40029 is what people see.
            return Err(ApiError::InvalidCode);
        }
        issued.used = true;
        Ok((issued.user.clone(), issued.scope.clone()))
    }

    /// Makes the tokens of a redeemed code.
    pub(super) fn open(
        &mut self,
        account: &Account,
        user: &User,
        scope: &str,
        special: Special,
        now: u64,
    ) -> Grant {
        let for_profile = is_for_profile(scope);
        if !for_profile && !special.keep_earlier_refresh {
            self.supersede(&account.appid, &user.name);
        }
        let (openid, unionid) = if special.snapshot {
            (user.virtual_openid(&account.appid), user.virtual_unionid())
        } else {
            (user.openid(&account.appid), user.unionid())
        };
        let grant = Grant {
            appid: account.appid.clone(),
            user: user.name.clone(),
            openid,
            unionid: unionid
                .filter(|_| for_profile && account.open_platform && !special.no_unionid),
            scope: scope.to_owned(),
            snapshot: special.snapshot,
            access_token: ids::token().into(),
            refresh_token: ids::token().into(),
            refresh_expires: now + REFRESH_LIFE,
            superseded: false,
        };
        self.extend_access(&grant, now);
        self.given.insert(grant.refresh_token.to_string(), grant.clone());
        grant
    }

    /// Refreshes: early, the same access token lives longer; late, there is a new one.
    pub(super) fn refresh(
        &mut self,
        refresh_token: &str,
        appid: &str,
        now: u64,
    ) -> Result<Grant, ApiError> {
        let found = self.given.get_mut(refresh_token);
        let grant = found
            .filter(|grant| grant.appid == appid && !grant.superseded)
            .ok_or(ApiError::InvalidRefreshToken)?;
        if grant.refresh_expires <= now {
            return Err(ApiError::RefreshTokenExpired);
        }
        let current = self.access_tokens.get(&*grant.access_token);
        if current.is_none_or(|token| token.expires <= now) {
            grant.access_token = ids::token().into();
        }
        let grant = grant.clone();
        self.extend_access(&grant, now);
        Ok(grant)
    }

    /// The grant behind an access token, if it is alive and belongs to `openid`.
    pub(super) fn of_access_token(
        &self,
        access_token: &str,
        openid: &str,
        now: u64,
    ) -> Result<&Grant, ApiError> {
        let Some(token) = self.access_tokens.get(access_token) else {
            return Err(if ids::is_token(access_token) {
                ApiError::InvalidCredential
            } else {
                ApiError::InvalidAccessToken
            });
        };
        if token.expires <= now {
            return Err(ApiError::AccessTokenExpired);
        }
        self.given
            .get(&*token.refresh_token)
            .filter(|grant| grant.openid == openid)
            .ok_or(ApiError::InvalidOpenid)
    }

    /// The person tapped Allow.
    pub(super) fn remember_consent(&mut self, appid: &str, user: &str, now: u64) {
        self.consents.insert(pair(appid, user), now);
    }

    /// Whether the person tapped Allow in the last 30 days.
    pub(super) fn remembers_consent(&self, appid: &str, user: &str, now: u64) -> bool {
        self.consents.get(&pair(appid, user)).is_some_and(|at| now < at + CONSENT_LIFE)
    }

    /// Counts a visit to the authorize page. False: there were `limit` in the last minute already.
    pub(super) fn visit(&mut self, appid: &str, user: &str, limit: u32, now: u64) -> bool {
        let visits = self.visits.entry(pair(appid, user)).or_default();
        while visits.front().is_some_and(|at| at + 60 <= now) {
            visits.pop_front();
        }
        let allowed = visits.len() < limit as usize;
        if allowed {
            visits.push_back(now);
        }
        allowed
    }

    fn extend_access(&mut self, grant: &Grant, now: u64) {
        let token =
            AccessToken { refresh_token: grant.refresh_token.clone(), expires: now + TOKEN_LIFE };
        self.access_tokens.insert(grant.access_token.to_string(), token);
    }

    fn supersede(&mut self, appid: &str, user: &str) {
        for grant in self.given.values_mut() {
            grant.superseded |= grant.appid == appid && grant.user == user;
        }
    }
}

/// Whether `scope` lets the profile be read.
pub(super) fn is_for_profile(scope: &str) -> bool {
    has_scope(scope, "snsapi_userinfo") || has_scope(scope, "snsapi_login")
}

/// Whether `scope`, several separated by commas, contains `wanted`.
pub(super) fn has_scope(scope: &str, wanted: &str) -> bool {
    scope.split(',').any(|one| one == wanted)
}

fn pair(appid: &str, user: &str) -> (String, String) {
    (appid.to_owned(), user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;

    const NOW: u64 = 1_700_000_000;
    const APPID: &str = "wx0123456789abcdef";

    fn signed_in(grants: &mut Grants, scope: &str) -> Grant {
        let world = World::builtin();
        let code = grants.issue_code(APPID, "alice", scope, NOW);
        let (user, scope) = grants.redeem(&code, APPID, NOW).expect("a fresh code");
        let account = world.account(APPID).expect("the account");
        let user = world.user(&user).expect("alice");
        grants.open(account, user, &scope, Special::default(), NOW)
    }

    #[test]
    fn a_code_is_good_once_for_five_minutes_and_for_its_own_account() {
        let mut grants = Grants::default();
        let code = grants.issue_code(APPID, "alice", "snsapi_base", NOW);
        let elsewhere = grants.redeem(&code, "wxfedcba9876543210", NOW);
        assert_eq!(elsewhere, Err(ApiError::InvalidCode));
        assert!(grants.redeem(&code, APPID, NOW + 299).is_ok());
        assert_eq!(grants.redeem(&code, APPID, NOW + 299), Err(ApiError::CodeUsed));

        let late = grants.issue_code(APPID, "alice", "snsapi_base", NOW);
        assert_eq!(grants.redeem(&late, APPID, NOW + 300), Err(ApiError::InvalidCode));
    }

    #[test]
    fn an_early_refresh_keeps_the_token_and_a_late_one_changes_it() {
        let mut grants = Grants::default();
        let first = signed_in(&mut grants, "snsapi_userinfo");
        let early = grants.refresh(&first.refresh_token, APPID, NOW + 7199).expect("early");
        assert_eq!(early.access_token, first.access_token);
        let later = NOW + 7199 + 7199;
        assert!(grants.of_access_token(&first.access_token, &first.openid, later).is_ok());

        let late = grants.refresh(&first.refresh_token, APPID, later + 1).expect("late");
        assert_ne!(late.access_token, first.access_token);
        assert_eq!(late.refresh_token, first.refresh_token);
        let old = grants.of_access_token(&first.access_token, &first.openid, later + 1);
        assert_eq!(old.err(), Some(ApiError::AccessTokenExpired));
    }

    #[test]
    fn a_refresh_token_dies_30_days_after_the_authorization() {
        let mut grants = Grants::default();
        let grant = signed_in(&mut grants, "snsapi_userinfo");
        assert!(grants.refresh(&grant.refresh_token, APPID, NOW + 30 * DAY - 1).is_ok());
        let late = grants.refresh(&grant.refresh_token, APPID, NOW + 30 * DAY);
        assert_eq!(late.err(), Some(ApiError::RefreshTokenExpired));
    }

    #[test]
    fn a_later_base_grant_voids_the_earlier_refresh_token() {
        let mut grants = Grants::default();
        let profile = signed_in(&mut grants, "snsapi_userinfo");
        assert!(grants.refresh(&profile.refresh_token, APPID, NOW).is_ok());
        let base = signed_in(&mut grants, "snsapi_base");
        let refreshed = grants.refresh(&profile.refresh_token, APPID, NOW);
        assert_eq!(refreshed.err(), Some(ApiError::InvalidRefreshToken));
        assert!(grants.refresh(&base.refresh_token, APPID, NOW).is_ok());
    }

    #[test]
    fn a_consent_is_remembered_for_30_days() {
        let mut grants = Grants::default();
        grants.remember_consent(APPID, "bob", NOW);
        assert!(grants.remembers_consent(APPID, "bob", NOW + 30 * DAY - 1));
        assert!(!grants.remembers_consent(APPID, "bob", NOW + 30 * DAY));
        assert!(!grants.remembers_consent(APPID, "alice", NOW));
    }
}
