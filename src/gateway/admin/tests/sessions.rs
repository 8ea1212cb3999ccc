//! Tests of `/sessions`: what it tells, what it ends, and whom it refuses.

use crate::{
    session::{NewSession, Session, UserChange},
    wechat::{OpenId, Scope},
};

use super::*;

const MAIN: &str = "wx0123456789abcdef";

struct Place {
    shelf: Shelf,
    metrics: Metrics,
    admin: Admin,
}

impl Place {
    fn start() -> Self {
        let (shelf, metrics) = (Shelf::default(), Metrics::new());
        let readiness = Readiness::new(Vec::new());
        Self { admin: open(metrics.clone(), readiness, shelf.clone()), shelf, metrics }
    }

    async fn sign_in(&self, account: &str, openid: &str) -> Arc<Session> {
        let (_, appid) =
            self.shelf.accounts().into_iter().find(|(name, _)| **name == *account).unwrap();
        let key = UserKey { appid, openid: OpenId::parse(openid).unwrap() };
        let user = self.shelf.0.put_user(key, UserChange::default()).await.unwrap();
        let now = crate::clock::Clock::now(&crate::clock::SystemClock);
        let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
        self.shelf.0.create(new).await.unwrap()
    }

    async fn is_good(&self, session: &Session) -> bool {
        self.shelf.0.load(session.id()).await.unwrap().is_some()
    }

    /// A status and the JSON that comes with it.
    async fn send(&self, head: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.admin.addr()).await.unwrap();
        let length = body.len();
        let whole = format!(
            "{head}Host: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(whole.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    async fn list(&self, query: &str) -> (u16, Value) {
        self.send(&format!("GET /sessions{query} HTTP/1.1\r\n"), "").await
    }

    async fn revoke(&self, body: &str) -> (u16, Value) {
        self.revoke_with("Content-Type: application/json\r\n", body).await
    }

    async fn revoke_with(&self, headers: &str, body: &str) -> (u16, Value) {
        self.send(&format!("POST /sessions/revoke HTTP/1.1\r\n{headers}"), body).await
    }
}

#[tokio::test]
async fn sessions_are_told_of_by_account_and_user_and_in_pages() {
    let place = Place::start();
    let alice = place.sign_in("main", "alice").await;
    for _ in 0..2 {
        place.sign_in("main", "bob").await;
    }
    place.sign_in("web", "alice").await;
    let count = async |query: &str| {
        let (status, page) = place.list(query).await;
        assert_eq!((status, &page["next"]), (200, &Value::Null), "{query}");
        page["sessions"].as_array().unwrap().len()
    };
    for (query, wanted) in [
        ("", 4),
        ("?account=", 4),
        ("?account=main", 3),
        ("?account=wx0123456789abcdef", 3),
        ("?openid=alice", 2),
        ("?account=web&openid=alice", 1),
        ("?account=web&openid=bob", 0),
        ("?limit=1000", 4),
    ] {
        assert_eq!(count(query).await, wanted, "{query}");
    }
    let (_, page) = place.list("?account=main&openid=alice").await;
    let wanted = json!({
        "session": alice.id().handle().to_string(),
        "appid": MAIN,
        "openid": "alice",
        "subject": format!("{MAIN}:alice"),
        "scope": "snsapi_base",
        "signed_in_at": alice.signed_in_at().unix(),
        "last_used": alice.last_used().unix(),
    });
    assert_eq!(page["sessions"][0], wanted);
    assert!(!page.to_string().contains(&alice.id().expose()));

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (_, page) = place.list(&format!("?limit=3&after={after}")).await;
        let sessions = page["sessions"].as_array().unwrap();
        seen.extend(sessions.iter().map(|it| it["session"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut after);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4);
    for bad in ["?acount=main", "?limit=1&limit=2", "?limit=0", "?limit=1001", "?limit=x"] {
        let (status, said) = place.list(bad).await;
        assert!(status == 400 && said["message"].is_string(), "{bad} {said}");
    }
    let (status, said) = place.list("?account=mian").await;
    assert_eq!((status, &said["error"]), (400, &json!("unknown_account")));
    assert!(said["message"].as_str().unwrap().contains("main (wx0123456789abcdef), web"), "{said}");
    assert_eq!(place.list("?openid=a%20b").await.0, 400);
}

#[tokio::test]
async fn one_session_a_user_and_an_account_can_be_revoked() {
    let place = Place::start();
    let [one, two, three] = [
        place.sign_in("main", "alice").await,
        place.sign_in("main", "alice").await,
        place.sign_in("main", "alice").await,
    ];
    let [bob, web] = [place.sign_in("main", "bob").await, place.sign_in("web", "alice").await];

    let handle = one.id().handle().to_string();
    let body = json!({ "session": handle }).to_string();
    assert_eq!(place.revoke(&body).await, (200, json!({ "revoked": { "session": handle } })));
    assert!(!place.is_good(&one).await && place.is_good(&two).await);
    let (status, said) = place.revoke(&body).await;
    assert_eq!((status, &said["error"]), (404, &json!("no_such_session")));

    let revoked = json!({ "revoked": { "appid": MAIN, "openid": "alice", "sessions": 2 } });
    let body = r#"{"account": "main", "openid": "alice"}"#;
    assert_eq!(place.revoke(body).await, (200, revoked));
    assert!(!place.is_good(&two).await && !place.is_good(&three).await);
    assert!(place.is_good(&bob).await && place.is_good(&web).await);
    assert_eq!(place.revoke(body).await.1["revoked"]["sessions"], 0);

    let revoked = json!({ "revoked": { "appid": MAIN, "all": true } });
    let body = json!({ "account": MAIN, "all": true }).to_string();
    assert_eq!(place.revoke(&body).await, (200, revoked));
    assert!(!place.is_good(&bob).await && place.is_good(&web).await);

    let page = place.metrics.text();
    for (kind, count) in [("session", 1), ("user", 2), ("account", 1), ("wechat", 0)] {
        let line = format!("wxgate_revocations_total{{kind=\"{kind}\"}} {count}");
        assert!(page.contains(&line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn what_is_not_one_of_the_three_forms_revokes_nothing() {
    let place = Place::start();
    let session = place.sign_in("main", "alice").await;
    let handle = session.id().handle().to_string();
    for body in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"account": "main"}"#.to_owned(),
        r#"{"account": "main", "all": false}"#.to_owned(),
        r#"{"account": "main", "all": "true"}"#.to_owned(),
        r#"{"all": true}"#.to_owned(),
        r#"{"openid": "alice"}"#.to_owned(),
        r#"{"account": "main", "openid": "alice", "all": true}"#.to_owned(),
        r#"{"account": "main", "openid": "alice", "everywhere": true}"#.to_owned(),
        r#"{"account": "main", "openid": "al ice"}"#.to_owned(),
        r#"{"account": "other", "openid": "alice"}"#.to_owned(),
        r#"{"account": "web", "account": "main", "openid": "alice"}"#.to_owned(),
        format!(r#"{{"session": "{handle}", "account": "main"}}"#),
        format!(r#"{{"session": "{}"}}"#, handle.to_uppercase()),
        // Not what a browser's cookie holds.
        format!(r#"{{"session": "{}"}}"#, session.id().expose()),
    ] {
        let (status, said) = place.revoke(&body).await;
        assert!(status == 400 && said["message"].is_string(), "{body} {status} {said}");
    }
    assert!(place.is_good(&session).await);
    assert_eq!(place.revoke(&format!(r#"{{"session": "{handle}"}}"#)).await.0, 200);
}

#[tokio::test]
async fn c54_a_page_in_a_browser_on_this_machine_cannot_revoke() {
    let place = Place::start();
    let session = place.sign_in("main", "alice").await;
    let body = r#"{"account": "main", "all": true}"#;
    let json = "Content-Type: application/json\r\n";
    for (headers, wanted) in [
        (String::new(), 415),
        ("Content-Type: text/plain\r\n".to_owned(), 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n".to_owned(), 415),
        (format!("{json}Content-Type: text/plain\r\n"), 415),
        (format!("{json}Origin: http://127.0.0.1:3000\r\n"), 403),
        (format!("{json}Origin: null\r\n"), 403),
        (format!("{json}Sec-Fetch-Site: same-origin\r\n"), 403),
        (format!("{json}Sec-Fetch-Site: none\r\n"), 403),
    ] {
        assert_eq!(place.revoke_with(&headers, body).await.0, wanted, "{headers}");
    }
    let large = format!("{body}{}", " ".repeat(8 * 1024));
    assert_eq!(place.revoke(&large).await.0, 413);
    assert_eq!(place.send("GET /sessions/revoke HTTP/1.1\r\n", "").await.0, 405);
    let asked = "GET /sessions HTTP/1.1\r\nSec-Fetch-Site: none\r\n";
    assert_eq!(place.send(asked, "").await.0, 403);
    assert!(place.is_good(&session).await);
    let kind = "Content-Type: application/json; charset=utf-8\r\n";
    assert_eq!(place.revoke_with(kind, body).await.0, 200);
    assert!(!place.is_good(&session).await);
}
