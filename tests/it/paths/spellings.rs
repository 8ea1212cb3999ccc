//! Ways to write a path: every byte at the places where it may matter, and many odd things put together at random.

use fastrand::Rng;

/// Files of the site that all servers serve, open ones and closed ones.
pub const FILES: [&str; 9] = [
    "index.html",
    "secret.html",
    "private/index.html",
    "private/a.html",
    "private/deep/b.html",
    "public/index.html",
    "public/a.html",
    "public/closed/index.html",
    "public/closed/a.html",
];

/// Whether strangers may see a file: what is below `public`, but for what is below `public/closed`.
pub fn is_open(file: &str) -> bool {
    file.starts_with("public/") && !file.starts_with("public/closed/")
}

/// Segments that some server reads in a way of its own.
const ODD_SEGMENTS: [&str; 34] = [
    "",
    ".",
    "..",
    "...",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%2e.",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "%uff0e.",
    "%ef%bc%8e%ef%bc%8e",
    "..;",
    "..;x=1",
    ";",
    ";x",
    ".;",
    "%3b",
    "%2e%2e;x",
    "..%00",
    "..%20",
    ".. ",
    "..\\",
    "..%5c",
    "..%2f",
    "..%252f",
    "%2f",
    "%23",
    "%3f",
    "#",
    "?",
    "public",
    "private",
    "*",
];

/// What may stand between two segments.
const SEPARATORS: [&str; 14] =
    ["/", "/", "/", "/", "//", "///", "/./", "/%2e/", "\\", "%2f", "%5c", "/;/", "/x/../", "%252f"];

/// What may stand behind the path.
const ENDS: [&str; 20] = [
    "",
    "",
    "",
    "",
    "/",
    "//",
    "/.",
    "/..",
    ".",
    "%20",
    "%00",
    "%00.css",
    ";x",
    "::$DATA",
    "~",
    "%0a",
    "?",
    "?/public/a.html",
    "#/public/a.html",
    "/%2e%2e/a.html",
];

/// What may stand before it.
const STARTS: [&str; 12] = [
    "/",
    "/",
    "/",
    "/",
    "//",
    "/./",
    "/../",
    "/public/../",
    "/public/%2e%2e/",
    "/public/x/../../",
    "\\",
    "http://other.example/",
];

/// Each byte, as it is and percent-encoded, where a parser may cut, skip or decode.
pub fn of_every_byte() -> Vec<Vec<u8>> {
    let mut targets = Vec::new();
    for byte in 0..=u8::MAX {
        for written in [vec![byte], format!("%{byte:02x}").into_bytes()] {
            for (before, behind) in [
                ("/private", "/a.html"),
                ("/", "private/a.html"),
                ("/public/..", "/private/a.html"),
                ("/public", "/../private/a.html"),
                ("/public/", "closed/a.html"),
                ("/public/closed", "/a.html"),
            ] {
                targets.push([before.as_bytes(), &written, behind.as_bytes()].concat());
            }
        }
    }
    targets
}

/// A path that leads, for some reader, to one of the files.
pub fn at_random(random: &mut Rng) -> Vec<u8> {
    if random.u8(..) < 30 {
        return format!("/{}", pick(random, &FILES)).into_bytes();
    }
    let mut target = pick(random, &STARTS).as_bytes().to_vec();
    for (count, segment) in pick(random, &FILES).split('/').enumerate() {
        if count > 0 {
            target.extend_from_slice(pick(random, &SEPARATORS).as_bytes());
        }
        while random.u8(..) < 40 {
            target.extend_from_slice(pick(random, &ODD_SEGMENTS).as_bytes());
            target.extend_from_slice(pick(random, &SEPARATORS).as_bytes());
        }
        match random.u8(..10) {
            0 => target.extend(segment.bytes().flat_map(|byte| written_otherwise(random, byte))),
            1 => target.extend(segment.to_uppercase().bytes()),
            2 => target.extend([&segment[..1].to_uppercase(), &segment[1..]].concat().bytes()),
            _ => target.extend(segment.bytes()),
        }
    }
    target.extend_from_slice(pick(random, &ENDS).as_bytes());
    target
}

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    random.choice(from.iter().copied()).expect("there are some")
}

fn written_otherwise(random: &mut Rng, character: u8) -> Vec<u8> {
    match random.u8(..7) {
        0 => format!("%{character:02x}").into_bytes(),
        1 => format!("%{character:02X}").into_bytes(),
        2 => format!("%25{character:02x}").into_bytes(),
        3 => format!("%u00{character:02x}").into_bytes(),
        4 => format!("%{:02x}%{:02x}", 0xc0 | character >> 6, 0x80 | character & 0x3f).into_bytes(),
        5 => vec![character.to_ascii_uppercase()],
        _ => vec![character],
    }
}

#[test]
fn the_spellings_are_many_and_hold_the_plain_ones() {
    let mut random = Rng::with_seed(1);
    let some: std::collections::HashSet<_> = (0..3_000).map(|_| at_random(&mut random)).collect();
    assert!(some.len() > 2_000, "{}", some.len());
    assert!(some.contains(&b"/private/a.html"[..]) && some.contains(&b"/public/a.html"[..]));
    assert!(some.iter().any(|target| target.starts_with(b"/public/../private")));
}
