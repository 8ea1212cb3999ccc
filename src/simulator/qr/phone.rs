//! The phone that scans a QR code: its picture, and the page that it leads to.

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use http::{HeaderMap, HeaderValue, Method, Response, header};
use qrcode::QrCode;
use qrcode::render::svg;

use super::Scan;
use super::check::check;
use crate::simulator::page_error::PageError;
use crate::simulator::params::Params;
use crate::simulator::visit::Answer;
use crate::simulator::way_back::fresh_code;
use crate::simulator::{Shared, cookies, pages, visit};

/// What the page shows. It leads to the host that the page was opened at, which a real phone can perhaps reach.
pub(super) async fn picture(
    State(sim): State<Shared>,
    Path(uuid): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = host.map_or_else(|| sim.url.clone(), |host| format!("http://{host}"));
    let Ok(code) = QrCode::new(format!("{base}/connect/confirm?uuid={uuid}")) else {
        return pages::not_found().await; // So long is no uuid of ours.
    };
    let svg = code.render::<svg::Color<'_>>().min_dimensions(280, 280).build();
    let mut response = Response::new(Body::from(svg));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    response
}

/// The page behind the QR code: opening it is the scan, and then the person is asked.
pub(super) async fn confirm(
    State(sim): State<Shared>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let params = Params::parse(uri.query().unwrap_or_default().as_bytes());
    let uuid = params.first("uuid").unwrap_or_default();
    let live = sim.qrs.look(uuid, sim.clock.seconds());
    let live = live.filter(|qr| matches!(qr.scan, Scan::Waiting | Scan::Scanned(_)));
    let Some(qr) = live else {
        return pages::error(PageError::QrExpired);
    };
    let authorize = match check(qr.door, &qr.query, &sim.world) {
        Ok(authorize) => authorize,
        Err(error) => return pages::error(error),
    };
    let tap =
        if method == Method::POST { Params::parse(body.as_bytes()) } else { Params::default() };
    if let Some(chosen) = cookies::chosen(&sim.world, &tap) {
        return pages::see_other(&uri.to_string(), &chosen);
    }
    let user = match visit::by_header(&sim, &headers) {
        Ok(by_header) => by_header.or_else(|| sim.world.user(cookies::user(&headers)?)),
        Err(response) => return response,
    };
    let Some(user) = user else {
        return pages::picker(&sim, &authorize);
    };
    if !authorize.account.signs_in(user) {
        return pages::error(PageError::NotAMember);
    }
    let told = match visit::told(&headers, &tap) {
        Ok(told) => told,
        Err(response) => return response,
    };
    sim.qrs.set(uuid, Scan::Scanned(user.name.clone()));
    let Some(answer) = told else {
        return pages::consent(&sim, &authorize, user);
    };
    match visit::mishap(&sim, qr.door).unwrap_or(answer) {
        Answer::Allow => {
            sim.qrs.set(uuid, Scan::Confirmed(fresh_code(&sim, &authorize, user)));
            pages::done(true)
        }
        Answer::Deny => {
            sim.qrs.set(uuid, Scan::Cancelled);
            pages::done(false)
        }
        Answer::Silence => pages::blank(),
    }
}
