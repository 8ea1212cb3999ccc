//! The layer in Rust web apps: with axum, with bare tower services, and with the app's own session data.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    routing::{get, post},
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_sessions::Session;
use wxgate::{
    Account, AppSecret, Login, Origin, Scope, WechatLoginLayer, WechatUser,
    clock::{Clock, ManualClock, SystemClock},
    session::MemoryStore,
    simulator::{Simulator, World as SimWorld},
};

use crate::world::{self, Browser};

struct App {
    sim: Simulator,
    url: String,
}

impl App {
    /// Serves what `router` makes of a layer on a free port.
    async fn start(router: impl FnOnce(WechatLoginLayer) -> Router) -> Self {
        let sim = Simulator::start().await;
        let clock = ManualClock::new(SystemClock.now());
        let store = MemoryStore::builder().clock(clock.clone()).build();
        let (url, layer) = world::login(&sim, clock, store);
        let listener =
            tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
        let router = router(layer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { sim, url }
    }

    fn browser(&self, user: &str) -> Browser {
        Browser::new(&self.url, user)
    }
}

async fn hello(user: WechatUser) -> String {
    user.openid().to_string()
}

async fn perhaps(user: Option<WechatUser>) -> String {
    user.map_or("nobody".to_owned(), |user| user.openid().to_string())
}

#[tokio::test]
async fn handlers_extract_who_is_signed_in() {
    let app = App::start(|layer| {
        let from_extension = |request: axum::extract::Request| async move {
            request.extensions().get::<WechatUser>().map(|user| user.subject().to_owned()).unwrap()
        };
        Router::new()
            .route("/me", get(hello))
            .route("/optional", get(perhaps))
            .route("/optional/strict", get(hello))
            .route("/extension", get(from_extension))
            .layer(layer)
    })
    .await;
    let browser = app.browser("alice");
    assert_eq!(browser.get("/optional").await.body, "nobody");
    assert_eq!(browser.get("/optional/strict").await.status, StatusCode::UNAUTHORIZED);
    let openid = app.sim.world().users[0].openid(world::APPID);
    // The callback needs no route, and an unknown page is protected too.
    assert_eq!(browser.walk("/me").await.body, openid);
    assert_eq!(browser.get("/optional").await.body, openid);
    assert_eq!(browser.get("/optional/strict").await.body, openid);
    assert!(browser.get("/extension").await.body.ends_with(&openid));
    assert_eq!(browser.get("/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.browser("bob").fetch("/nothing").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_extractor_without_its_layer_is_a_500_and_never_an_empty_200() {
    let bare = Router::new().route("/me", get(hello)).route("/perhaps", get(perhaps));
    for path in ["/me", "/perhaps"] {
        let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
        let answer = bare.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    // A layer that looks for nobody on this path is as wrong.
    let app = App::start(|layer| {
        Router::new().route("/off/me", get(hello)).route("/off/perhaps", get(perhaps)).layer(layer)
    })
    .await;
    let browser = app.browser("alice");
    for path in ["/off/me", "/off/perhaps"] {
        assert_eq!(browser.get(path).await.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
}

#[tokio::test]
async fn an_extractor_without_its_layer_logs_what_to_add() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let bare = Router::new().route("/me", get(hello));
    let request = Request::builder().uri("/me").body(axum::body::Body::empty()).unwrap();
    let guard = tracing::subscriber::set_default(subscriber);
    bare.oneshot(request).await.unwrap();
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("ERROR") && text.contains(".layer(WechatLoginLayer::new(..))"), "{text}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn any_tower_service_can_be_wrapped() {
    let (sim, clock) = (Simulator::start().await, ManualClock::new(SystemClock.now()));
    let (url, layer) =
        world::login(&sim, clock.clone(), MemoryStore::builder().clock(clock).build());
    let inner = service_fn(|request: Request<Empty<bytes::Bytes>>| async move {
        let user = request.extensions().get::<WechatUser>().map(|user| user.openid().to_string());
        Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from(user.unwrap_or_default())))
    });
    let service = layer.layer(inner);
    let call = async |path: &str, cookie: &str| {
        let request = Request::builder()
            .uri(path)
            .header("host", url.trim_start_matches("http://"))
            .header("cookie", cookie)
            .body(Empty::new())
            .unwrap();
        service.clone().oneshot(request).await.unwrap()
    };
    let start = call("/page", "").await;
    assert_eq!(start.status(), StatusCode::FOUND);
    let pending =
        start.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let authorize = start.headers()["location"].to_str().unwrap();
    let back = Browser::new(&url, "alice").get(authorize).await.location().to_owned();
    let done = call(back.strip_prefix(&url).unwrap(), &pending).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    let session = done.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap());
    let mut session =
        session.filter(|c| c.starts_with("wxgate=")).map(|c| c.split(';').next().unwrap());
    let page = call("/page", session.next_back().unwrap()).await;
    let body = page.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, sim.world().users[0].openid(world::APPID).as_bytes());
}

#[tokio::test]
async fn an_answer_of_ours_needs_no_place_in_the_inner_service() {
    let (sim, clock) = (Simulator::start().await, ManualClock::new(SystemClock.now()));
    let (url, layer) =
        world::login(&sim, clock.clone(), MemoryStore::builder().clock(clock).build());
    let inner = ServiceBuilder::new().concurrency_limit(1).service(service_fn(
        |_: Request<Empty<bytes::Bytes>>| async {
            std::future::pending::<Result<Response<Full<bytes::Bytes>>, Infallible>>().await
        },
    ));
    let service = layer.layer(inner);
    let request = |path: &str| {
        let host = url.trim_start_matches("http://");
        let request = Request::builder().uri(path).header("host", host);
        request.header("accept", "application/json").body(Empty::new()).unwrap()
    };
    // The only place is taken by a request that never ends.
    let mut taken = Box::pin(service.clone().oneshot(request("/off")));
    assert!(futures_util::poll!(&mut taken).is_pending());
    let refused = service.clone().oneshot(request("/page"));
    let refused = tokio::time::timeout(std::time::Duration::from_secs(10), refused).await.unwrap();
    assert_eq!(refused.unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut waiting = Box::pin(service.clone().oneshot(request("/off")));
    assert!(futures_util::poll!(&mut waiting).is_pending());
}

#[tokio::test]
async fn clones_with_other_policies_share_one_sign_in() {
    let app = App::start(|layer| {
        let strict = Router::new().route("/a", get(hello)).layer(layer.clone().scope(Scope::Base));
        let open = Router::new().route("/b", get(perhaps)).layer(layer.login(Login::Optional));
        strict.merge(open)
    })
    .await;
    let browser = app.browser("alice");
    assert_eq!(browser.get("/b").await.body, "nobody");
    let openid = app.sim.world().users[0].openid(world::APPID);
    assert_eq!(browser.walk("/a").await.body, openid);
    assert_eq!(browser.get("/b").await.body, openid);
}

#[tokio::test]
async fn c18_a_path_that_axum_has_routed_otherwise_is_refused() {
    let app =
        App::start(|layer| Router::new().route("/{*rest}", get(|| async { "any" })).layer(layer))
            .await;
    let browser = app.browser("alice");
    assert_eq!(browser.get("/off/x").await.status, StatusCode::OK);
    // The client itself would resolve dots, so the path is written with what it leaves alone.
    assert_eq!(browser.get("/off//x").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/off%2fx").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn c49_two_sites_never_swap_their_ways_back() {
    let world = SimWorld::from_toml(
        r#"
        [[accounts]]
        appid = "wx0123456789abcdef"
        secret = "0123456789abcdef0123456789abcdef"
        name = "one"
        callback_hosts = ["127.0.0.1"]
        kind = "official-account"
        [[accounts]]
        appid = "wxfedcba9876543210"
        secret = "fedcba9876543210fedcba9876543210"
        name = "two"
        callback_hosts = ["127.0.0.1"]
        kind = "official-account"
        [[users]]
        name = "alice"
        nickname = "a"
        "#,
    );
    let sim = Simulator::builder().world(world.unwrap()).start().await.unwrap();
    let mut sites = Vec::new();
    for account in &sim.world().accounts {
        let url = format!("http://{}", world::free_port());
        let secret = AppSecret::new(account.secret.clone());
        let account = Account::official_account(&account.appid, secret).unwrap();
        let layer = WechatLoginLayer::new(account.clone(), Origin::parse(&url).unwrap())
            .client(world::client(&sim));
        let router = Router::new()
            .route("/me", get(|user: WechatUser| async move { user.subject().to_owned() }));
        let listener =
            tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router.layer(layer)).await });
        sites.push((url, account.appid().to_string()));
    }
    let walks = (0..40).map(|n| {
        let (url, appid) = sites[n % 2].clone();
        tokio::spawn(async move {
            let browser = Browser::new(&url, "alice");
            let page = browser.walk("/me").await;
            assert_eq!(page.url, format!("{url}/me"));
            assert!(page.body.starts_with(&appid), "{}", page.body);
        })
    });
    for walk in walks.collect::<Vec<_>>() {
        walk.await.unwrap();
    }
}

fn shop(layer: WechatLoginLayer) -> Router {
    async fn add(session: Session, item: String) -> String {
        let mut cart: Vec<String> = session.get("cart").await.unwrap().unwrap_or_default();
        cart.push(item);
        session.insert("cart", &cart).await.unwrap();
        cart.join(" ")
    }
    async fn show(session: Session) -> String {
        session.get::<Vec<String>>("cart").await.unwrap().unwrap_or_default().join(" ")
    }
    Router::new()
        .route("/cart", get(show).post(add))
        .route("/untouched", get(|_: Session| async { "untouched" }))
        .route(
            "/fail",
            post(|session: Session| async move {
                session.insert("cart", ["lost"]).await.unwrap();
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route("/flush", post(|session: Session| async move { session.flush().await.unwrap() }))
        .route(
            "/cycle",
            post(|session: Session| async move {
                session.cycle_id().await.unwrap();
                session.insert("cart", ["cycled"]).await.unwrap();
            }),
        )
        .route("/optional/cart", get(show).post(add))
        .route(
            "/optional/touch",
            post(|session: Session| async move {
                session.remove::<u8>("flash").await.unwrap();
                session.flush().await.unwrap();
            }),
        )
        .layer(layer)
}

#[tokio::test]
async fn the_app_s_own_data_lives_and_ends_with_the_sign_in() {
    let app = App::start(shop).await;
    let browser = app.browser("alice");
    assert_eq!(browser.walk("/cart").await.body, "");
    let add =
        async |browser: &Browser, item: &str| browser.send(Method::POST, "/cart", &[], item).await;
    assert_eq!(add(&browser, "tea").await.body, "tea");
    assert_eq!(add(&browser, "cup").await.body, "tea cup");
    assert_eq!(browser.get("/cart").await.body, "tea cup");
    // One cookie, the sign-in's.
    assert_eq!(add(&browser, "pot").await.set_cookies(), [""; 0]);
    // Another session of the same user has a cart of its own.
    let other = app.browser("alice");
    assert_eq!(other.walk("/cart").await.body, "");
    // After a failure nothing is saved.
    assert_eq!(
        browser.send(Method::POST, "/fail", &[], "").await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(browser.get("/cart").await.body, "tea cup pot");

    // Empty after another sign-in, and after a sign-out.
    browser.walk("/_wx/login?scope=userinfo&to=/cart").await;
    assert_eq!(browser.get("/cart").await.body, "");
    add(&browser, "tea").await;
    let planted = browser.session_cookie().unwrap();
    browser.log_out("").await;
    assert_eq!(browser.walk("/cart").await.body, "");
    browser.jar.lock().unwrap().insert("wxgate".into(), planted);
    assert_eq!(browser.fetch("/cart").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn flushing_or_cycling_leaves_the_sign_in_alone() {
    let app = App::start(shop).await;
    let browser = app.browser("alice");
    browser.walk("/cart").await;
    browser.send(Method::POST, "/cart", &[], "tea").await;
    assert_eq!(browser.send(Method::POST, "/flush", &[], "").await.status, StatusCode::OK);
    assert_eq!(browser.get("/cart").await.body, "");
    browser.send(Method::POST, "/cart", &[], "tea").await;
    assert_eq!(browser.send(Method::POST, "/cycle", &[], "").await.status, StatusCode::OK);
    assert_eq!(browser.get("/cart").await.body, "cycled");
    assert_eq!(browser.get("/_wx/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn where_nobody_is_signed_in_there_is_no_place_for_data() {
    let app = App::start(shop).await;
    let browser = app.browser("alice");
    assert_eq!(browser.get("/optional/cart").await.status, StatusCode::OK);
    let touched = browser.send(Method::POST, "/optional/touch", &[], "").await;
    assert_eq!(touched.status, StatusCode::OK);
    let refused = browser.send(Method::POST, "/optional/cart", &[], "tea").await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refused.json()["error"], "session_data_not_saved");
    browser.walk("/cart").await;
    assert_eq!(browser.send(Method::POST, "/optional/cart", &[], "tea").await.body, "tea");
}

#[tokio::test]
async fn data_is_loaded_only_when_a_handler_touches_it() {
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = crate::faults::Watched::new(MemoryStore::builder().clock(clock.clone()).build());
    let loads = store.app_data_loads();
    let (url, layer) = world::login(&sim, clock, store);
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, shop(layer)).await });
    let browser = Browser::new(&url, "alice");
    assert_eq!(browser.walk("/untouched").await.body, "untouched");
    assert_eq!(loads.load(std::sync::atomic::Ordering::SeqCst), 0);
    browser.get("/cart").await;
    assert_eq!(loads.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn w10_the_debug_output_of_a_layer_shows_no_secret() {
    let shown = Arc::new(Mutex::new(None));
    let kept = shown.clone();
    let app = App::start(move |layer| {
        *kept.lock().unwrap() = Some(layer.clone());
        let debug =
            |user: WechatUser, session: Session| async move { format!("{user:?} {session:?}") };
        Router::new().route("/me", get(debug)).layer(layer)
    })
    .await;
    let browser = app.browser("alice");
    let handler = browser.walk("/_wx/login?scope=userinfo&to=/me").await.body;
    let layer = shown.lock().unwrap().take().unwrap();
    let printed = format!("{handler} {layer:?} {layer:#?} {:?}", layer.gate());
    let id = browser.session_cookie().unwrap();
    let number = uuid::Uuid::parse_str(&id).unwrap().as_u128();
    for secret in [
        id,
        number.to_string(),
        "0123456789abcdef0123456789abcdef".to_owned(),
        "refresh_token".to_owned(),
    ] {
        assert!(!printed.contains(&secret), "{secret} in {printed}");
    }
    assert!(
        printed.contains("AppSecret([redacted])") && printed.contains("UserToken([redacted])"),
        "{printed}"
    );
}
