//! Upstreams that speak HTTP/2 or TLS, through hyper-util's client, whose connections are driven beside the requests.

use std::{
    fmt, io,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    Request, Response, StatusCode, Uri,
    header::{CONNECTION, HOST},
    request::Parts,
    uri::{PathAndQuery, Scheme as UriScheme},
};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::{
    client::legacy::{
        self, Client, ResponseFuture,
        connect::{HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{
    LARGEST_HEAD,
    body::UpstreamBody,
    failure::Failure,
    http1::{LONGEST_IDLE, MOST_IDLE},
    patience, peer,
    request::{Forwarding, Length, tell},
    request_body::{RequestBody, watch},
    upstream::Exchange,
    url::Host,
};
use crate::{gateway::wire::Wire, trust};

/// What a stream may hold that its reader has not taken yet.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Streams share a connection, so this must not run out while some readers are slow: the others would wait for them.
/// As many streams as a connection can reasonably have fit in.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// An upstream whose machine is gone says nothing. Asked this often while a request is open.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// An upstream over HTTP/2 or TLS, as one core uses it.
pub(super) struct Shared {
    host: Host,
    scheme: UriScheme,
    client: AnyClient,
    /// For WebSockets, which get a connection of their own: HTTP/2 has none.
    tunnels: Option<(TlsConnector, ServerName<'static>)>,
}

enum AnyClient {
    Tls(Client<HttpsConnector<Fixed>, RequestBody>),
    Clear(Client<Fixed, RequestBody>),
}

impl Shared {
    /// HTTP/2 without TLS.
    pub(super) fn h2c(host: Host) -> io::Result<Self> {
        let client = builder().http2_only(true).build(Fixed::to(&host)?);
        Ok(Self { host, scheme: UriScheme::HTTP, client: AnyClient::Clear(client), tunnels: None })
    }

    /// TLS, with HTTP/2 or HTTP/1.1 inside. The certificate has to name the upstream's own host.
    pub(super) fn https(host: Host, ca: Option<&Path>) -> io::Result<Self> {
        let name = ServerName::try_from(host.name.to_string()).map_err(|_| {
            let why = format!("no certificate can be for the host {:?}", host.name);
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let config = trust::in_authorities_of(ca)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let offering = |protocols: &[&[u8]]| {
            let mut config: ClientConfig = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let resolver = Arc::new(FixedServerNameResolver::new(name.clone()));
        let connector =
            HttpsConnector::new(Fixed::to(&host)?, offering(&[b"h2", b"http/1.1"]), true, resolver);
        Ok(Self {
            host,
            scheme: UriScheme::HTTPS,
            client: AnyClient::Tls(builder().build(connector)),
            tunnels: Some((TlsConnector::from(offering(&[b"http/1.1"])), name)),
        })
    }

    pub(super) async fn pass(
        &self,
        head: &Parts,
        body: Incoming,
        forwarding: &Forwarding<'_>,
        exchange: &Exchange,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let (body, progress) = watch(body, exchange.body_limit)?;
        let progress = progress.as_deref();
        let length = Length::of(head, &body);
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut()) = (head.method.clone(), head.uri.clone());
        tell(head, length, forwarding, request.headers_mut());
        self.address(&mut request)?;
        let fails = |error: legacy::Error| {
            let fault = progress.and_then(|progress| progress.fault(exchange.body_limit));
            fault.unwrap_or_else(|| {
                if error.is_connect() { Failure::connect(&error) } else { Failure::broken(&error) }
            })
        };
        let mut connected = capture_connection(&mut request);
        let mut answer = pin!(self.request(request));
        let early = tokio::time::timeout(exchange.connect, async {
            tokio::select! {
                biased;
                answer = answer.as_mut() => Some(answer),
                _ = connected.wait_for_connection_metadata() => None,
            }
        });
        let answer = match early.await {
            Err(_) => return Err(Failure::ConnectTimeout(exchange.connect)),
            Ok(Some(answer)) => answer,
            Ok(None) => {
                let poll = |context: &mut Context<'_>| answer.as_mut().poll(context);
                patience::wait(&mut None, exchange.response_head, progress, poll).await?
            }
        };
        let response = answer.map_err(fails)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Broken("it switches protocols unasked".to_owned()));
        }
        Ok(UpstreamBody::shared(response))
    }

    /// A stream of its own for a WebSocket, if this kind of upstream has any.
    pub(super) async fn tunnel(&self, limit: Duration) -> Result<Wire, Failure> {
        let (tls, name) = self.tunnels.as_ref().ok_or(Failure::NoWebSockets)?;
        peer::within(limit, async {
            let tcp = peer::tcp(&self.host).await?;
            let tls = tls.connect(name.clone(), Wire::Tcp(tcp)).await?;
            Ok(Wire::Tls(Box::new(tls.into())))
        })
        .await
    }

    fn request(&self, request: Request<RequestBody>) -> ResponseFuture {
        match &self.client {
            AnyClient::Tls(client) => client.request(request),
            AnyClient::Clear(client) => client.request(request),
        }
    }

    /// Writes the target out: what the `Host` header says is what HTTP/2 calls the authority. Where the connection
    /// goes does not depend on it.
    fn address(&self, request: &mut Request<RequestBody>) -> Result<(), Failure> {
        let headers = request.headers_mut();
        // Names what is for one HTTP/1.1 connection; all of that is cut already.
        headers.remove(CONNECTION);
        let host = match &self.client {
            // HTTP/1.1 may be spoken, where the header is needed.
            AnyClient::Tls(_) => headers.get(HOST).cloned(),
            AnyClient::Clear(_) => headers.remove(HOST),
        };
        let bad = || Failure::Broken("its host cannot be part of a URL".to_owned());
        let uri = request.uri_mut();
        let target = uri.path_and_query().cloned();
        *uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(host.ok_or_else(bad)?.as_bytes())
            .path_and_query(target.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build()
            .map_err(|_| bad())?;
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("host", &self.host).finish_non_exhaustive()
    }
}

fn builder() -> legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(LONGEST_IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        // It never repeats a request of which something was written.
        .retry_canceled_requests(true)
        .set_host(false)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_max_header_list_size(LARGEST_HEAD);
    builder
}

/// Connects to one host, whatever the target of a request is called.
#[derive(Clone)]
struct Fixed {
    http: HttpConnector,
    to: Uri,
}

impl Fixed {
    fn to(host: &Host) -> io::Result<Self> {
        let to = format!("http://{host}").parse().map_err(io::Error::other)?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        Ok(Self { http, to })
    }
}

impl Service<Uri> for Fixed {
    type Response = <HttpConnector as Service<Uri>>::Response;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = <HttpConnector as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context)
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.http.call(self.to.clone())
    }
}
