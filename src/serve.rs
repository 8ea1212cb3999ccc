//! `wxgate serve`: runs the gateway, changes it when its configuration changes, and stops it in good order.

use std::{io, path::PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use wxgate::gateway::{
    Gateway, Settings, WatchedFiles,
    config::{Config, Problems},
    systemd::{self, State},
};

use super::{Stop, StopSignals, cli::Serve, log};

pub(crate) async fn run(serve: Serve) -> Result<(), Stop> {
    // Before anybody can know that we run: until somebody listens for them, signals kill.
    let mut stop = StopSignals::new()?;
    let hang_up = signal(SignalKind::hangup()).map_err(Stop::unavailable)?;
    let mut source = serve.file.clone().map(Source::new);
    let config = match &mut source {
        Some(source) => {
            source.read().map_err(|problems| Stop::problems(&problems, source.file.display()))?
        }
        None => serve.flags()?,
    };
    log(config.log_format)?;
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

/// A configuration file, and the files that it names.
struct Source {
    file: PathBuf,
    files: Vec<PathBuf>,
    watched: io::Result<WatchedFiles>,
}

impl Source {
    fn new(file: PathBuf) -> Self {
        Self { files: vec![file.clone()], file, watched: Err(io::ErrorKind::NotFound.into()) }
    }

    /// Reads it. The files are watched before that, so that a change is noticed even if it comes while they are read;
    /// which files these are is only known from the file itself.
    fn read(&mut self) -> Result<Config, Problems> {
        loop {
            self.watched = WatchedFiles::new(self.files.iter().cloned());
            let config = Config::from_file(&self.file);
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
async fn keep_up(gateway: &Gateway, source: Option<Source>, mut hang_up: Signal) -> ! {
    let Some(mut source) = source else {
        loop {
            hang_up.recv().await;
            tracing::warn!(
                "there is no configuration file to read again: start with --config FILE"
            );
        }
    };
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
