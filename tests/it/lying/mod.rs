//! A platform that lies: what wxgate makes of every lie, and that it is the liar's own affair.

mod calls;
mod endpoints;
mod fields;
mod keeper;
mod lies;
mod logins;
mod persons;
mod platform;

use std::{
    future::Future,
    sync::{Mutex, Once},
};

use futures_util::{StreamExt, stream};

/// Whether there is time for every lie at every door: `WXGATE_LIES=all`.
pub fn is_all() -> bool {
    std::env::var("WXGATE_LIES").is_ok_and(|lies| lies == "all")
}

/// Runs all of them, so many at a time.
pub async fn all_of<T>(
    at_once: usize,
    cases: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    stream::iter(cases).buffered(at_once).collect().await
}

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// C55: panics anywhere but in a test, in whatever thread, from the first call on.
pub fn panics() -> Vec<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_test = panic.location().is_some_and(|at| at.file().starts_with("tests/"));
            if !is_test {
                PANICS.lock().unwrap().push(panic.to_string());
            }
            before(panic);
        }));
    });
    PANICS.lock().unwrap().clone()
}
