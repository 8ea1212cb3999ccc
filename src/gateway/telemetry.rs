//! Logs: where they go, in which form, and how much they say.

use std::io::{self, IsTerminal};

use tracing::{Level, Subscriber};
use tracing_subscriber::{
    Registry,
    filter::{ParseError, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
};

/// Where the level of the logs is looked for, in this order.
const VARIABLES: [&str; 2] = ["WXGATE_LOG", "RUST_LOG"];

/// The form of the logs. Both have every field, and times in UTC after RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people, on standard error.
    Text,
    /// Lines of JSON for machines, on standard output.
    Json,
}

/// Writes logs at level `info`, or as `WXGATE_LOG` or else `RUST_LOG` say. Without a format, text where somebody watches
/// standard error on a terminal, and else JSON.
///
/// # Errors
/// When the variable cannot be read as a filter. What is wrong is in the message.
pub fn init(format: Option<LogFormat>) -> Result<(), String> {
    let filter = filter(|name| std::env::var(name).ok())?;
    let is_watched = io::stderr().is_terminal();
    let otherwise = if is_watched { LogFormat::Text } else { LogFormat::Json };
    match format.unwrap_or(otherwise) {
        LogFormat::Text => set(text(filter, io::stderr, is_watched)),
        LogFormat::Json => set(json(filter, io::stdout)),
    }
    Ok(())
}

fn set(subscriber: impl Subscriber + Send + Sync) {
    // Somebody who has installed a subscriber before us has their reasons.
    tracing::subscriber::set_global_default(subscriber).ok();
}

fn filter(read: impl Fn(&str) -> Option<String>) -> Result<Targets, String> {
    let set = VARIABLES.iter().find_map(|name| Some((name, read(name)?)));
    match set {
        Some((name, text)) => targets(&text).map_err(|error| format!("{name}={text:?}: {error}")),
        None => Ok(Targets::new().with_default(Level::INFO)),
    }
}

/// Reads levels and `target=level`, apart by commas. By itself the library takes a piece that it cannot use for a target
/// that nothing has, and so for silence.
fn targets(text: &str) -> Result<Targets, String> {
    let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
    let pieces: Vec<_> = pieces.collect();
    for piece in &pieces {
        let target = piece.split_once('=').map_or(*piece, |(target, _)| target);
        if !target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte)) {
            return Err(format!("{piece:?} is neither a level nor a target and its level"));
        }
    }
    pieces.join(",").parse().map_err(|error: ParseError| error.to_string())
}

fn text<W>(filter: Targets, writer: W, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    Registry::default().with(filter).with(lines)
}

/// One flat object a line, so that a field is found under its own name.
pub(super) fn json<W>(filter: Targets, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    Registry::default().with(filter).with(lines)
}

#[cfg(test)]
pub(super) mod testing {
    //! A log that tests can read.

    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Debug, Default)]
    pub(in crate::gateway) struct Pages(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Pages {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Pages {
        pub(in crate::gateway) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl<'w> MakeWriter<'w> for Pages {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    /// What `work` writes into the JSON log at this level.
    pub(in crate::gateway) fn logged(filter: &str, work: impl FnOnce()) -> Vec<Value> {
        let pages = Pages::default();
        let log = json(filter.parse().expect("it is a filter"), pages.clone());
        tracing::subscriber::with_default(log, work);
        let lines = pages.text();
        lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};

    fn speak() {
        tracing::info!(target: "wxgate::access", path = "/a\"\n\u{1b}b", status = 200, "request");
        tracing::debug!("aside");
    }

    #[test]
    fn json_is_one_flat_object_a_line() {
        let lines = logged("info", speak);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "wxgate::access");
        assert_eq!(line["message"], "request");
        assert_eq!(line["path"], "/a\"\n\u{1b}b");
        assert_eq!(line["status"], 200);
        let time = line["timestamp"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(logged("debug", speak).len(), 2);
        assert_eq!(logged("info,wxgate::access=off", speak), [serde_json::Value::Null; 0]);
    }

    #[test]
    fn text_is_one_line_with_the_same_fields_and_nothing_for_the_terminal_to_obey() {
        let pages = Pages::default();
        let log = text("info".parse().unwrap(), pages.clone(), false);
        tracing::subscriber::with_default(log, speak);
        let line = pages.text();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("status=200") && line.contains("wxgate::access"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
        let time = line.split_whitespace().next().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    }

    #[test]
    fn our_own_variable_comes_first() {
        let read = |known: &'static [(&str, &str)]| {
            filter(move |name| {
                known.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
            })
        };
        assert_eq!(read(&[]).unwrap().to_string(), "info");
        assert_eq!(read(&[("RUST_LOG", "warn")]).unwrap().to_string(), "warn");
        let both = read(&[("RUST_LOG", "warn"), ("WXGATE_LOG", "debug")]);
        assert_eq!(both.unwrap().to_string(), "debug");
        let error = read(&[("WXGATE_LOG", "wxgate=loud")]).unwrap_err();
        assert!(error.contains("WXGATE_LOG") && error.contains("wxgate=loud"), "{error}");
    }

    #[test]
    fn a_filter_is_levels_and_targets_and_nothing_is_silenced_by_mistake() {
        for same in
            ["info,wxgate::access=off", "info, wxgate::access=off", ",info,,wxgate::access=off,"]
        {
            let filter = targets(same).unwrap();
            assert!(filter.would_enable("wxgate", &Level::INFO), "{same}");
            assert!(!filter.would_enable("wxgate", &Level::DEBUG), "{same}");
            assert!(!filter.would_enable("wxgate::access", &Level::ERROR), "{same}");
        }
        for bad in ["wxgate=loud", "wxgate[span]=debug", "info,wx gate=debug", "wxgate = debug"] {
            assert!(targets(bad).is_err(), "{bad}");
        }
    }
}
