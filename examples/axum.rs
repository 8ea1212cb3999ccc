//! An axum app whose visitors sign in with WeChat.
//!
//! Start a local WeChat first, then this, and open <http://127.0.0.1:8080/>:
//!
//! ```sh
//! cargo run --features full -- simulator
//! cargo run --example axum
//! ```

use axum::{
    Router,
    response::Html,
    routing::{get, post},
};
use tower_sessions::Session;
use wxgate::{
    Account, AppSecret, Login, Origin, WechatLoginLayer, WechatUser,
    wechat::{Client, Endpoints},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or("127.0.0.1:8080".into());
    let simulator = arguments.next().unwrap_or("http://127.0.0.1:9090".into());

    // The account of the simulator. Your own secret belongs into a file or the environment.
    let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
    let account = Account::official_account("wx0123456789abcdef", secret)?;
    // Without these two lines, and the `client` below, it is the real WeChat.
    let endpoints = Endpoints::default().with_open(&simulator)?.with_api([&simulator])?;
    let client = Client::new(endpoints);

    let wechat = WechatLoginLayer::new(account, Origin::parse(&format!("http://{listen}"))?)
        .client(client)
        .path("/", Login::Optional)
        .path("/me", Login::Base)
        .path("/profile", Login::Userinfo);

    let app = Router::new()
        .route("/", get(home))
        .route("/me", get(me))
        .route("/me/visits", post(visit))
        .route("/profile", get(profile))
        .layer(wechat); // last, so that it covers every route

    axum::serve(tokio::net::TcpListener::bind(&listen).await?, app).await?;
    Ok(())
}

/// Nobody has to be signed in here.
async fn home(user: Option<WechatUser>) -> Html<String> {
    let who = user.map_or("nobody".to_owned(), |user| user.subject().to_owned());
    Html(format!(
        "<p>{who}<p><a href=/me>silent</a> <a href=/profile>profile</a> <a href=/_wx/logout>sign out</a>"
    ))
}

/// Somebody is signed in here, without having been asked for anything.
async fn me(user: WechatUser) -> String {
    format!("hello {}", user.subject())
}

/// The app's own data of the same session, as tower-sessions has it.
async fn visit(session: Session) -> String {
    let visits = session.get::<u32>("visits").await.ok().flatten().unwrap_or(0) + 1;
    match session.insert("visits", visits).await {
        Ok(()) => format!("visit {visits}"),
        Err(error) => format!("not counted: {error}"),
    }
}

/// The user has granted nickname and avatar here.
async fn profile(user: WechatUser) -> String {
    format!("hello {}", user.nickname().unwrap_or("stranger"))
}
