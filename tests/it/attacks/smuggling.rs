//! Requests that could be read in two ways: refused, or passed on in one way only.

use std::fmt::Write as _;

use futures_util::{StreamExt, stream};

use super::{
    Site,
    shapes::{self, HIDDEN, Passes, Shape},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// At a path that is open to all.
    Anybody,
    SignedIn,
    /// At a path that needs a sign-in.
    Nobody,
}

/// What is wrong with what has become of a shape.
async fn try_out(site: &Site, number: usize, who: Who, shape: &Shape) -> Result<u16, String> {
    // Everybody has places of their own, so that all can come at once.
    let place = format!("{number}-{who:?}");
    let path = if who == Who::Anybody { format!("/off/{place}") } else { format!("/page/{place}") };
    let (hidden, host) = (format!("/off/hidden-{place}"), site.addr.to_string());
    let cookie = if who == Who::SignedIn { &*site.cookie } else { "" };
    let fill = |text: &str| {
        text.replace("{path}", &path)
            .replace("/off/hidden", &hidden)
            .replace("{host}", &host)
            .replace("{cookie}", cookie)
    };
    let length = fill(HIDDEN).len();
    let bytes = fill(&shape.bytes).replace("{len}", &length.to_string());
    let bytes = bytes.replace("{len+5}", &(length + 5).to_string());
    let mut expected: Vec<(String, String)> = match &shape.passes {
        Passes::No => Vec::new(),
        Passes::As(requests) => requests.iter().map(|(at, body)| (fill(at), fill(body))).collect(),
    };
    if who == Who::Nobody {
        expected.retain(|(at, _)| *at == hidden);
    }
    let mut peer = site.connect().await;
    peer.say(&bytes).await;
    let sentinel = format!("/off/last-{place}");
    // Only where the end is in sight: else it would be taken for a part of what came before.
    if matches!(shape.passes, Passes::No) {
        tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.ok();
    } else {
        peer.say(format!("GET {sentinel} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .await;
    }
    let mut statuses = Vec::new();
    let mut answered = Vec::new();
    while let Some(told) = peer.answer().await {
        if told.status == 100 {
            continue;
        }
        statuses.push(told.status);
        if told.status == 200 {
            answered.push(told.body);
        }
    }
    let seen: Vec<_> =
        [path.clone(), hidden.clone()].iter().flat_map(|at| site.upstream.seen(at)).collect();
    let got: Vec<_> = seen
        .iter()
        .map(|seen| (seen.what.split(' ').nth(1).unwrap().to_owned(), seen.body.clone()))
        .collect();
    let mut why = String::new();
    // Where the gateway hangs up after the first, what comes after it is not seen: that is as safe.
    let is_start = expected.starts_with(&got)
        && (who == Who::Nobody || !got.is_empty() || expected.is_empty());
    if !is_start {
        write!(why, "the upstream has seen {got:?} instead of {expected:?}; ").unwrap();
    }
    let own = answered.iter().filter(|body| !body.contains(&sentinel)).count();
    if own != got.len() {
        write!(why, "{own} answers for {} requests: {statuses:?}; ", got.len()).unwrap();
    }
    for seen in &seen {
        for lie in ["spoofed", "x-a", "transfer_encoding", "expect", "trailer"] {
            if seen.head.to_ascii_lowercase().contains(lie) {
                write!(why, "{lie} in {:?}; ", seen.head).unwrap();
            }
        }
        if who == Who::SignedIn
            && seen.what.contains(&path)
            && seen.header("x-wechat-openid").is_none()
        {
            write!(why, "who it is was taken out: {:?}; ", seen.head).unwrap();
        }
    }
    let first = statuses.first().copied().unwrap_or(0);
    if matches!(shape.passes, Passes::No) && who != Who::Nobody && !matches!(first, 0 | 400..=599) {
        write!(why, "it was answered {statuses:?}").unwrap();
    }
    if why.is_empty() { Ok(first) } else { Err(why) }
}

#[tokio::test]
#[allow(clippy::print_stdout)] // For who asks to see the table.
async fn c11_c13_c25_no_request_is_smuggled_past_the_gateway() {
    let site = Site::start().await;
    let shapes = shapes::all();
    let all = shapes.iter().enumerate().flat_map(|(number, shape)| {
        [Who::Anybody, Who::SignedIn, Who::Nobody].map(|who| (number, shape, who))
    });
    let count = 3 * shapes.len();
    let site_ref = &site;
    let tried = all.map(|(number, shape, who)| async move {
        let outcome = try_out(site_ref, number, who, shape).await;
        (format!("{:45} {:9}", shape.name, format!("{who:?}")), outcome)
    });
    let mut wrong = String::new();
    let mut tried = stream::iter(tried).buffered(40);
    while let Some((line, outcome)) = tried.next().await {
        match outcome {
            Ok(status) => println!("{line} -> {status}"),
            Err(why) => writeln!(wrong, "{line}: {why}").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "of {count}:\n{wrong}");
    assert_eq!(site.upstream.odd(), [""; 0]);
    site.neighbour_is_served().await;
}
