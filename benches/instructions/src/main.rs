//! Does one thing so many times, for a machine that counts instructions: `benches/instructions/run.sh`.

#[path = "../../world/mod.rs"]
mod world;

use std::{env, hint::black_box, process::ExitCode};

use tower::Service;
use wxgate::session::SessionId;

use world::at_once;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, times] = &arguments[..] else { return usage() };
    let Ok(times) = times.parse::<u32>() else { return usage() };
    match what.as_str() {
        // What the others do besides what they are here for.
        "request" => {
            let mut app = world::app();
            let headers = world::headers(SessionId::new());
            repeat(times, || at_once(app.call(world::request(&headers))).unwrap());
        }
        "head" => {
            let headers = world::headers(SessionId::new());
            repeat(times, || world::request(&headers).into_parts().0);
        }
        "pass" => {
            let (mut service, headers) = world::signed_in();
            repeat(times, || at_once(service.call(world::request(&headers))).unwrap());
        }
        #[cfg(feature = "gateway")]
        "strip-and-identify" => {
            let user = world::user();
            let request_id = http::HeaderValue::from_static("0b0e4c8e-6f6c-4f5e-9b0d-3f1f1b0e4c8e");
            let headers = world::headers(SessionId::new());
            let mut text = Vec::new();
            repeat(times, || {
                let head = world::request(&headers).into_parts().0;
                text.clear();
                wxgate::bench::strip_and_identify(&mut text, &head, &request_id, &user);
                text.len()
            });
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

#[allow(clippy::print_stderr)] // To whoever runs it by hand.
fn usage() -> ExitCode {
    eprintln!("usage: instructions request|head|pass|strip-and-identify TIMES");
    ExitCode::from(64)
}

fn repeat<T>(times: u32, mut work: impl FnMut() -> T) {
    for _ in 0..times {
        black_box(work());
    }
}
