//! The layer around a bare tower service, served by hyper, without axum.
//!
//! Start a local WeChat first, then this, and open <http://127.0.0.1:8080/>:
//!
//! ```sh
//! cargo run --features full -- simulator
//! cargo run --example tower_only
//! ```

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tower::{Layer, service_fn};
use wxgate::{
    Account, AppSecret, Origin, WechatLoginLayer, WechatUser,
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

    let wechat =
        WechatLoginLayer::new(account, Origin::parse(&format!("http://{listen}"))?).client(client);
    let service = wechat.layer(service_fn(hello));

    let listener = tokio::net::TcpListener::bind(&listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let user = request.extensions().get::<WechatUser>();
    let who = user.map_or("nobody", WechatUser::subject);
    Ok(Response::new(Full::from(format!("hello {who}\n"))))
}
