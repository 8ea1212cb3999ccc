//! What is sealed: the code that a phone scans, the desktop's side of it, and where the desktop goes afterwards.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::browser::Browser;
use crate::{
    clock::Timestamp,
    login::{ClientAddr, Gate, ReturnTo, SCAN},
    session::{Purpose, cookie::Cookies},
    wechat::Scope,
};

/// How long a code can be scanned and confirmed.
pub(super) const LIFE: Duration = Duration::from_secs(3 * 60);
/// How long a desktop has to go on that was confirmed in the last moment.
const GRACE: Duration = Duration::from_secs(60);
/// A code that is shown again has to last for this long.
const WORTHWHILE: Duration = Duration::from_secs(60);

/// Names one sign-in by scanning. Only what is sealed holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanId([u8; 16]);

impl ScanId {
    pub(super) fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as text, for the names of records.
    pub(super) fn to_text(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// What a page may know of it, to tell one code from another.
    pub(super) fn tag(self) -> String {
        let digest = Sha256::new().chain_update(b"tag").chain_update(self.0).finalize();
        let short = digest.first_chunk().expect("SHA-256 has 32 bytes");
        format!("{:08x}", u32::from_be_bytes(*short))
    }
}

impl fmt::Debug for ScanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScanId([redacted])")
    }
}

/// One sign-in by scanning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) id: ScanId,
    pub(super) ends_at: Timestamp,
    /// Whether the profile is wanted.
    pub(super) userinfo: bool,
}

impl Scan {
    pub(super) fn new(now: Timestamp, scope: Scope) -> Self {
        Self { id: ScanId::random(), ends_at: now + LIFE, userinfo: scope.has_userinfo() }
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }

    /// Whether its code may be shown once more, in a window that wants no more than this.
    pub(super) fn serves(&self, now: Timestamp, scope: Scope) -> bool {
        now + WORTHWHILE <= self.ends_at && (self.userinfo || !scope.has_userinfo())
    }
}

/// What the phone is told: the scan, and which browser shows the code, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) scan: Scan,
    pub(super) browser: Browser,
    pub(super) addr: Option<ClientAddr>,
}

impl Code {
    pub(super) fn seal(&self, gate: &Gate) -> String {
        let (v4, v6);
        let addr: &[u8] = match self.addr.map(ClientAddr::ip) {
            None => &[],
            Some(IpAddr::V4(ip)) => {
                v4 = ip.octets();
                &v4
            }
            Some(IpAddr::V6(ip)) => {
                v6 = ip.octets();
                &v6
            }
        };
        let plain = [&encode(&self.scan)[..], &[self.browser.byte()], addr].concat();
        gate.keys().seal(Purpose::ScanCode, &context(gate), &plain)
    }

    pub(super) fn open(gate: &Gate, sealed: &str) -> Option<Self> {
        let plain = gate.keys().open(Purpose::ScanCode, &context(gate), sealed).ok()?;
        let (scan, rest) = decode(&plain)?;
        let (browser, addr) = rest.split_first()?;
        let addr = match addr.len() {
            0 => None,
            4 => Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(addr).ok()?))),
            _ => Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(addr).ok()?))),
        };
        Some(Self { scan, browser: Browser::from_byte(*browser), addr: addr.map(ClientAddr) })
    }
}

/// The cookie that makes a scan this browser's.
pub(super) fn keep(gate: &Gate, scan: &Scan) -> HeaderValue {
    let sealed = gate.keys().seal(Purpose::ScanCookie, &context(gate), &encode(scan));
    let life = (scan.ends_at + GRACE).since(gate.now());
    gate.cookies().set(&cookie_name(gate), &sealed, life)
}

/// The cookie that makes the browser forget it.
pub(super) fn forget(gate: &Gate) -> HeaderValue {
    gate.cookies().expire(&cookie_name(gate))
}

/// The scan that is this browser's, for as long as it can still be finished.
pub(super) fn kept(gate: &Gate, headers: &http::HeaderMap) -> Option<Scan> {
    let name = cookie_name(gate);
    let name = name.strip_prefix(gate.cookies().login_prefix())?;
    let mut found = Cookies::logins(gate.cookies(), headers).filter(|(suffix, _)| *suffix == name);
    let (_, sealed) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let plain = gate.keys().open(Purpose::ScanCookie, &context(gate), sealed).ok()?;
    let (scan, rest) = decode(&plain)?;
    (rest.is_empty() && gate.now() < scan.ends_at + GRACE).then_some(scan)
}

/// Where the desktop goes once it is signed in, and what it needs there, for addresses of our own.
pub(super) fn seal_way(gate: &Gate, target: &ReturnTo, scope: Scope) -> String {
    let plain = [&[u8::from(scope.has_userinfo())][..], target.as_str().as_bytes()].concat();
    gate.keys().seal(Purpose::ScanTarget, &context(gate), &plain)
}

/// What [`seal_way`] has sealed.
pub(super) fn open_way(gate: &Gate, sealed: &str) -> Option<(ReturnTo, Scope)> {
    let plain = gate.keys().open(Purpose::ScanTarget, &context(gate), sealed).ok()?;
    let (userinfo, target) = plain.split_first()?;
    let scope = if *userinfo == 1 { Scope::Userinfo } else { Scope::Base };
    // It was validated before it was sealed, and nobody else can seal.
    Some((ReturnTo::sealed(std::str::from_utf8(target).ok()?), scope))
}

/// The name of the cookie. Another account of a site has one of its own.
fn cookie_name(gate: &Gate) -> String {
    let prefix = gate.cookies().login_prefix();
    match gate.account_name() {
        None => format!("{prefix}{SCAN}"),
        Some(_) => format!("{prefix}{SCAN}-{}", gate.account().appid()),
    }
}

/// No site's codes are good for another site, and no account's for another account.
fn context(gate: &Gate) -> String {
    format!("{} {}", gate.public_url(), gate.account().appid())
}

/// A code has to stay short, so its end is a number of 32 bits: good until 2106.
fn encode(scan: &Scan) -> Vec<u8> {
    let ends_at = u32::try_from(scan.ends_at.unix()).unwrap_or(u32::MAX);
    [scan.id.as_bytes(), &ends_at.to_be_bytes(), &[u8::from(scan.userinfo)]].concat()
}

fn decode(bytes: &[u8]) -> Option<(Scan, &[u8])> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (ends_at, rest) = rest.split_first_chunk::<4>()?;
    let (userinfo, rest) = rest.split_first()?;
    let ends_at = Timestamp::from_unix(u32::from_be_bytes(*ends_at).into());
    Some((Scan { id: ScanId(*id), ends_at, userinfo: *userinfo == 1 }, rest))
}
