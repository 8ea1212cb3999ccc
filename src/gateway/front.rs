//! One request from a browser to its answer: the rules for its target, the login, then the upstream.

use std::{collections::HashMap, io, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{
    access_log::{Access, AccessLog, Logged},
    client_address::ClientAddress,
    forward_auth::{self, Dialect, Told},
    inject::{self, Injected},
    listener::Conn,
    metrics::{Metrics, Outcome, RouteMetrics},
    pages,
    plan::Plan,
    proxy::{self, Exchange, Failure, Forwarding, Terms, Upstream, UpstreamBody, UpstreamSpec},
    request_id::{REQUEST_ID, RequestIds},
    seldom::Seldom,
    site::{Found, Route, Site, Target},
};
use crate::{
    doors::{facade::Call, mini_program, scan},
    login::{
        Asker, Attended, ClientAddr, Demand, Endpoint, Gate, Login, LoginBody, PREFIX, Page,
        Tongue, Verdict, Visitor, WechatUser, canonicalise, is_form, is_navigation, json_reply,
        nonce, parameter,
    },
};

/// Where the public keys of assertions are.
const JWKS: &str = "/_wx/jwks.json";

/// What one core needs to answer requests, as long as its plan stays.
#[derive(Debug)]
pub(super) struct Front {
    plan: Arc<Plan>,
    /// Whether any site has doors, which may tell people where they come from.
    has_doors: bool,
    upstreams: Vec<Arc<Upstream>>,
    by_spec: HashMap<UpstreamSpec, Arc<Upstream>>,
    log: AccessLog,
    request_ids: RequestIds,
    metrics: Metrics,
    nowhere: RouteMetrics,
    /// Front proxies that nobody has listed.
    strangers: Seldom,
    /// Addresses from which too many sign-ins come.
    crowds: Seldom,
    /// What stands for a route in the log, where an endpoint of ours answers.
    own: Arc<str>,
}

type Own = Response<Full<Bytes>>;
pub(super) type Body = LoginBody<Injected<UpstreamBody>>;

/// Who has sent a request, and under what name it is known.
struct Sender<'a> {
    client: ClientAddress,
    request_id: &'a HeaderValue,
    conn: &'a Conn,
}

impl Front {
    /// With connections that the front before this one has open. An error says which upstream cannot be used.
    pub(super) fn new(
        plan: Arc<Plan>,
        before: Option<&Self>,
        log: AccessLog,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let mut by_spec = HashMap::new();
        let mut upstreams = Vec::new();
        for spec in &plan.upstreams {
            // One that trusts a file is made anew: the file may hold something else by now.
            let before = before.filter(|_| spec.ca.is_none());
            let known = before.and_then(|before| before.by_spec.get(spec)).cloned();
            let upstream = match known {
                Some(upstream) => upstream,
                None => Arc::new(Upstream::new(spec)?),
            };
            by_spec.insert(spec.clone(), upstream.clone());
            upstreams.push(upstream);
        }
        let nowhere = metrics.no_route();
        let has_doors = plan.sites.iter().any(Site::has_doors);
        Ok(Self {
            plan,
            has_doors,
            upstreams,
            by_spec,
            log,
            request_ids: RequestIds::default(),
            metrics,
            nowhere,
            strangers: Seldom::default(),
            crowds: Seldom::default(),
            own: PREFIX.into(),
        })
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn log(&self) -> &AccessLog {
        &self.log
    }

    /// Does what has to be done from time to time.
    pub(super) fn tidy(&self) {
        for upstream in &self.upstreams {
            upstream.sweep();
        }
        if let Some(limit) = &self.plan.rate_limit {
            limit.tidy();
        }
    }

    /// Answers a request, and sees to it that its line is written when the answer has ended.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        conn: &Conn,
    ) -> Response<Logged<Body>> {
        let (mut head, body) = request.into_parts();
        let request_id = self.request_ids.of(&head.headers);
        let client = self.plan.trusted_proxies.client(&conn.peer_address, &head.headers);
        let ip = client.as_ref().map_or_else(|_| conn.peer.ip(), |client| client.ip);
        let mut access = self.log.begin(&head, &request_id, ip);
        access.hold(self.metrics.in_flight());

        let answered = match (client, proxy::check_target(&mut head)) {
            (Ok(client), Ok(())) => {
                if self.has_doors {
                    head.extensions.insert(ClientAddr(client.ip));
                }
                let sender = Sender { client, request_id: &request_id, conn };
                self.handle(head, body, &sender, &mut access).await
            }
            (Err(bad), _) => self.refuse(&bad),
            (_, Err(bad)) => self.refuse(&bad),
        };
        let Answered { mut response, outcome } = answered;
        response.headers_mut().insert(REQUEST_ID, request_id);
        self.metrics.answered(response.status());
        access.follow(response, outcome)
    }

    /// An answer to a request that could not be read, or has broken something.
    pub(super) fn without(&self, status: StatusCode) -> Response<Logged<Body>> {
        let word = if status.is_client_error() { "bad_request" } else { "internal_error" };
        let Answered { response, .. } =
            self.nowhere(json_reply(status, format!(r#"{{"error":"{word}"}}"#).into_bytes()));
        self.metrics.answered(status);
        response.map(Logged::unlogged)
    }

    fn refuse(&self, bad: &dyn std::fmt::Display) -> Answered {
        tracing::debug!(%bad, "a request is refused");
        self.nowhere(json_reply(StatusCode::BAD_REQUEST, br#"{"error":"bad_request"}"#.to_vec()))
    }

    /// An answer of ours to a request that has not come as far as a route.
    fn nowhere(&self, response: Own) -> Answered {
        let answered = Answered::own(response);
        self.nowhere.count(answered.outcome);
        answered
    }

    async fn handle(
        &self,
        mut head: Parts,
        body: Incoming,
        sender: &Sender<'_>,
        access: &mut Access,
    ) -> Answered {
        let dialect = Dialect::named_by(head.uri.path());
        if let Some(dialect) =
            dialect.filter(|_| self.plan.sites.iter().any(|site| site.forward_auth))
        {
            return Box::pin(self.vouch(dialect, head, sender, access)).await;
        }
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let Some(site) = host.and_then(|host| self.plan.sites.of(host)) else {
            let word = br#"{"error":"unknown_host"}"#.to_vec();
            return self.nowhere(json_reply(StatusCode::MISDIRECTED_REQUEST, word));
        };
        if canonicalise(&mut head).is_err() {
            return self.nowhere(site.gate.page(Page::BadPath, &head));
        }
        if let Some(answer) = self.public_file(site, &head) {
            access.at(&site.name, &self.own);
            return self.nowhere(answer);
        }
        if let Some((facade, call)) = site.facade.as_ref().zip(Call::named_by(head.uri.path())) {
            access.at(&site.name, &self.own);
            // The app's own calls all come from its server, and its secret keeps others out.
            if matches!(call, Call::Authorize)
                && let Some(answer) = self.too_many(&site.gate, &head, sender)
            {
                return self.nowhere(answer);
            }
            return self.nowhere(Box::pin(facade.answer(call, &head)).await);
        }
        match site.find(&head) {
            Ok(Found::Route(route)) => {
                access.at(&site.name, &route.name);
                let answered = self.by_route(route, head, body, sender, access).await;
                route.metrics.count(answered.outcome);
                answered
            }
            Ok(Found::Endpoint(gate)) => {
                access.at(&site.name, &self.own);
                self.nowhere(Box::pin(self.endpoint(gate, head, body, sender)).await)
            }
            Ok(Found::Nothing) => self.nowhere(site.gate.page(Page::NotFound, &head)),
            Err(_) => self.nowhere(site.gate.page(Page::BadPath, &head)),
        }
    }

    /// Tells a front proxy whether a request may pass, if it is one that may ask.
    async fn vouch(
        &self,
        dialect: Dialect,
        head: Parts,
        sender: &Sender<'_>,
        access: &mut Access,
    ) -> Answered {
        let peer = sender.conn.peer.ip();
        if !self.plan.trusted_proxies.is_trusted(peer) {
            // Browsers can ask too, so this must not fill a log.
            if self.strangers.may_speak() {
                tracing::warn!(%peer, "a question about a request is refused: list the front proxy in trusted_proxies");
            }
            return self.nowhere(forward_auth::untrusted(dialect));
        }
        let Told { answer, original, place, visitor } =
            forward_auth::answer(&self.plan.sites, dialect, head).await;
        if let Some(original) = original {
            access.about(original.method, original.uri);
        }
        access.by(visitor.user());
        let Some((site, route)) = place else { return self.nowhere(answer) };
        access.at(&site.name, &route.name);
        let mut answered = Answered::own(answer);
        if answered.response.status() == StatusCode::OK {
            answered.outcome = Outcome::Passed;
        }
        route.metrics.count(answered.outcome);
        answered
    }

    /// What everybody may read: proof files, and the public keys of assertions.
    fn public_file(&self, site: &Site, head: &Parts) -> Option<Own> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return None;
        }
        let path = head.uri.path();
        let (kind, content) = match &self.plan.jwks {
            Some(jwks) if path == JWKS => ("application/jwk-set+json", jwks),
            _ => ("text/plain", site.proof_files.get(path)?),
        };
        let mut answer = Response::new(Full::new(content.clone()));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(answer)
    }

    /// The answer to a sign-in request that is beyond its address's measure.
    fn too_many(&self, gate: &Gate, head: &Parts, sender: &Sender<'_>) -> Option<Own> {
        let limit = self.plan.rate_limit.as_ref()?;
        let endpoint = Endpoint::named_by(head.uri.path());
        let once = match endpoint {
            Some(Endpoint::Callback | Endpoint::Accept) => Some("state"),
            _ => scan::is_opened_by(head.uri.path()).then_some(scan::CODE),
        };
        let query = head.uri.query().unwrap_or_default();
        let twin = once.and_then(|name| parameter(query, name));
        if limit.admits(sender.client.ip, twin.as_deref()) {
            return None;
        }
        if self.crowds.may_speak() {
            let client = sender.client.ip;
            tracing::warn!(%client, "sign-ins from one address are held back: if it is a proxy of yours, list it in trusted_proxies, so that its clients are counted one by one");
        }
        let mut answer = gate.page(Page::TooMany, head);
        // In whole seconds, and not before there is room.
        let pause = limit.pause.as_millis().div_ceil(1000);
        let pause = HeaderValue::try_from(pause.to_string()).expect("digits make a header value");
        answer.headers_mut().insert(header::RETRY_AFTER, pause);
        Some(answer)
    }

    async fn endpoint(&self, gate: &Gate, head: Parts, body: Incoming, sender: &Sender<'_>) -> Own {
        let signs_in = match Endpoint::named_by(head.uri.path()) {
            Some(Endpoint::Login | Endpoint::Callback | Endpoint::Accept) => true,
            // Not what a desktop asks again and again while it waits.
            _ => scan::is_opened_by(head.uri.path()) || mini_program::signs_in(head.uri.path()),
        };
        if signs_in && let Some(answer) = self.too_many(gate, &head, sender) {
            return answer;
        }
        match admit(gate, &Demand::from(Login::Off), &head, body).await {
            Attended::Answer(answer) => answer,
            // An endpoint of ours always has an answer of its own.
            Attended::Pass(..) => gate.page(Page::Broken, &head),
        }
    }

    async fn by_route(
        &self,
        route: &Route,
        head: Parts,
        body: Incoming,
        sender: &Sender<'_>,
        access: &mut Access,
    ) -> Answered {
        let (visitor, body) = match admit(&route.gate, &route.demand, &head, body).await {
            Attended::Pass(visitor, body) => (visitor, body),
            Attended::Answer(answer) => return Answered::own(answer),
        };
        access.by(visitor.user());
        let Some(target) = &route.target else {
            return Answered::own(route.gate.page(Page::NotFound, &head));
        };
        let began_at = Instant::now();
        let forwarded = self.forward(route, target, head, body, &visitor, sender).await;
        let took = began_at.elapsed();
        access.upstream_took(took);
        match forwarded {
            Ok(response) => {
                route.metrics.upstream_answered(took);
                Answered { response: response.map(LoginBody::inner), outcome: Outcome::Passed }
            }
            Err((failure, waiting)) => {
                if !failure.is_the_client_s() {
                    route.metrics.upstream_failed(failure.code());
                }
                Answered::own(self.explain(route, target, &failure, waiting))
            }
        }
    }

    async fn forward(
        &self,
        route: &Route,
        target: &Target,
        mut head: Parts,
        body: Incoming,
        visitor: &Visitor,
        sender: &Sender<'_>,
    ) -> Result<Response<Injected<UpstreamBody>>, (Failure, Waiting)> {
        let user = visitor.user();
        let life = || user.map(|user| route.gate.time_left(user));
        let tunnel = Terms::asked_for(&mut head, life, &sender.conn.open);
        if let Some((prefix, replacement)) = &target.rewrite {
            proxy::rewrite(&mut head, prefix, replacement);
        }
        let told = || inject::block(&user.map(WechatUser::told));
        let block = route.inject.html.then(told);
        if block.is_some() {
            inject::prepare_request(&mut head.headers);
        }
        let identity = route.introduce(user);
        let forwarding = Forwarding {
            client: &sender.client,
            scheme: route.gate.public_url().scheme(),
            underscores: self.plan.underscore_headers,
            host: target.host.as_ref(),
            request_id: sender.request_id,
            identity: &identity,
        };
        let exchange = Exchange {
            connect: target.connect,
            response_head: target.response_head,
            body_limit: target.body_limit,
            tunnel,
        };
        let upstream = &self.upstreams[target.upstream];
        match upstream.exchange(&head, body, &forwarding, exchange).await {
            Ok(response) => Ok(inject::inject(response, &head.method, block.as_deref())),
            Err(failure) => Err((failure, Waiting::of(&head))),
        }
    }

    fn explain(&self, route: &Route, target: &Target, failure: &Failure, waiting: Waiting) -> Own {
        if failure.is_the_client_s() {
            tracing::debug!(%failure, "a request did not arrive whole");
        } else {
            let upstream = self.upstreams[target.upstream].url();
            tracing::warn!(%failure, %upstream, "the upstream did not answer");
        }
        let status = failure.status();
        match waiting {
            Waiting::Script => {
                json_reply(status, format!(r#"{{"error":"{}"}}"#, failure.code()).into_bytes())
            }
            Waiting::Person(tongue) => {
                let look = route.gate.look();
                look.page(status, &pages::upstream(failure, tongue, look.site, &nonce()))
            }
        }
    }
}

/// Judges a request, however long that takes.
async fn admit(gate: &Gate, demand: &Demand, head: &Parts, body: Incoming) -> Attended<Incoming> {
    match gate.admit_by(head, demand, Asker::Visitor) {
        Verdict::Pass(visitor) => Attended::Pass(visitor, body),
        Verdict::Answer(answer) => Attended::Answer(answer),
        // On the heap, as all that is seldom: the room for it would be moved around with every request.
        Verdict::Wait(pending) => Box::pin(gate.attend(pending, head, body)).await,
    }
}

/// An answer, and what it means for the request.
struct Answered {
    response: Response<Body>,
    outcome: Outcome,
}

impl Answered {
    fn own(response: Own) -> Self {
        let outcome = Outcome::of_own(response.status());
        Self { response: response.map(LoginBody::own), outcome }
    }
}

/// Who waits for the answer.
#[derive(Clone, Copy)]
enum Waiting {
    Person(Tongue),
    Script,
}

impl Waiting {
    fn of(head: &Parts) -> Self {
        if is_navigation(&head.method, &head.headers) || is_form(&head.headers) {
            Self::Person(Tongue::of(&head.headers))
        } else {
            Self::Script
        }
    }
}
