//! `wxgate serve`: runs the gateway, changes it when its configuration changes, and stops it in good order.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use wxgate::{
    clock::{Clock, SystemClock},
    gateway::{
        Gateway, Settings, WatchedFiles,
        config::{Config, Flags, Problems},
        systemd::{self, State},
    },
};

use super::{Stop, StopSignals, cli::Serve, log};

pub(crate) async fn run(serve: Serve) -> Result<(), Stop> {
    // Before anybody can know that we run: until somebody listens for them, signals kill.
    let mut stop = StopSignals::new()?;
    let hang_up = signal(SignalKind::hangup()).map_err(Stop::unavailable)?;
    let mut source = match serve.file.clone() {
        Some(file) => Source::new(Origin::File(file)),
        None => Source::new(Origin::Flags(Box::new(serve.flags()?))),
    };
    let mut config = source.read().map_err(|problems| source.stop(&problems))?;
    log(config.log_format)?;
    if config.session.make_keys(SystemClock.now()).map_err(Stop::unavailable)?.is_some() {
        let file = config.session.key_file.as_deref().unwrap_or(Path::new("")).display();
        tracing::warn!(%file, "made the keys of the store: keep a copy of them wherever the store is backed up");
        // They are among the files now that are in use.
        config = source.read().map_err(|problems| source.stop(&problems))?;
    }
    warn(&config);
    let sites: Vec<_> = config.sites.values().map(|site| site.public_url.as_str()).collect();
    let sites = sites.join(" ");
    let gateway = Gateway::start(Settings::from_config(config)).map_err(Stop::unavailable)?;
    let admin = gateway.admin_addr().map(tracing::field::display);
    let addrs: Vec<_> = gateway.addrs().iter().map(ToString::to_string).collect();
    tracing::info!(addr = addrs.join(" "), admin, sites, "serving");
    systemd::tell(State::Ready);

    tokio::select! {
        () = stop.told() => {}
        never = keep_up(&gateway, source, hang_up) => never,
    }
    systemd::tell(State::Stopping);
    tracing::info!("stopping: finishing what is in flight");
    tokio::select! {
        () = gateway.stop() => {}
        () = stop.told() => {
            tracing::warn!("told to stop twice: what is in flight is cut");
        }
    }
    Ok(())
}

/// Where the configuration stands.
enum Origin {
    File(PathBuf),
    /// In the options, which stay. What is in the files that they name may change.
    Flags(Box<Flags>),
}

/// A configuration, and the files that it is made of.
struct Source {
    origin: Origin,
    files: Vec<PathBuf>,
    watched: io::Result<WatchedFiles>,
}

impl Source {
    fn new(origin: Origin) -> Self {
        let files = match &origin {
            Origin::File(file) => vec![file.clone()],
            Origin::Flags(_) => Vec::new(),
        };
        Self { origin, files, watched: Err(io::ErrorKind::NotFound.into()) }
    }

    /// Reads it. The files are watched before that, so that a change is noticed even if it comes while they are read;
    /// which files these are is only known from the configuration itself.
    fn read(&mut self) -> Result<Config, Problems> {
        loop {
            self.watched = WatchedFiles::new(self.files.iter().cloned());
            let config = match &self.origin {
                Origin::File(file) => Config::from_file(file),
                Origin::Flags(flags) => Config::from_flags(flags, &|name| std::env::var_os(name)),
            };
            let files = match &config {
                Ok(config) => &config.files,
                Err(problems) => &problems.files,
            };
            if *files == self.files {
                return config;
            }
            self.files.clone_from(files);
        }
    }

    fn stop(&self, problems: &Problems) -> Stop {
        match &self.origin {
            Origin::File(file) => Stop::problems(problems, file.display()),
            Origin::Flags(_) => Stop::problems(problems, "the options"),
        }
    }

    /// Waits until one of the files has changed since it was read.
    async fn changed(&mut self) {
        match &mut self.watched {
            Ok(watched) => watched.changed().await,
            Err(error) => {
                tracing::warn!(%error, "changes of files are not noticed; SIGHUP still works");
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Reads the configuration again when told to, and when one of its files changes.
async fn keep_up(gateway: &Gateway, mut source: Source, mut hang_up: Signal) -> ! {
    loop {
        let why = tokio::select! {
            _ = hang_up.recv() => "SIGHUP",
            () = source.changed() => "a file has changed",
        };
        systemd::tell(State::Reloading);
        match source.read() {
            Ok(config) => match gateway.reload(&config) {
                Ok(()) => {
                    warn(&config);
                    tracing::info!(why, "the configuration was read again and is in force");
                }
                Err(error) => tracing::error!(%error, why, "the old configuration stays"),
            },
            Err(problems) => {
                gateway.reload_failed();
                for problem in problems.iter() {
                    tracing::error!(%problem, why, "the old configuration stays");
                }
            }
        }
        systemd::tell(State::Ready);
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}
