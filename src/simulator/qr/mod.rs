//! QR codes that a desktop shows and a phone scans: which are live, and how far each has come.

mod check;
mod desktop;
mod phone;
mod poll;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::get;
use tokio::sync::watch;

use crate::simulator::authorize::Door;
use crate::simulator::{Shared, ids};

/// How long a QR code can be scanned, in seconds.
const LIFE: u64 = 5 * 60;

/// The QR codes that were shown in the last minutes, by uuid.
#[derive(Debug, Default)]
pub(super) struct Qrs {
    shown: Mutex<HashMap<String, Qr>>,
    /// Told of every change, whichever it is about.
    changed: watch::Sender<()>,
}

/// A QR code.
#[derive(Debug, Clone)]
struct Qr {
    /// The page that shows it, and that page's query.
    door: Door,
    query: String,
    expires: u64,
    scan: Scan,
}

/// How far a QR code has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scan {
    Waiting,
    /// By this person, who is being asked.
    Scanned(String),
    /// With this code for the site.
    Confirmed(String),
    Cancelled,
}

pub(super) fn router() -> Router<Shared> {
    let (qrconnect, wecom) = (Door::Qrconnect.path(), Door::WecomLogin.path());
    Router::new()
        .route(qrconnect, get(desktop::qrconnect).post(desktop::qrconnect))
        .route(wecom, get(desktop::wecom).post(desktop::wecom))
        .route("/connect/qrcode/{uuid}", get(phone::picture))
        .route("/connect/confirm", get(phone::confirm).post(phone::confirm))
        .route("/connect/l/qrconnect", get(poll::handle))
}

impl Qrs {
    /// A new QR code: its uuid.
    fn draw(&self, door: Door, query: &str, now: u64) -> String {
        let uuid = ids::uuid();
        let mut shown = self.lock();
        shown.retain(|_, qr| now < qr.expires);
        let qr = Qr { door, query: query.to_owned(), expires: now + LIFE, scan: Scan::Waiting };
        shown.insert(uuid.clone(), qr);
        uuid
    }

    /// A QR code that has not expired.
    fn look(&self, uuid: &str, now: u64) -> Option<Qr> {
        self.lock().get(uuid).filter(|qr| now < qr.expires).cloned()
    }

    fn set(&self, uuid: &str, scan: Scan) {
        if let Some(qr) = self.lock().get_mut(uuid) {
            qr.scan = scan;
        }
        self.wake();
    }

    /// Nobody scans it any more.
    fn forget(&self, uuid: &str) {
        self.lock().remove(uuid);
        self.wake();
    }

    /// Whoever waits looks again: something has changed, or time has.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Qr>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
