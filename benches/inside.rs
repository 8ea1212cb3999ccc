//! What the steps of a request take: `cargo bench --features full,bench --bench inside`.

mod world;

use std::{
    hint::black_box,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Router, routing::get};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Empty;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service};
use wxgate::{
    Login, Origin,
    bench::{self, PendingLogin},
    login::{
        Demand, Outside,
        decision::{self, Asker, Decision, Facts, Known, Site},
    },
    session::{Lookup, MemoryStore, SessionId, Store},
    wechat::{Client, Endpoints},
};

use world::{SITE, at_once};

criterion_group!(benches, decide, cookies, lookup, headers, pass, callback);
criterion_main!(benches);

/// The one decision, for somebody who is signed in and for somebody who is not.
fn decide(criterion: &mut Criterion) {
    let public_url = Origin::parse(SITE).unwrap();
    let headers = world::headers(SessionId::new());
    let facts = |session| Facts {
        endpoint: None,
        method: &Method::GET,
        headers: &headers,
        host: Some("h5.example.com"),
        session,
        is_admitted: true,
        follows: None,
        asker: Asker::Visitor,
        site: Site {
            public_url: &public_url,
            any_browser: None,
            is_wecom: false,
            outside: Outside::Help,
            cors_origins: &[],
        },
    };
    let demand = Demand::from(Login::Base);
    for (name, session) in [("decide/pass", Some(Known::Openid)), ("decide/authorize", None)] {
        let facts = facts(session);
        let decision = decision::decide(&facts, &demand);
        assert_eq!(decision == Decision::Pass, session.is_some(), "{decision:?}");
        criterion.bench_function(name, |b| {
            b.iter(|| decision::decide(black_box(&facts), black_box(&demand)));
        });
    }
}

/// Reading the session's cookie, and sealing and opening that of a sign-in under way.
fn cookies(criterion: &mut Criterion) {
    let headers = world::headers(SessionId::new());
    assert!(bench::session_cookie(&headers).is_some());
    criterion.bench_function("cookie/read session", |b| {
        b.iter(|| bench::session_cookie(black_box(&headers)));
    });
    let layer = world::login(MemoryStore::new());
    let pending = PendingLogin::begin(layer.gate().clone(), "/orders?id=1");
    assert!(pending.open());
    criterion.bench_function("cookie/seal", |b| b.iter(|| pending.seal()));
    criterion.bench_function("cookie/open", |b| b.iter(|| pending.open()));
}

/// A session among a thousand.
fn lookup(criterion: &mut Criterion) {
    let store = MemoryStore::new();
    let sign_in = |number| world::sign_in(&store, number, world::Known::Whole).id();
    let ids: Vec<SessionId> = (0..1000).map(sign_in).collect();
    let mut next = ids.iter().cycle();
    criterion.bench_function("session/look-up", |b| {
        b.iter(|| {
            let Lookup::Hit(session) = store.peek(*next.next().unwrap()) else { panic!() };
            session
        });
    });
    let unknown = SessionId::new();
    criterion.bench_function("session/look-up of an unknown one", |b| {
        b.iter(|| matches!(store.peek(black_box(unknown)), Lookup::Absent));
    });
}

/// What a request loses and gains on the way to the upstream.
fn headers(criterion: &mut Criterion) {
    let user = world::user();
    let request_id = HeaderValue::from_static("0b0e4c8e-6f6c-4f5e-9b0d-3f1f1b0e4c8e");
    let headers = world::headers(SessionId::new());
    criterion.bench_function("headers/strip and identify", |b| {
        let head = world::request(&headers).into_parts().0;
        let mut text = Vec::new();
        b.iter(|| {
            text.clear();
            bench::strip_and_identify(&mut text, black_box(&head), &request_id, &user);
            text.len()
        });
    });
}

/// The whole layer, for somebody who is signed in, and the app without it.
fn pass(criterion: &mut Criterion) {
    let mut bare = world::app();
    let (mut service, headers) = world::signed_in();
    criterion.bench_function("pass/app alone", |b| {
        b.iter_batched(
            || world::request(&headers),
            |request| at_once(bare.call(request)).unwrap(),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("pass/app behind the login", |b| {
        b.iter_batched(
            || world::request(&headers),
            |request| at_once(service.call(request)).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

/// The way back from WeChat, until the session's cookie is there: one exchange with a stand-in on this machine.
fn callback(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let wechat = stand_in();
    let client = Client::new(Endpoints::all_at(&format!("http://{wechat}")).unwrap());
    let service = world::login(MemoryStore::new()).client(client).layer(world::app());
    let send = |runtime: &Runtime, path: &str, headers: &HeaderMap| {
        let mut request = Request::get(path).body(Empty::new()).unwrap();
        *request.headers_mut() = headers.clone();
        runtime.block_on(service.clone().call(request)).unwrap()
    };
    // It is nobody's session, so the request starts a sign-in.
    let headers = world::headers(SessionId::new());
    let codes = AtomicU64::new(0);
    let set_out = || {
        let answer = send(&runtime, "/orders?id=1", &headers);
        let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
        let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
        let cookie = cookies.rfind(|cookie| cookie.contains("-login-")).unwrap();
        let place = answer.headers()[header::LOCATION].to_str().unwrap();
        let state = place.split("state=").nth(1).unwrap().split(['&', '#']).next().unwrap();
        let code = codes.fetch_add(1, Ordering::Relaxed);
        let mut back = headers.clone();
        back.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        (format!("/_wx/callback?code=code{code}&state={state}"), back)
    };
    criterion.bench_function("callback", |b| {
        b.iter_batched(
            set_out,
            |(path, headers)| {
                let answer = send(&runtime, &path, &headers);
                let cookies = answer.headers().get_all(header::SET_COOKIE).iter();
                let is_session =
                    |cookie: &&HeaderValue| cookie.as_bytes().starts_with(b"__Host-wxgate=");
                assert_eq!(cookies.filter(is_session).count(), 1, "{answer:?}");
            },
            BatchSize::SmallInput,
        );
    });
}

/// WeChat, as far as a silent sign-in needs it, in a thread of its own.
fn stand_in() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let exchange = get(|| async {
        r#"{"access_token":"a","expires_in":7200,"refresh_token":"r","openid":"o6_alice","scope":"snsapi_base"}"#
    });
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = Router::new().route("/sns/oauth2/access_token", exchange);
            axum::serve(listener, router).await.unwrap();
        });
    });
    addr
}
