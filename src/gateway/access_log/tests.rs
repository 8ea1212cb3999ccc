//! Tests of the access log: what stands in a line, what never does, and when it is written.

use std::{collections::VecDeque, convert::Infallible, pin::pin};

use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Timestamp,
    gateway::{metrics::Metrics, telemetry::testing::logged},
    session::{AccountSlot, NewSession, Session, Subject, UserChange, UserKey, UserSlot},
    wechat::{AppId, OpenId, Scope},
};

const OPENID: &str = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M";

fn user(openid: &str) -> WechatUser {
    let key = UserKey {
        appid: AppId::parse("wx0123456789abcdef").unwrap(),
        openid: OpenId::parse(openid).unwrap(),
    };
    let user = Arc::new(UserSlot::new(key, Arc::new(AccountSlot::new(1)), UserChange::default()));
    let now = Timestamp::from_unix(1_700_000_000);
    let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
    WechatUser::new(Arc::new(Session::begin(new)), Subject::Account)
}

fn head(method: &str, target: &str) -> Parts {
    let request = Request::builder().method(method).uri(target);
    let request = request.header("authorization", "planted-header").body(()).unwrap();
    request.into_parts().0
}

fn begin(log: &AccessLog, method: &str, target: &str) -> Access {
    let id = HeaderValue::from_static("id-1");
    let mut access = log.begin(&head(method, target), &id, "203.0.113.9".parse().unwrap());
    access.at(&"h5".into(), &"/api".into());
    access
}

/// Reads a body as hyper does: not again once it says that it is at its end.
async fn read<B: Body<Data = Bytes>>(body: B) {
    let mut body = pin!(body);
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
}

/// What `work` logs.
fn lines(work: impl Future<Output = ()>) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    logged("info", || runtime.block_on(work))
}

fn line(work: impl Future<Output = ()>) -> Value {
    let mut lines = lines(work);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// A body of so many pieces, whose length nobody knows before.
struct Pieces(VecDeque<Result<Frame<Bytes>, &'static str>>);

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = Result<&'static str, &'static str>>) -> Self {
        let frame = |piece: &'static str| Frame::data(Bytes::from_static(piece.as_bytes()));
        Self(pieces.into_iter().map(|piece| piece.map(frame)).collect())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn answer<B>(status: u16, body: B) -> Response<B> {
    Response::builder().status(status).body(body).unwrap()
}

#[test]
fn a_line_has_every_field_and_nothing_secret() {
    let log = AccessLog::new(false);
    let line = line(async {
        let mut access = begin(&log, "GET", "/api/a%20b?code=planted-query&x=1");
        access.by(Some(&user(OPENID)));
        access.upstream_took(Duration::from_micros(1500));
        let answer = access.follow(answer(200, Full::from("hello")), Outcome::Passed);
        read(answer.into_body()).await;
    });
    for (name, value) in [
        ("level", json!("INFO")),
        ("target", json!("wxgate::access")),
        ("message", json!("request")),
        ("request_id", json!("id-1")),
        ("client", json!("203.0.113.9")),
        ("method", json!("GET")),
        ("site", json!("h5")),
        ("route", json!("/api")),
        ("path", json!("/api/a%20b")),
        ("status", json!(200)),
        ("bytes", json!(5)),
        ("upstream_ms", json!(1.5)),
        ("outcome", json!("passed")),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert!(line["duration_ms"].as_f64().unwrap() >= 0.0);
    assert!(line.get("aborted").is_none(), "{line}");
    let user = line["user"].as_str().unwrap();
    assert!(user.len() == 16 && user.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
    for secret in ["planted", OPENID, "wx0123456789abcdef"] {
        assert!(!line.to_string().contains(secret), "{line}");
    }
}

#[test]
fn a_user_has_one_hash_in_a_run_and_another_one_in_the_next() {
    let (log, next) = (AccessLog::new(false), AccessLog::new(false));
    let name = |log: &AccessLog, openid: &str| {
        let line = line(async {
            let mut access = begin(log, "GET", "/");
            access.by(Some(&user(openid)));
            read(access.follow(answer(200, Empty::new()), Outcome::Passed).into_body()).await;
        });
        line["user"].as_str().unwrap().to_owned()
    };
    assert_eq!(name(&log, OPENID), name(&log, OPENID));
    assert_ne!(name(&log, OPENID), name(&log, "o6_other"));
    assert_ne!(name(&log, OPENID), name(&next, OPENID));
    assert_eq!(name(&AccessLog::new(true), OPENID), format!("wx0123456789abcdef:{OPENID}"));
}

#[test]
fn what_is_not_known_is_left_out() {
    let log = AccessLog::new(false);
    let line = line(async {
        let id = HeaderValue::from_static("id-1");
        let access = log.begin(&head("GET", "/"), &id, "::1".parse().unwrap());
        read(access.follow(answer(400, Full::from("no")), Outcome::Refused).into_body()).await;
    });
    for name in ["site", "route", "user", "upstream_ms", "aborted"] {
        assert!(line.get(name).is_none(), "{name}: {line}");
    }
    assert_eq!((&line["client"], &line["outcome"]), (&json!("::1"), &json!("refused")));
}

#[test]
fn a_line_is_written_when_the_body_has_ended_and_not_before() {
    let log = AccessLog::new(false);
    let metrics = Metrics::new();
    let in_flight = || metrics.text().contains("wxgate_requests_in_flight 1\n");
    let lines = lines(async {
        let mut access = begin(&log, "GET", "/");
        access.hold(metrics.in_flight());
        let body = Pieces::new([Ok("one"), Ok("three")]);
        let mut body = access.follow(answer(200, body), Outcome::Passed).into_body();
        for _ in 0..2 {
            body.frame().await.unwrap().unwrap();
        }
        assert!(in_flight());
        tracing::info!("the test's own line");
        assert!(body.frame().await.is_none());
    });
    let [before, line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(before["message"], "the test's own line");
    assert_eq!((&line["message"], &line["bytes"]), (&json!("request"), &json!(8)));
    assert!(!in_flight());
}

#[test]
fn an_answer_that_breaks_off_is_aborted() {
    let log = AccessLog::new(false);
    let cut = |body: Pieces, reads: usize| {
        let log = &log;
        line(async move {
            let mut body =
                begin(log, "GET", "/").follow(answer(200, body), Outcome::Passed).into_body();
            for _ in 0..reads {
                body.frame().await;
            }
        })
    };
    let gone = cut(Pieces::new([Ok("one"), Ok("two"), Ok("six")]), 2);
    assert_eq!(
        (&gone["aborted"], &gone["bytes"], &gone["status"]),
        (&json!(true), &json!(6), &json!(200))
    );
    let broken = cut(Pieces::new([Ok("one"), Err("cut")]), 2);
    assert_eq!((&broken["aborted"], &broken["bytes"]), (&json!(true), &json!(3)));
    let whole = cut(Pieces::new([Ok("one"), Ok("two")]), 3);
    assert_eq!((whole.get("aborted"), &whole["bytes"]), (None, &json!(6)));
}

#[test]
fn a_body_that_nobody_has_to_read_to_its_end_is_whole() {
    let log = AccessLog::new(false);
    let one_frame = line(async {
        let access = begin(&log, "GET", "/");
        let mut body = access.follow(answer(200, Full::from("hello")), Outcome::Own).into_body();
        body.frame().await;
    });
    assert_eq!((one_frame.get("aborted"), &one_frame["bytes"]), (None, &json!(5)));
    let trailers = line(async {
        let mut body = Pieces::new([Ok("one")]);
        body.0.push_back(Ok(Frame::trailers(http::HeaderMap::new())));
        let mut body = begin(&log, "GET", "/").follow(answer(200, body), Outcome::Own).into_body();
        for _ in 0..2 {
            body.frame().await;
        }
    });
    assert!(trailers.get("aborted").is_none(), "{trailers}");
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 101)] {
        let unread = line(async {
            let body = Pieces::new([Ok("never sent")]);
            drop(begin(&log, method, "/").follow(answer(status, body), Outcome::Passed));
        });
        assert!(unread.get("aborted").is_none(), "{method} {status} {unread}");
        assert_eq!(unread["bytes"], 0, "{method} {status}");
    }
    let unread = line(async {
        let body = Full::<Bytes>::from("hello");
        drop(begin(&log, "GET", "/").follow(answer(200, body), Outcome::Passed));
    });
    assert_eq!(unread["aborted"], true);
}

#[test]
fn a_client_that_goes_before_the_answer_leaves_a_line() {
    let log = AccessLog::new(false);
    let line = line(async { drop(begin(&log, "POST", "/slow")) });
    assert_eq!((&line["status"], &line["aborted"]), (&json!(499), &json!(true)));
    assert!(line.get("outcome").is_none(), "{line}");
}

#[test]
fn a_path_without_end_is_cut() {
    let log = AccessLog::new(false);
    let of = |length: usize| {
        let target = format!("/{}", "a".repeat(length));
        let line = line(async { drop(begin(&log, "GET", &target)) });
        line["path"].as_str().unwrap().len()
    };
    assert_eq!(of(100), 101);
    assert_eq!(of(60_000), LONGEST_PATH);
    assert_eq!(clip("/é"), "/é");
}

#[test]
fn a_log_that_is_off_writes_nothing() {
    let log = AccessLog::new(false);
    let off = logged("info,wxgate::access=off", || drop(begin(&log, "GET", "/")));
    assert_eq!(off, [Value::Null; 0]);
}

#[test]
fn the_body_is_passed_on_as_it_is() {
    let log = AccessLog::new(false);
    let mut text = None;
    lines(async {
        let body = Full::<Bytes>::from("hello");
        let answer = begin(&log, "GET", "/").follow(answer(200, body), Outcome::Own);
        assert_eq!(answer.body().size_hint().exact(), Some(5));
        let read: Result<_, Infallible> = answer.into_body().collect().await;
        text = Some(read.unwrap().to_bytes());
    });
    assert_eq!(text.unwrap(), "hello");
}
