//! Logs: where they go and how much they say.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Writes logs to standard error: at level `info`, or as `WXGATE_LOG` says in the form of `RUST_LOG`.
///
/// # Errors
/// When `WXGATE_LOG` cannot be read as a filter. What is wrong is in the message.
pub fn init() -> Result<(), String> {
    let filter = match std::env::var("WXGATE_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|e| format!("WXGATE_LOG={text:?}: {e}"))?,
        Err(_) => EnvFilter::new("info"),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Somebody who has installed a subscriber before us has their reasons.
    subscriber.try_init().ok();
    Ok(())
}
