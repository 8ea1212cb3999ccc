//! An app that remembers what it received and tells it, over every protocol that an upstream may speak.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request, State, WebSocketUpgrade, ws::WebSocket},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_rustls::TlsAcceptor;

/// An app that remembers what it received, and tells it.
#[derive(Clone)]
pub struct App(Arc<Mutex<Vec<Value>>>);

#[derive(Clone, Copy)]
pub enum Speaks {
    Http1,
    Http2,
}

impl App {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The requests that it has received.
    pub fn received(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// The last request that it has received.
    pub fn last(&self) -> Value {
        self.received().pop().expect("it has received something")
    }

    pub async fn serve_tcp(&self, speaks: Speaks) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(app.clone().serve(stream, speaks));
            }
        });
        addr
    }

    pub fn serve_unix(&self, listener: UnixListener) {
        let app = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(app.clone().serve(stream, Speaks::Http1));
            }
        });
    }

    pub async fn serve_tls(&self, acceptor: TlsAcceptor) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (app, acceptor) = (app.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    app.serve(stream, Speaks::Http1).await;
                });
            }
        });
        addr
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        speaks: Speaks,
    ) {
        let router = Router::new().fallback(tell).with_state(self);
        let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
        // How a connection ends is not what is tested here.
        match speaks {
            Speaks::Http1 => {
                http1::Builder::new().serve_connection(io, service).with_upgrades().await.ok();
            }
            Speaks::Http2 => {
                let server = http2::Builder::new(TokioExecutor::new());
                server.serve_connection(io, service).await.ok();
            }
        }
    }
}

async fn tell(State(app): State<App>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.to_string()).or_default().push(value);
    }
    let headers: BTreeMap<_, _> =
        headers.into_iter().map(|(name, values)| (name, values.join(", "))).collect();
    let received = json!({
        "method": head.method.as_str(),
        "uri": head.uri.path_and_query().map(ToString::to_string),
        "authority": head.uri.authority().map(ToString::to_string),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    app.0.lock().unwrap().push(received.clone());
    if head.headers.contains_key(header::UPGRADE) {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
        return upgrade
            .map_or_else(IntoResponse::into_response, |upgrade| upgrade.on_upgrade(echo));
    }
    if head.uri.path().ends_with("/page.html") {
        return page(&head.headers);
    }
    axum::Json(received).into_response()
}

/// A page, in the coding that is asked for.
fn page(headers: &HeaderMap) -> Response {
    let text = "<!DOCTYPE html><html><head><title>页</title></head><body>hello</body></html>";
    let accepted = headers.get(header::ACCEPT_ENCODING).map_or("", |value| value.to_str().unwrap());
    let (coding, body) = if accepted.contains("br") {
        let mut body = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams::default();
        brotli::BrotliCompress(&mut text.as_bytes(), &mut body, &parameters).unwrap();
        ("br", body)
    } else if accepted.contains("gzip") {
        let mut body = flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast());
        let mut packed = Vec::new();
        std::io::Read::read_to_end(&mut body, &mut packed).unwrap();
        ("gzip", packed)
    } else {
        ("identity", text.into())
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap());
    if coding != "identity" {
        headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
    }
    response
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A certificate authority that nobody else trusts.
pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
