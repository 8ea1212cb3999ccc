//! The phone of the demo: whatever is opened through it reaches the gateway as if WeChat had asked.
//!
//! A browser cannot say that it is another one, and keeps its cookies by host, whatever the port. So the phone is an
//! address of its own, with another host name: what is signed in there is not signed in on the desktop. It changes what
//! WeChat's browser would have said otherwise, and nothing else.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{
            ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION,
            ORIGIN, REFERER, USER_AGENT,
        },
    },
    response::{IntoResponse, Redirect, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// WeChat's own browser.
const WECHAT: &str = "Mozilla/5.0 (Linux; Android 14; Demo) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 \
    Chrome/130.0.6723.103 Mobile Safari/537.36 XWEB/1300467 MMWEBSDK/20241202 MicroMessenger/8.0.56.2800 WeChat/arm64 \
    Weixin NetType/WIFI Language/zh_CN ABI/arm64";
/// What the web-view of a mini-program says beside that.
const MINI_PROGRAM: &str = " miniProgram/";
/// What is in a frame here is what a mini-program would show in its web-view.
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Pages are small. Longer ones are not ours.
const LARGEST_PAGE: usize = 4 * 1024 * 1024;

/// Where the phone is, and what is behind it.
#[derive(Debug)]
pub(super) struct Phone {
    /// The address of the phone itself, as the browser knows it.
    pub(super) url: String,
    /// The address that the gateway is known by.
    pub(super) public_url: String,
    /// The mini-program that opens web-views.
    pub(super) mini_program: String,
}

struct Line {
    phone: Phone,
    /// The same two addresses, as they stand in a query.
    encoded: [String; 2],
    client: Client<HttpConnector, Body>,
}

/// The phone, to be served at its address.
pub(super) fn router(phone: Phone) -> Router {
    let encode = |url: &str| url.replace(':', "%3A").replace('/', "%2F");
    let encoded = [encode(&phone.public_url), encode(&phone.url)];
    let client = Client::builder(TokioExecutor::new()).build_http();
    Router::new().fallback(pass).with_state(Arc::new(Line { phone, encoded, client }))
}

async fn pass(State(line): State<Arc<Line>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    if host != line.phone.url.strip_prefix("http://").map(str::as_bytes) {
        // Under another name it would share the cookies of the desktop.
        return Redirect::temporary(&format!("{}{path}", line.phone.url)).into_response();
    }
    let Ok(uri) = format!("{}{path}", line.phone.public_url).parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (mut head, body) = request.into_parts();
    head.uri = uri;
    let is_web_view = head.headers.get(FETCH_DEST).is_some_and(|dest| dest == "iframe");
    line.disguise(&mut head.headers, is_web_view);
    match line.client.request(Request::from_parts(head, body)).await {
        Ok(answer) => line.bring_back(answer.map(Body::new), is_web_view).await,
        Err(error) => {
            tracing::warn!(%error, "the demo's phone cannot reach the gateway");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

impl Line {
    /// Makes a request one of WeChat's browser at the public URL.
    fn disguise(&self, headers: &mut HeaderMap, is_web_view: bool) {
        let mut agent = WECHAT.to_owned();
        if is_web_view {
            agent += MINI_PROGRAM;
            agent += &self.phone.mini_program;
        }
        // The client writes the host of the address.
        for own in [HOST, ACCEPT_ENCODING, REFERER] {
            headers.remove(own);
        }
        if let Ok(agent) = agent.try_into() {
            headers.insert(USER_AGENT, agent);
        }
        if headers.get(ORIGIN).is_some_and(|origin| origin == self.phone.url.as_str())
            && let Ok(origin) = self.phone.public_url.parse()
        {
            headers.insert(ORIGIN, origin);
        }
    }

    /// Makes every address of the gateway's in an answer lead through the phone.
    async fn bring_back(&self, answer: Response, is_web_view: bool) -> Response {
        let (mut head, body) = answer.into_parts();
        let location = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        if let Some(Ok(to)) = location.map(|to| self.through(to).parse()) {
            head.headers.insert(LOCATION, to);
        }
        // A real web-view is no frame, and is not refused as one.
        let policy = head.headers.get(CONTENT_SECURITY_POLICY).and_then(|text| text.to_str().ok());
        if is_web_view
            && let Some(policy) = policy
            && let Ok(policy) =
                policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'").parse()
        {
            head.headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/html") || kind.ends_with("/json")) {
            return Response::from_parts(head, body);
        }
        let Ok(page) = to_bytes(body, LARGEST_PAGE).await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        head.headers.remove(CONTENT_LENGTH);
        let page = self.through(&String::from_utf8_lossy(&page));
        Response::from_parts(head, page.into())
    }

    fn through(&self, text: &str) -> String {
        let [public_url, url] = &self.encoded;
        text.replace(&self.phone.public_url, &self.phone.url).replace(public_url, url)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::SET_COOKIE;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    use super::*;

    const PHONE: &str = "http://localhost:7070";

    /// Tells what has arrived, and sends elsewhere.
    async fn echo(request: Request) -> impl IntoResponse {
        let said = |name: HeaderName| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let host = said(HOST).unwrap_or_default();
        let back = format!("http://open.example/?redirect_uri=http%3A%2F%2F{host}%2Fa")
            .replace(&host, &host.replace(':', "%3A"));
        let told = json!({
            "host": host,
            "agent": said(USER_AGENT),
            "origin": said(ORIGIN).map(|origin| origin.replace("http://", "")),
            "referer": said(REFERER),
            "form": format!("http://{host}/_wx/scan"),
        });
        let policy = "default-src 'none'; frame-ancestors 'none'".to_owned();
        let headers =
            [(LOCATION, back), (CONTENT_SECURITY_POLICY, policy), (SET_COOKIE, "a=b".to_owned())];
        (headers, [(CONTENT_TYPE, "application/json")], told.to_string())
    }

    /// What comes back from a gateway that tells what has arrived, and the gateway's address.
    async fn ask(headers: &[(HeaderName, &str)]) -> (Response, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let public_url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let served = tokio::spawn(async move {
            axum::serve(listener, Router::new().fallback(echo)).await.ok();
        });
        let phone = Phone {
            url: PHONE.into(),
            public_url: public_url.clone(),
            mini_program: "wx2222222222222222".into(),
        };
        let request = headers
            .iter()
            .fold(Request::get("/page?a=b"), |request, (name, value)| request.header(name, *value));
        let request = request.body(Body::empty()).expect("a request");
        let answer = router(phone).oneshot(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, LARGEST_PAGE).await.expect("a body");
        served.abort();
        (Response::from_parts(head, body.into()), public_url)
    }

    async fn told(answer: Response) -> Value {
        let body = to_bytes(answer.into_body(), LARGEST_PAGE).await.expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[tokio::test]
    async fn the_gateway_hears_wechat_and_the_browser_stays_on_the_phone() {
        let own = [
            (HOST, "localhost:7070"),
            (USER_AGENT, "Chrome"),
            (ORIGIN, PHONE),
            (REFERER, "http://localhost:7070/"),
        ];
        let (answer, public_url) = ask(&own).await;
        let back = "http://open.example/?redirect_uri=http%3A%2F%2Flocalhost%3A7070%2Fa";
        assert_eq!(answer.headers()[LOCATION], back);
        assert_eq!(answer.headers()[SET_COOKIE], "a=b");
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].clone();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
        let told = told(answer).await;
        assert_eq!(told["form"], format!("{PHONE}/_wx/scan"));
        assert_eq!(told["host"], public_url.trim_start_matches("http://"));
        assert_eq!((&told["referer"], &told["agent"]), (&Value::Null, &WECHAT.into()));
        assert_eq!(told["origin"], told["host"]);
    }

    #[tokio::test]
    async fn what_is_in_a_frame_is_a_web_view() {
        let frame = [(HOST, "localhost:7070"), (FETCH_DEST, "iframe")];
        let (answer, _) = ask(&frame).await;
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].clone();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'self'");
        let agent = told(answer).await["agent"].as_str().expect("a text").to_owned();
        assert!(agent.ends_with(" miniProgram/wx2222222222222222"), "{agent}");
    }

    #[tokio::test]
    async fn under_another_name_it_sends_to_its_own() {
        for host in ["127.0.0.1:7070", "evil.example", "localhost:7071"] {
            let (answer, _) = ask(&[(HOST, host)]).await;
            assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT, "{host}");
            assert_eq!(answer.headers()[LOCATION], format!("{PHONE}/page?a=b"));
        }
    }
}
