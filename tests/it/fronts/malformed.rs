//! Every malformed way to ask, in every dialect.

use super::{
    Fronts,
    metadata::is_success,
    question::{Question, VERDICTS, WAYS, Way, assert_good},
};
use crate::world::APPID;

/// No value of any line.
const ODD: [&[u8]; 17] = [
    b"",
    b" ",
    b",",
    b"\xff\xfe",
    b"\xe4\xbd\xa0",
    b"\x00",
    b"a\x00b",
    b"a\tb",
    b"a b",
    b"\"",
    b"{}",
    b"[",
    b"://",
    b"?",
    b"\\",
    b"/\\",
    b"(GET)",
];
/// No value of a line that is not a method: methods may be nearly any word.
const NO_ADDRESS: [&[u8]; 5] = [b"%", b"#", b"*", b"null", &[b'a'; 10_000]];
const NO_URL: [&str; 16] = [
    "/page",
    "//h5.localhost/page",
    "h5.localhost/page",
    "ftp://h5.localhost/page",
    "javascript://h5.localhost/page",
    "http:/page",
    "http:///page",
    "http://user@h5.localhost/page",
    "http://user:secret@h5.localhost/page",
    "http://h5.localhost@evil.example/page",
    "http://h5.localhost\\@evil.example/page",
    "http://h5.localhost:99999/page",
    "http://h5.localhost:x/page",
    "http://[::1/page",
    "http://h5.localhost/page http://h5.localhost/static/x",
    "http://evil.example/static/x",
];
const NO_FORWARDED: [(&str, &[&str]); 4] = [
    ("x-forwarded-proto", &["ftp", "https,http", "http://", "HTTP"]),
    ("x-forwarded-method", &["G ET", "GET,POST", "GET/1.1"]),
    ("x-forwarded-uri", &["page", "http://h5.localhost/page", "?a", "/a b", "/a\u{7f}"]),
    ("x-forwarded-host", &NO_HOST),
];
const NO_HOST: [&str; 8] = [
    "a@h5.localhost",
    "h5.localhost/",
    "h5.localhost, evil.example",
    "h5.localhost#",
    "evil.example",
    "[::1",
    "h5.localhost:1:2",
    "h5 localhost",
];
/// c18, c22, c23: paths that the front proxy or the app could read in another way.
const NO_PATH: [&str; 16] = [
    "//static/x",
    "/static//x",
    "/static/../page",
    "/static/./x",
    "/static/%2e%2e/page",
    "/static/..%2fpage",
    "/static/..%5Cpage",
    "/static/..;/page",
    "/static/;/x",
    "/static/%00",
    "/static/%0d%0a",
    "/static/%23",
    "/static/%3f",
    "/static/%",
    "/static/%zz",
    "/static\\x",
];

/// All that can be wrong with a good question.
fn broken(good: &Question, fronts: &Fronts, session: &str) -> Vec<Question> {
    let (good, way) = (|| good.clone(), good.way);
    let mut bad = Vec::new();
    for (name, value) in good().metadata() {
        bad.push(good().without(&name));
        bad.push(good().saying(&name, &[&value[..], b", ", &value].concat()));
        let mut doubled = good();
        doubled.lines.push((name.clone(), value));
        bad.push(doubled);
        let more = NO_ADDRESS.iter().filter(|_| !name.ends_with("-method"));
        bad.extend(ODD.iter().chain(more).map(|odd| good().saying(&name, odd)));
    }
    bad.extend(
        NO_PATH
            .iter()
            .map(|path| Question::about(way, fronts, "GET", path).with("cookie", session)),
    );
    // A list of addresses that somebody whom we trust has passed on, and that nobody can read.
    bad.push(good().with("x-forwarded-for", "unknown"));
    let say = |name: &str, value: &&str| good().saying(name, value.as_bytes());
    match way {
        Way::Auth | Way::Refusal => {
            bad.extend(NO_URL.iter().map(|url| say("x-original-url", url)));
        }
        Way::AuthForwarded | Way::Forward => {
            for (name, values) in NO_FORWARDED {
                bad.extend(values.iter().map(|value| say(name, value)));
            }
        }
        Way::ExtAuthz => {
            bad.extend(NO_HOST.iter().map(|host| say("host", host)));
            bad.push(good().with("host", &format!("h5.localhost:{}", fronts.port)));
            bad.push(good().without("host"));
            let targets = ["/_wx/ext-authz", "/_wx/ext-authz?a=/static/x", "/_wx/ext-authzx/page"];
            let at = |target: &str| Question { target: target.to_owned(), ..good() };
            bad.extend(targets.map(at));
        }
    }
    if way != Way::ExtAuthz {
        let fragment = Question::about(way, fronts, "GET", "/static#/../page");
        bad.push(fragment.with("cookie", session));
    }
    bad
}

#[tokio::test]
async fn c16_c17_whoever_asks_in_a_malformed_way_hears_no() {
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    let openid = fronts.openid("alice", APPID);
    for way in WAYS {
        let good = Question::about(way, &fronts, "GET", "/page?a=//b").with("cookie", &session);
        assert_good(way, &good.ask(&fronts).await, &openid);
        for question in broken(&good, &fronts, &session) {
            let answer = question.ask(&fronts).await;
            assert!((400..500).contains(&answer.status), "{question:?} {answer:?}");
            assert_eq!(answer.header("x-wechat-openid"), None, "{question:?}");
            assert_eq!(answer.header("set-cookie"), None, "{question:?}");
        }
        // Nothing of this has done any harm.
        assert_good(way, &good.ask(&fronts).await, &openid);
        let proxied = good.with("x-forwarded-for", "unknown, 192.0.2.7");
        assert_good(way, &proxied.ask(&fronts).await, &openid);
    }
}

/// Some of the value, with noise in it.
fn noisy(value: &[u8], planted: &str, random: &mut fastrand::Rng) -> Vec<u8> {
    const NOISE: [&[u8]; 16] = [
        b"%", b"%2f", b"..", b"/", b"\\", b"#", b"?", b";", b"@", b":", b",", b" ", b"\t", b"\xff",
        b"\x01", b"[",
    ];
    let mut value = value.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=value.len());
        match random.u8(0..4) {
            0 => value.truncate(at),
            1 => drop(value.splice(at..at, planted.bytes())),
            2 => drop(value.splice(at..at, [random.u8(0x21..)])),
            _ => drop(value.splice(at..at, random.choice(NOISE).unwrap().iter().copied())),
        }
    }
    value
}

#[tokio::test]
async fn c17_c20_no_noise_in_the_metadata_is_a_yes_or_comes_back_in_a_refusal() {
    const PLANTED: &str = "planted-7c1e";
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    let openid = fronts.openid("alice", APPID);
    let mut random = fastrand::Rng::with_seed(17);
    for way in VERDICTS {
        let good = Question::about(way, &fronts, "GET", "/page");
        assert_good(way, &good.clone().with("cookie", &session).ask(&fronts).await, &openid);
        for _ in 0..250 {
            let mut question =
                good.clone().with("accept", "*/*").with("x-forwarded-for", "192.0.2.7");
            for _ in 0..random.usize(1..3) {
                let at = random.usize(..question.lines.len());
                let line = &mut question.lines[at].1;
                *line = noisy(line, PLANTED, &mut random);
            }
            if way == Way::ExtAuthz && random.bool() {
                let target = noisy(b"page", PLANTED, &mut random);
                let text: String =
                    target.iter().filter(|b| b.is_ascii_graphic()).map(|b| *b as char).collect();
                question.target = format!("/_wx/ext-authz/{text}");
            }
            let answer = question.ask(&fronts).await;
            assert!(!is_success(&answer), "{question:?} {answer:?}");
            assert_eq!(answer.header("x-wechat-openid"), None, "{question:?}");
            let is_refused = answer.status >= 400;
            for (name, value) in answer.lines.iter().filter(|_| is_refused) {
                assert!(!value.contains(PLANTED), "{question:?} {name}: {value}");
            }
        }
    }
}
