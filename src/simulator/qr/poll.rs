//! The long poll of a page with a QR code: it answers as soon as there is something new, in JavaScript.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, Response, Uri, header};

use super::{Qrs, Scan};
use crate::simulator::Shared;
use crate::simulator::answer::Errcode;
use crate::simulator::clock::Clock;
use crate::simulator::params::Params;

/// Real time: the page asks again afterwards.
const PATIENCE: Duration = Duration::from_secs(25);

const WAITING: i64 = 408;
const SCANNED: i64 = 404;
const CONFIRMED: i64 = 405;
const CANCELLED: i64 = 403;
const EXPIRED: i64 = 402;

pub(super) async fn handle(State(sim): State<Shared>, uri: Uri) -> Response<Body> {
    let params = Params::parse(uri.query().unwrap_or_default().as_bytes());
    let uuid = params.first("uuid").unwrap_or_default();
    let (errcode, code) = sim.qrs.news(&sim.clock, uuid, params.first("last")).await;
    let body = format!("window.wx_errcode={errcode};window.wx_code='{code}';");
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(Errcode(errcode));
    response
}

impl Qrs {
    /// What the page does not know yet, and the code; or, after some time, that there is nothing.
    async fn news(&self, clock: &Clock, uuid: &str, last: Option<&str>) -> (i64, String) {
        let mut changed = self.changed.subscribe();
        let news = async {
            loop {
                changed.mark_unchanged();
                let scan = self.look(uuid, clock.seconds()).map(|qr| qr.scan);
                match scan {
                    None => return (EXPIRED, String::new()),
                    Some(Scan::Confirmed(code)) => return (CONFIRMED, code),
                    Some(Scan::Cancelled) => return (CANCELLED, String::new()),
                    Some(Scan::Scanned(_)) if last != Some("404") => {
                        return (SCANNED, String::new());
                    }
                    // A page that knows of the scan hears of it again when it was for nothing.
                    Some(Scan::Scanned(_) | Scan::Waiting) => {}
                }
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, news).await.unwrap_or((WAITING, String::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinHandle;

    use super::*;
    use crate::simulator::authorize::Door;

    struct Page {
        qrs: Arc<Qrs>,
        clock: Arc<Clock>,
        uuid: String,
    }

    impl Page {
        fn show() -> Self {
            let (qrs, clock) = (Arc::<Qrs>::default(), Arc::<Clock>::default());
            let uuid = qrs.draw(Door::Qrconnect, "", clock.seconds());
            Self { qrs, clock, uuid }
        }

        /// A poll that has begun to wait.
        async fn poll(&self, last: Option<&'static str>) -> JoinHandle<(i64, String)> {
            let (qrs, clock, uuid) = (self.qrs.clone(), self.clock.clone(), self.uuid.clone());
            let poll = tokio::spawn(async move { qrs.news(&clock, &uuid, last).await });
            tokio::task::yield_now().await;
            poll
        }

        fn set(&self, scan: Scan) {
            self.qrs.set(&self.uuid, scan);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_answers_at_once_when_something_happens_and_after_25_seconds_when_nothing_does()
    {
        let page = Page::show();
        let started = tokio::time::Instant::now();
        assert_eq!(page.poll(None).await.await.expect("an answer").0, 408);
        assert_eq!(started.elapsed(), PATIENCE);

        let poll = page.poll(None).await;
        page.set(Scan::Scanned("alice".to_owned()));
        assert_eq!(poll.await.expect("an answer").0, 404);
        // Once more to whoever has not heard it, and not to whoever has.
        assert_eq!(page.poll(None).await.await.expect("an answer").0, 404);
        let poll = page.poll(Some("404")).await;
        assert!(!poll.is_finished());
        page.set(Scan::Confirmed("C0DE".to_owned()));
        assert_eq!(poll.await.expect("an answer"), (405, "C0DE".to_owned()));
        assert_eq!(started.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_qr_code_can_be_cancelled_and_dies_of_age() {
        let page = Page::show();
        let poll = page.poll(Some("404")).await;
        page.set(Scan::Cancelled);
        assert_eq!(poll.await.expect("an answer").0, 403);

        let page = Page::show();
        let poll = page.poll(None).await;
        page.clock.advance(Duration::from_secs(LIFE));
        page.qrs.wake();
        assert_eq!(poll.await.expect("an answer").0, 402);
        let unknown = page.qrs.news(&page.clock, "unknown", None).await;
        assert_eq!(unknown.0, 402);
    }

    const LIFE: u64 = super::super::LIFE;
}
