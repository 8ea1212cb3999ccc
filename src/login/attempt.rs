//! A sign-in that was sent to WeChat: sealed into a short-lived cookie of the browser, and nowhere else.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::{
    return_to::ReturnTo,
    state::{SUFFIX, State},
};
use crate::{
    clock::Timestamp,
    origin::Origin,
    session::{KeyRing, Purpose, cookie::Cookies},
    wechat::{AppId, ErrCode, Scope},
};

/// How long a person may linger on the consent page.
pub(crate) const LIFE: Duration = Duration::from_secs(10 * 60);
/// How many sign-ins one browser may have under way; the oldest make room.
const MOST: usize = 5;
/// Sign-ins to the same target within this count as one row of attempts.
const ROW: Duration = Duration::from_secs(60);
/// So many sign-ins in a row start by themselves; after that a page says what is wrong.
const MOST_IN_A_ROW: u8 = 2;
/// Takes the place of the eight characters in the cookie of a code to scan, which is never taken for a pending sign-in.
pub(crate) const SCAN: &str = "scan";
/// What a cookie's name and value may take together.
const LARGEST_COOKIE: usize = 300;

/// How far a sign-in has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The browser was sent to WeChat.
    Sent,
    /// It came back and was signed in.
    Done,
    /// It came back, and the exchange failed.
    Failed(Option<ErrCode>),
}

/// Where the browser goes afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// The target itself.
    Short(ReturnTo),
    /// The digest of a target that is too long for a cookie; it travels sealed in the way back.
    Long([u8; 8]),
}

/// One sign-in under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) state: State,
    pub(crate) scope: Scope,
    pub(crate) started_at: Timestamp,
    pub(crate) progress: Progress,
    appid: AppId,
    row_began_at: Timestamp,
    count: u8,
    target: Target,
}

impl Attempt {
    /// The same sign-in, further on.
    pub(crate) fn at(&self, progress: Progress) -> Self {
        Self { progress, ..self.clone() }
    }

    /// Whether the next failure is explained instead of tried again.
    pub(crate) fn is_last_of_its_row(&self) -> bool {
        self.count >= MOST_IN_A_ROW
    }
}

/// The sign-ins of one site, as its cookies hold them, for one account of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts<'a> {
    pub(crate) cookies: Cookies<'a>,
    pub(crate) keys: &'a KeyRing,
    pub(crate) site: &'a Origin,
    pub(crate) appid: &'a AppId,
    pub(crate) now: Timestamp,
}

/// What a new sign-in needs.
pub(crate) struct Begun {
    pub(crate) attempt: Attempt,
    /// The cookie of this one, and the end of old ones.
    pub(crate) cookies: Vec<HeaderValue>,
    /// What the way back carries beside WeChat's own parameters.
    pub(crate) sealed_target: Option<String>,
}

/// Why a sign-in starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    /// A page needs it.
    ByItself,
    /// A person has pressed a button: that is no loop.
    ByHand,
    /// This one came to nothing.
    After(&'a Attempt),
}

/// Too many sign-ins in a row to the same target.
pub(crate) struct Loop {
    /// How the last one ended.
    pub(crate) last: Progress,
}

impl Attempts<'_> {
    /// Begins a sign-in, unless that has just been tried too often.
    pub(crate) fn begin(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        target: &ReturnTo,
        start: Start<'_>,
    ) -> Result<Begun, Loop> {
        let state = State::random();
        let short = self.longest_short_target();
        let long = target.as_str().len() > short;
        let sealed_target = long.then(|| {
            self.keys.seal(Purpose::LongTarget, state.as_str(), target.as_str().as_bytes())
        });
        let target =
            if long { Target::Long(digest(target)) } else { Target::Short(target.clone()) };

        let (known, mut cookies) = self.make_room(headers);
        let in_row = |old: &&Attempt| {
            old.target == target
                && (old.scope, &old.appid) == (scope, self.appid)
                && self.now.since(old.row_began_at) < ROW
        };
        let before = match start {
            Start::ByHand => None,
            Start::ByItself => {
                known.iter().filter(in_row).max_by_key(|old| (old.count, old.started_at))
            }
            // However long its consent took.
            Start::After(failed) => Some(failed),
        };
        let count = before.map_or(1, |old| old.count.saturating_add(1));
        if let Some(old) = before.filter(|_| count > MOST_IN_A_ROW) {
            return Err(Loop { last: old.progress });
        }
        let row_began_at = before.filter(in_row).map_or(self.now, |old| old.row_began_at);
        let progress = Progress::Sent;
        let started_at = self.now;
        let appid = self.appid.clone();
        let attempt =
            Attempt { state, scope, started_at, progress, appid, row_began_at, count, target };
        cookies.push(self.keep(&attempt));
        Ok(Begun { attempt, cookies, sealed_target })
    }

    /// The sign-in that came back with `state`, if this browser has started it and it has not expired.
    pub(crate) fn find(&self, headers: &HeaderMap, state: &State) -> Option<Attempt> {
        let mut same = self.cookies.logins(headers).filter(|(suffix, _)| *suffix == state.suffix());
        let (suffix, value) = same.next()?;
        let attempt = self.open(suffix, value)?;
        let is_it = attempt.state == *state && attempt.appid == *self.appid;
        (same.next().is_none() && is_it).then_some(attempt)
    }

    /// Where a sign-in leads. `sealed` is what the way back carried.
    pub(crate) fn target(&self, attempt: &Attempt, sealed: Option<&str>) -> Option<ReturnTo> {
        match &attempt.target {
            Target::Short(target) => Some(target.clone()),
            Target::Long(known) => {
                let target =
                    self.keys.open(Purpose::LongTarget, attempt.state.as_str(), sealed?).ok()?;
                let target = ReturnTo::parse(std::str::from_utf8(&target).ok()?, self.site);
                (digest(&target) == *known).then_some(target)
            }
        }
    }

    /// The cookie of a sign-in.
    pub(crate) fn keep(&self, attempt: &Attempt) -> HeaderValue {
        let name = self.name(attempt.state.suffix());
        let sealed = self.keys.seal(
            Purpose::PendingLogin,
            &self.context(attempt.state.suffix()),
            &encode(attempt),
        );
        let left = LIFE.saturating_sub(self.now.since(attempt.started_at));
        self.cookies.set(&name, &sealed, left)
    }

    /// The cookie that makes a browser forget a sign-in.
    pub(crate) fn forget(&self, attempt: &Attempt) -> HeaderValue {
        self.cookies.expire(&self.name(attempt.state.suffix()))
    }

    /// The cookies that make a browser forget all of its sign-ins, and codes to scan.
    pub(crate) fn forget_all(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        let is_ours = |suffix: &str| is_suffix(suffix) || is_scan(suffix);
        let ours = self.cookies.logins(headers).filter(|(suffix, _)| is_ours(suffix));
        ours.take(MOST + 1).map(|(suffix, _)| self.cookies.expire(&self.name(suffix))).collect()
    }

    /// The sign-ins under way, less those that have to go, and the cookies that end these.
    fn make_room(&self, headers: &HeaderMap) -> (Vec<Attempt>, Vec<HeaderValue>) {
        let mut known = Vec::new();
        let mut ended = Vec::new();
        for (suffix, value) in self.cookies.logins(headers).filter(|(suffix, _)| is_suffix(suffix))
        {
            match self.open(suffix, value) {
                Some(attempt) => known.push(attempt),
                // A flood of foreign cookies is not worth a flood of answers.
                None if ended.len() < MOST => ended.push(self.cookies.expire(&self.name(suffix))),
                None => {}
            }
        }
        known.sort_by_key(|attempt| std::cmp::Reverse((attempt.started_at, attempt.count)));
        // A browser that began many at once has more than a front proxy would let an answer name: the rest goes next time.
        let oldest = known.iter().skip(MOST - 1).take(MOST).map(|attempt| self.forget(attempt));
        ended.extend(oldest);
        (known, ended)
    }

    fn open(&self, suffix: &str, value: &str) -> Option<Attempt> {
        let sealed = self.keys.open(Purpose::PendingLogin, &self.context(suffix), value).ok()?;
        let attempt = decode(&sealed)?;
        (self.now.since(attempt.started_at) < LIFE).then_some(attempt)
    }

    fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.cookies.login_prefix())
    }

    fn context(&self, suffix: &str) -> String {
        format!("{}:{suffix}", self.site)
    }

    /// What is left for the target in a cookie of the largest size.
    fn longest_short_target(&self) -> usize {
        let value = LARGEST_COOKIE - self.cookies.login_prefix().len() - SUFFIX - "=".len();
        value * 3 / 4 - KeyRing::OVERHEAD - HEAD
    }
}

fn is_suffix(text: &str) -> bool {
    text.len() == SUFFIX && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_scan(text: &str) -> bool {
    text.strip_prefix(SCAN).is_some_and(|account| {
        let appid = account.strip_prefix('-');
        account.is_empty() || appid.is_some_and(|appid| AppId::parse(appid).is_ok())
    })
}

fn digest(target: &ReturnTo) -> [u8; 8] {
    let digest = Sha256::digest(target.as_str());
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

/// State, appid, scope, two times, count, progress with its errcode, and the kind of the target.
const HEAD: usize = 32 + APPID + 1 + 8 + 8 + 1 + 1 + 8 + 1;
const APPID: usize = 18;

fn encode(attempt: &Attempt) -> Vec<u8> {
    let (progress, errcode) = match attempt.progress {
        Progress::Sent => (0, 0),
        Progress::Done => (1, 0),
        Progress::Failed(None) => (2, 0),
        Progress::Failed(Some(code)) if code.is_wecom() => (4, code.number()),
        Progress::Failed(Some(code)) => (3, code.number()),
    };
    let (kind, target): (u8, &[u8]) = match &attempt.target {
        Target::Short(target) => (0, target.as_str().as_bytes()),
        Target::Long(digest) => (1, digest),
    };
    let scope = match attempt.scope {
        Scope::Base => 0,
        Scope::Userinfo => 1,
        Scope::Login => 2,
    };
    [
        attempt.state.as_str().as_bytes(),
        attempt.appid.as_str().as_bytes(),
        &[scope],
        &attempt.started_at.unix().to_be_bytes(),
        &attempt.row_began_at.unix().to_be_bytes(),
        &[attempt.count, progress],
        &errcode.to_be_bytes(),
        &[kind],
        target,
    ]
    .concat()
}

fn decode(bytes: &[u8]) -> Option<Attempt> {
    let (state, rest) = bytes.split_first_chunk::<32>()?;
    let (appid, rest) = rest.split_first_chunk::<APPID>()?;
    let ([scope], rest) = rest.split_first_chunk::<1>()?;
    let (started_at, rest) = rest.split_first_chunk::<8>()?;
    let (row_began_at, rest) = rest.split_first_chunk::<8>()?;
    let ([count, progress], rest) = rest.split_first_chunk::<2>()?;
    let (errcode, rest) = rest.split_first_chunk::<8>()?;
    let ([kind], target) = rest.split_first_chunk::<1>()?;
    let time = |bytes: &[u8; 8]| Timestamp::from_unix(u64::from_be_bytes(*bytes));
    Some(Attempt {
        state: State::parse(std::str::from_utf8(state).ok()?)?,
        scope: match scope {
            0 => Scope::Base,
            1 => Scope::Userinfo,
            2 => Scope::Login,
            _ => return None,
        },
        appid: AppId::parse(std::str::from_utf8(appid).ok()?).ok()?,
        started_at: time(started_at),
        row_began_at: time(row_began_at),
        count: *count,
        progress: match progress {
            0 => Progress::Sent,
            1 => Progress::Done,
            2 => Progress::Failed(None),
            3 => Progress::Failed(Some(ErrCode::new(i64::from_be_bytes(*errcode)))),
            4 => Progress::Failed(Some(ErrCode::wecom(i64::from_be_bytes(*errcode)))),
            _ => return None,
        },
        target: match kind {
            // It was validated before it was sealed, and nobody else can seal.
            0 => Target::Short(ReturnTo::sealed(std::str::from_utf8(target).ok()?)),
            1 => Target::Long(target.try_into().ok()?),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        keys: KeyRing,
        appid: AppId,
        site: Origin,
        now: Timestamp,
        jar: Vec<(String, String)>,
    }

    impl World {
        fn new() -> Self {
            Self {
                keys: KeyRing::random(),
                appid: AppId::parse("wx0123456789abcdef").unwrap(),
                site: Origin::parse("https://h5.example.com").unwrap(),
                now: Timestamp::from_unix(1_700_000_000),
                jar: Vec::new(),
            }
        }

        fn attempts(&self) -> Attempts<'_> {
            let cookies = Cookies::new(true, "__Host-wxgate");
            let Self { keys, site, appid, now, .. } = self;
            Attempts { cookies, keys, site, appid, now: *now }
        }

        fn headers(&self) -> HeaderMap {
            let line: Vec<_> =
                self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut headers = HeaderMap::new();
            headers.insert("cookie", HeaderValue::from_bytes(line.join("; ").as_bytes()).unwrap());
            headers
        }

        fn store(&mut self, cookies: &[HeaderValue]) {
            for cookie in cookies {
                let cookie = cookie::Cookie::parse(cookie.to_str().unwrap().to_owned()).unwrap();
                self.jar.retain(|(name, _)| name != cookie.name());
                if cookie.max_age().unwrap().whole_seconds() > 0 {
                    self.jar.push((cookie.name().to_owned(), cookie.value().to_owned()));
                }
            }
        }

        fn begin(&mut self, target: &str) -> Result<Begun, Loop> {
            let target = ReturnTo::parse(target, &self.site);
            let begun =
                self.attempts().begin(&self.headers(), Scope::Base, &target, Start::ByItself)?;
            self.store(&begun.cookies);
            Ok(begun)
        }

        fn pass(&mut self, seconds: u64) {
            self.now = self.now + Duration::from_secs(seconds);
        }
    }

    #[test]
    fn a_sign_in_is_found_by_its_state_for_ten_minutes() {
        let mut world = World::new();
        let attempt = world.begin("/orders").ok().unwrap().attempt;
        let find = |world: &World, state: &State| world.attempts().find(&world.headers(), state);
        assert_eq!(find(&world, &attempt.state), Some(attempt.clone()));
        let text = attempt.state.as_str();
        let last = if text.ends_with('a') { "b" } else { "a" };
        let other = State::parse(&format!("{}{last}", &text[..31])).unwrap();
        assert_eq!(find(&world, &other), None);
        world.pass(599);
        assert_eq!(find(&world, &attempt.state), Some(attempt.clone()));
        world.pass(1);
        assert_eq!(find(&world, &attempt.state), None);
    }

    #[test]
    fn c09_a_changed_or_moved_cookie_is_no_sign_in() {
        let mut world = World::new();
        let attempt = world.begin("/orders").ok().unwrap().attempt;
        let found =
            |world: &World| world.attempts().find(&world.headers(), &attempt.state).is_some();
        assert!(found(&world));
        let (name, value) = world.jar[0].clone();
        for at in 0..value.len() {
            let mut changed = value.clone();
            let other = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            world.jar[0].1 = changed;
            assert!(!found(&world), "{at}");
        }
        world.jar[0] = (name.clone(), value.clone());
        assert!(found(&world));
        world.jar.push((name, value));
        assert!(!found(&world), "doubled");
        world.jar.pop();
        world.site = Origin::parse("https://other.example.com").unwrap();
        assert!(!found(&world), "another site");
        world.site = Origin::parse("https://h5.example.com").unwrap();
        world.appid = AppId::parse("wxfedcba9876543210").unwrap();
        assert!(!found(&world), "another account");
        let other = world.begin("/orders").ok().unwrap();
        assert_eq!(other.cookies.len(), 1, "the first account's sign-in goes on");
    }

    #[test]
    fn a_cookie_holds_at_most_300_bytes_and_a_longer_target_travels_sealed() {
        let mut world = World::new();
        for length in (1..2000).step_by(7) {
            world.pass(61);
            let wanted = format!("/{}", "a".repeat(length - 1));
            let begun = world.begin(&wanted).ok().unwrap();
            for (name, value) in &world.jar {
                assert!(name.len() + value.len() < 300, "{length}");
            }
            let sealed = begun.sealed_target.as_deref();
            let target = world.attempts().target(&begun.attempt, sealed).unwrap();
            assert_eq!(target.as_str(), wanted);
        }
    }

    #[test]
    fn c10_a_target_from_the_query_counts_only_when_we_have_sealed_it_for_this_sign_in() {
        let mut world = World::new();
        let long = format!("/{}", "a".repeat(500));
        let begun = world.begin(&long).ok().unwrap();
        let other = world.begin(&format!("{long}b")).ok().unwrap();
        let target = |world: &World, sealed| world.attempts().target(&begun.attempt, sealed);
        assert_eq!(target(&world, begun.sealed_target.as_deref()).unwrap().as_str(), long);
        assert_eq!(target(&world, None), None);
        assert_eq!(target(&world, Some("/evil")), None);
        assert_eq!(target(&world, other.sealed_target.as_deref()), None);
        let short = world.begin("/short").ok().unwrap();
        let target = world.attempts().target(&short.attempt, Some("/evil"));
        assert_eq!(target.unwrap().as_str(), "/short");
    }

    #[test]
    fn a_browser_holds_at_most_five_and_the_oldest_make_room() {
        let mut world = World::new();
        let mut begun = Vec::new();
        for n in 0..9 {
            begun.push(world.begin(&format!("/{n}")).ok().unwrap().attempt);
            world.pass(1);
            assert!(world.jar.len() <= 5);
        }
        for (n, attempt) in begun.iter().enumerate() {
            let found = world.attempts().find(&world.headers(), &attempt.state).is_some();
            assert_eq!(found, n >= 4, "{n}");
        }
    }

    #[test]
    fn c35_a_flood_of_sign_ins_in_one_request_is_answered_with_few_cookies() {
        for (ours, foreign) in [(0, 100), (60, 0), (20, 40), (5, 3000)] {
            let mut world = World::new();
            let begun: Vec<_> = (0..ours)
                .map(|n| {
                    let target = ReturnTo::parse(&format!("/{n}"), &world.site);
                    let (attempts, none) = (world.attempts(), HeaderMap::new());
                    let begun = attempts.begin(&none, Scope::Base, &target, Start::ByItself);
                    let begun = begun.ok().unwrap();
                    let cookie = begun.cookies[0].to_str().unwrap().split(';').next().unwrap();
                    let (name, value) = cookie.split_once('=').unwrap();
                    ((name.to_owned(), value.to_owned()), begun.attempt)
                })
                .collect();
            world.jar = begun.iter().map(|(cookie, _)| cookie.clone()).collect();
            let prefix = world.attempts().cookies.login_prefix();
            world.jar.extend((0..foreign).map(|n| (format!("{prefix}f{n:07}"), "x".to_owned())));
            // Each of them is found.
            for (_, attempt) in &begun {
                assert!(world.attempts().find(&world.headers(), &attempt.state).is_some());
            }
            assert!(world.attempts().forget_all(&world.headers()).len() <= MOST + 1);
            let mut rounds = 0;
            while world.jar.len() > MOST && rounds < 50 {
                let before = world.jar.len();
                let begun = world.begin("/again").ok();
                assert!(begun.is_none_or(|begun| begun.cookies.len() <= 2 * MOST + 1));
                world.pass(60);
                rounds += 1;
                assert!(world.jar.len() < before, "{before}");
            }
        }
    }

    #[test]
    fn the_third_in_a_row_to_the_same_target_is_a_loop() {
        let mut world = World::new();
        assert!(world.begin("/a").is_ok());
        assert!(world.begin("/a").is_ok());
        assert!(world.begin("/b").is_ok());
        let Err(Loop { last }) = world.begin("/a") else { panic!("no loop") };
        assert_eq!(last, Progress::Sent);
        let target = ReturnTo::parse("/a", &world.site);
        assert!(
            world.attempts().begin(&world.headers(), Scope::Base, &target, Start::ByHand).is_ok()
        );
        assert!(
            world
                .attempts()
                .begin(&world.headers(), Scope::Userinfo, &target, Start::ByItself)
                .is_ok()
        );
        world.pass(60);
        assert!(world.begin("/a").is_ok());
    }

    #[test]
    fn what_is_kept_reads_back() {
        let mut world = World::new();
        let mut attempt = world.begin("/a?b#c").ok().unwrap().attempt;
        for progress in [
            Progress::Sent,
            Progress::Done,
            Progress::Failed(None),
            Progress::Failed(Some(ErrCode::SYSTEM_BUSY)),
            Progress::Failed(Some(ErrCode::wecom(40029))),
        ] {
            attempt.progress = progress;
            assert_eq!(decode(&encode(&attempt)), Some(attempt.clone()));
        }
        for scope in [Scope::Base, Scope::Userinfo, Scope::Login] {
            attempt.scope = scope;
            assert_eq!(decode(&encode(&attempt)), Some(attempt.clone()));
        }
        for cut in 0..HEAD {
            assert_eq!(decode(&encode(&attempt)[..cut]), None);
        }
    }

    #[test]
    fn a_target_is_sealed_into_the_way_only_where_a_cookie_of_the_largest_size_has_no_room() {
        let mut world = World::new();
        let longest = world.attempts().longest_short_target();
        for (length, is_long) in [(longest, false), (longest + 1, true)] {
            world.jar.clear();
            let begun = world.begin(&format!("/{}", "a".repeat(length - 1))).ok().unwrap();
            assert_eq!(begun.sealed_target.is_some(), is_long);
            let (name, value) = &world.jar[0];
            assert!(name.len() + "=".len() + value.len() <= LARGEST_COOKIE);
        }
    }

    /// The names of the cookies that are ended.
    fn ended(cookies: &[HeaderValue]) -> Vec<String> {
        let name = |cookie: &HeaderValue| {
            let cookie = cookie::Cookie::parse(cookie.to_str().unwrap().to_owned()).unwrap();
            (cookie.value().is_empty()).then(|| cookie.name().to_owned())
        };
        cookies.iter().filter_map(name).collect()
    }

    #[test]
    fn c37_a_cookie_with_a_name_that_we_never_give_is_left_alone() {
        let prefix = "__Host-wxgate-login-";
        let ends = |suffix: &str| {
            let mut world = World::new();
            world.jar.push((format!("{prefix}{suffix}"), "x".to_owned()));
            let headers = world.headers();
            let begun = world.begin("/page").ok().unwrap();
            let name = format!("{prefix}{suffix}");
            (
                ended(&begun.cookies).contains(&name),
                ended(&world.attempts().forget_all(&headers)).contains(&name),
            )
        };
        assert_eq!(ends("abcdEF12"), (true, true));
        assert_eq!(ends("scan"), (false, true));
        assert_eq!(ends("scan-wx0123456789abcdef"), (false, true));
        for foreign in
            ["", "a", "abcdEF1", "abcdEF123", "abcd-F12", "abcdé12", "scan-", "scan-x", "scanning"]
        {
            let is_ours = foreign == "scanning"; // eight letters
            assert_eq!(ends(foreign), (is_ours, is_ours), "{foreign}");
        }
    }

    #[test]
    fn c35_a_flood_of_foreign_cookies_makes_five_answers() {
        let mut world = World::new();
        for n in 0..50 {
            world.jar.push((format!("__Host-wxgate-login-flood{n:03}"), "x".to_owned()));
        }
        let begun = world.attempts().begin(
            &world.headers(),
            Scope::Base,
            &ReturnTo::home(),
            Start::ByItself,
        );
        assert_eq!(ended(&begun.ok().unwrap().cookies).len(), MOST);
        assert_eq!(world.attempts().forget_all(&world.headers()).len(), MOST + 1);
    }
}
