//! Requests that the simulator itself sends: to loopback addresses, and nowhere else.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Real time: a site that hangs must not hang the simulator.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 64 * 1024;

/// What a site has answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends a request. A simulator that can be made to send requests anywhere would be a tool for somebody else: loopback,
/// or `None`.
pub(super) async fn send(
    method: Method,
    url: &Url,
    body: impl Into<Bytes>,
) -> Option<Result<Answer, io::Error>> {
    let stream = loopback(url).await?;
    let answer = tokio::time::timeout(PATIENCE, exchange(method, url, body.into(), stream)).await;
    Some(answer.map_err(io::Error::from).flatten())
}

async fn loopback(url: &Url) -> Option<Result<TcpStream, io::Error>> {
    if url.scheme() != "http" {
        return None;
    }
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port_or_known_default()?;
    let mut addresses = tokio::net::lookup_host((host, port)).await.ok()?;
    let address = addresses.find(|address| address.ip().is_loopback())?;
    Some(TcpStream::connect(address).await)
}

async fn exchange(
    method: Method,
    url: &Url,
    body: Bytes,
    stream: Result<TcpStream, io::Error>,
) -> Result<Answer, io::Error> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream?)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "*/*");
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "text/xml");
    }
    let request = request.body(Full::new(body)).map_err(io::Error::other)?;
    let answer = async {
        let (head, body) =
            sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(io::Error::other)?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok(Answer { status: head.status.as_u16(), body })
    };
    let answer = answer.await;
    connection.abort();
    answer
}
