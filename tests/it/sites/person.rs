//! A person who visits several sites.

use std::{collections::BTreeMap, net::SocketAddr, sync::Mutex};

use http::{HeaderMap, Method, header};

use crate::world::{self, Answer, WECHAT};

/// A person with a browser that keeps the cookies of each site apart, and is `name` to the simulator.
pub struct Person {
    http: reqwest::Client,
    home: String,
    /// By host.
    pub jars: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    headers: HeaderMap,
}

impl Person {
    pub fn new(addr: SocketAddr, name: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("x-simulator-user", name.parse().unwrap());
        headers.insert(header::USER_AGENT, WECHAT.parse().unwrap());
        let home = format!("http://h5.localhost:{}", addr.port());
        Self { http: world::http_client(), home, jars: Mutex::default(), headers }
    }

    pub fn jar(&self, site: &str) -> BTreeMap<String, String> {
        let jars = self.jars.lock().unwrap();
        jars.get(&format!("{site}.localhost")).cloned().unwrap_or_default()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, &[], "").await
    }

    /// To a path of `h5`, or to any address.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let url = if target.starts_with('/') {
            format!("{}{target}", self.home)
        } else {
            target.to_owned()
        };
        let host = url::Url::parse(&url).unwrap().host_str().unwrap().to_owned();
        let mut request = self.http.request(method, &url).headers(self.headers.clone());
        let jar = self.jars.lock().unwrap().get(&host).cloned().unwrap_or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() && !headers.iter().any(|(name, _)| *name == "cookie") {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        if host.ends_with(".localhost") {
            self.keep(host, &headers);
        }
        let body = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
        Answer { url, status, headers, body }
    }

    fn keep(&self, host: String, headers: &HeaderMap) {
        let mut jars = self.jars.lock().unwrap();
        let jar = jars.entry(host).or_default();
        for line in headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            // C45: what one site sets, no other one sees.
            assert!(!line.to_lowercase().contains("domain"), "{line}");
            assert!(line.contains("; HttpOnly; SameSite=Lax; Path=/"), "{line}");
            let cookie = cookie::Cookie::parse(line.to_owned()).unwrap();
            if cookie.max_age() == Some(cookie::time::Duration::ZERO) {
                jar.remove(cookie.name());
            } else {
                jar.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
    }

    /// Goes where redirects lead.
    pub async fn walk(&self, target: &str) -> Answer {
        let mut answer = self.get(target).await;
        for _ in 0..20 {
            if !answer.status.is_redirection() {
                return answer;
            }
            let next = url::Url::parse(&answer.url).unwrap().join(answer.location()).unwrap();
            answer = self.get(next.as_str()).await;
        }
        panic!("redirected without end: {answer:?}");
    }
}
