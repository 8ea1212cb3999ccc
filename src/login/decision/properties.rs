//! Properties of the one decision: without a session nothing that a request says lets it in.

use http::{HeaderName, HeaderValue};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::*;

/// Words that mean something to somebody, as header names and as their values.
const NAMES: [&str; 24] = [
    "accept",
    "access-control-request-method",
    "authorization",
    "cookie",
    "host",
    "origin",
    "referer",
    "sec-fetch-mode",
    "sec-fetch-site",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-user",
    "x-http-method-override",
    "x-original-url",
    "x-requested-with",
    "x-rewrite-url",
    "x-wechat-openid",
    "x-wechat-session",
    "x-wechat-subject",
    "x-anything",
];
const VALUES: [&str; 16] = [
    "",
    "*/*",
    "text/html",
    "application/json",
    "navigate",
    "cors",
    "same-origin",
    "https://h5.example.com",
    "https://app.example.com",
    "https://servicewechat.com/wx0123456789abcdef/0/page-frame.html",
    "Mozilla/5.0 MicroMessenger/8.0.31",
    "wxwork/4.1.30 MicroMessenger/7.0.1",
    "GoogleHC/1.0",
    "kube-probe/1.29",
    "/open",
    "__Host-wxgate=0a1b2c3d-0000-4000-8000-0123456789ab",
];

type Line = (HeaderName, HeaderValue);

fn line() -> impl Strategy<Value = Line> {
    let name = prop_oneof![
        4 => select(&NAMES[..]).prop_map(HeaderName::from_static),
        1 => "[a-z][a-z0-9_-]{0,12}".prop_map(|name| name.parse().unwrap()),
    ];
    let value = prop_oneof![
        4 => select(&VALUES[..]).prop_map(HeaderValue::from_static),
        1 => vec((32_u8..).prop_filter("it is no header", |byte| *byte != 127), 0..20)
            .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ];
    (name, value)
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        4 => select(vec![Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT]),
        1 => "[A-Z]{1,8}".prop_map(|name| name.parse().unwrap()),
    ]
}

fn demand() -> impl Strategy<Value = Demand> {
    let logins = vec![Login::Off, Login::Optional, Login::Base, Login::Userinfo];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (select(logins), flags, option::of(select(&Outside::ALL[..]))).prop_map(
        |(login, (fragment, followers, members), outside)| {
            let demand = Demand::from(login).keep_fragment(fragment);
            let demand = if followers { demand.followers_only() } else { demand };
            let demand = if members { demand.only([], []) } else { demand };
            match outside {
                Some(outside) => demand.outside_wechat(outside),
                None => demand,
            }
        },
    )
}

/// A request without a session, and a site.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    lines: Vec<Line>,
    host: Option<String>,
    endpoint: Option<Endpoint>,
    follows: Option<bool>,
    asker: Asker,
    has_token: bool,
    any_browser: Option<Scope>,
    is_wecom: bool,
    outside: Outside,
}

fn asked() -> impl Strategy<Value = Asked> {
    use Endpoint::{Accept, Callback, Login, Logout, Me, Messages, Script, Unknown};
    let all = vec![Login, Callback, Logout, Me, Accept, Script, Messages, Unknown];
    let asker = select(vec![Asker::Visitor, Asker::FrontProxy]);
    let any_browser = option::of(select(vec![Scope::Base, Scope::Userinfo, Scope::Login]));
    let outside = select(&Outside::ALL[..]);
    let host = prop_oneof![Just("h5.example.com".to_owned()), "[a-z.:0-9]{0,12}"];
    let request =
        (method(), vec(line(), 0..12), option::of(host), option::weighted(0.2, select(all)));
    let rest = (any::<Option<bool>>(), asker, any::<bool>(), any_browser, any::<bool>(), outside);
    (request, rest).prop_map(|((method, lines, host, endpoint), rest)| {
        let (follows, asker, has_token, any_browser, is_wecom, outside) = rest;
        Asked {
            method,
            lines,
            host,
            endpoint,
            follows,
            asker,
            has_token,
            any_browser,
            is_wecom,
            outside,
        }
    })
}

impl Asked {
    fn decide(&self, demand: &Demand, lines: &[Line], session: Option<Known>) -> Decision {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.clone());
        }
        if self.has_token {
            headers.insert(token::HEADER, HeaderValue::from_static("token"));
        }
        let public_url = Origin::parse("https://h5.example.com").unwrap();
        let cors_origins = &[Origin::parse("https://app.example.com").unwrap()];
        let facts = Facts {
            endpoint: self.endpoint,
            method: &self.method,
            headers: &headers,
            host: self.host.as_deref(),
            session,
            // Nobody is kept out who is nobody.
            is_admitted: true,
            follows: self.follows,
            asker: self.asker,
            site: Site {
                public_url: &public_url,
                any_browser: self.any_browser,
                is_wecom: self.is_wecom,
                outside: self.outside,
                cors_origins,
            },
        };
        decide(&facts, demand)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c24_without_a_session_only_open_paths_pass(asked in asked(), demand in demand()) {
        let decision = asked.decide(&demand, &asked.lines, None);
        let is_open = demand.login() <= Login::Optional && asked.endpoint.is_none();
        prop_assert_eq!(decision == Decision::Pass, is_open, "{:?}", decision);
        prop_assert!(decision != Decision::LookWhoFollows, "nobody follows");
    }

    #[test]
    fn c24_no_header_more_or_less_or_twice_lets_a_request_in(
        asked in asked(),
        demand in demand(),
        more in vec(line(), 1..6),
        at in any::<Index>(),
    ) {
        let before = asked.decide(&demand, &asked.lines, None);
        let mut others = vec![[&more[..], &asked.lines].concat(), [&asked.lines[..], &more].concat(), vec![]];
        if !asked.lines.is_empty() {
            let at = at.index(asked.lines.len());
            let mut less = asked.lines.clone();
            let twice = less.remove(at);
            others.push(less);
            others.push([&asked.lines[..], &[twice]].concat());
        }
        for lines in others {
            let after = asked.decide(&demand, &lines, None);
            prop_assert_eq!(after == Decision::Pass, before == Decision::Pass, "{:?}", lines);
        }
        // Nor does the method, or who has asked.
        for asker in [Asker::Visitor, Asker::FrontProxy] {
            let other = Asked { asker, method: Method::OPTIONS, has_token: !asked.has_token, ..asked.clone() };
            let after = other.decide(&demand, &asked.lines, None);
            prop_assert_eq!(after == Decision::Pass, before == Decision::Pass, "{:?}", other);
        }
    }

    #[test]
    fn c24_with_a_session_no_header_keeps_anybody_out(asked in asked(), demand in demand()) {
        let decision = asked.decide(&demand, &asked.lines, Some(Known::Profile));
        if asked.endpoint.is_none() {
            let passes = !demand.is_for_followers() || asked.follows == Some(true);
            prop_assert_eq!(decision == Decision::Pass, passes, "{:?}", decision);
        } else {
            prop_assert!(decision != Decision::Pass, "an endpoint of ours has its own answer");
        }
    }
}
