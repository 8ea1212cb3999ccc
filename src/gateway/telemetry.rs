//! Logs: where they go and how much they say.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Where the level of the logs is looked for, in this order.
const VARIABLES: [&str; 2] = ["WXGATE_LOG", "RUST_LOG"];

/// Writes logs to standard error: at level `info`, or as `WXGATE_LOG` or else `RUST_LOG` say.
///
/// # Errors
/// When the variable cannot be read as a filter. What is wrong is in the message.
pub fn init() -> Result<(), String> {
    let set = VARIABLES.iter().find_map(|name| Some((name, std::env::var(name).ok()?)));
    let filter = match set {
        Some((name, text)) => {
            EnvFilter::try_new(&text).map_err(|error| format!("{name}={text:?}: {error}"))?
        }
        None => EnvFilter::new("info"),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // Somebody who has installed a subscriber before us has their reasons.
    subscriber.try_init().ok();
    Ok(())
}
