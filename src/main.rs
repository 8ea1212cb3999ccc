//! The `wxgate` command: reads its arguments, starts what they ask for, and stops it in good order.

mod admin_client;
mod check;
mod cli;
mod health;
mod keys;
mod serve;
mod sessions;

use std::{fmt, process::ExitCode};

use clap::Parser;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};
use wxgate::{
    demo::Demo,
    gateway::{
        config::Problems,
        telemetry::{self, LogFormat},
    },
    simulator::Simulator,
};

use cli::{Cli, Command};

/// Exit codes after sysexits.h.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
/// What container runtimes take for "unhealthy", and scripts for "there was nothing".
const UNWELL: u8 = 1;

/// What the operator has to change, and the exit code.
struct Stop {
    message: String,
    code: u8,
}

impl Stop {
    fn usage(reason: impl fmt::Display) -> Self {
        Self { message: reason.to_string(), code: USAGE }
    }

    /// Says each problem, and leaves the count for the end.
    fn problems(problems: &Problems, place: impl fmt::Display) -> Self {
        cli::say_problem(problems);
        match problems.iter().count() {
            1 => Self::usage(format!("1 problem in {place}")),
            count => Self::usage(format!("{count} problems in {place}")),
        }
    }

    fn unwell(reason: impl fmt::Display) -> Self {
        Self { message: reason.to_string(), code: UNWELL }
    }

    fn unavailable(reason: impl fmt::Display) -> Self {
        Self { message: reason.to_string(), code: UNAVAILABLE }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where the terminal is gone there is nobody to tell.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            cli::say_error(&stop.message);
            ExitCode::from(stop.code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Stop> {
    match cli.command {
        // What these have to say is not a log, and the gateway's configuration says how its log looks.
        Command::Serve(_) | Command::Check(_) => {}
        Command::Health(health) => return health::ask(health.admin).map_err(Stop::unwell),
        Command::Keys(keys) => return keys::run(&keys),
        Command::Sessions(sessions) => return sessions::run(&sessions),
        Command::Snippet(snippet) => {
            cli::say(&snippet.text()?);
            return Ok(());
        }
        // What the others say on standard output is for people.
        Command::Simulator(_) | Command::Demo(_) => log(Some(LogFormat::Text))?,
    }
    // Browsers are served by threads of the gateway's own; this runtime makes the calls to WeChat.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Stop::unavailable)?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => serve::run(*arguments).await?,
            Command::Check(arguments) => check::run(&arguments).await?,
            Command::Simulator(simulator) => {
                let mut stop = StopSignals::new()?;
                let simulator = simulator.builder().map_err(Stop::usage)?;
                let simulator: Simulator = simulator.start().await.map_err(Stop::unavailable)?;
                cli::say(&format!("Local WeChat simulator: {}", simulator.url()));
                stop.told().await;
                simulator.stop().await;
            }
            Command::Demo(demo) => {
                let mut stop = StopSignals::new()?;
                let demo = Demo::start(demo.listen, demo.simulator_listen)
                    .await
                    .map_err(Stop::unavailable)?;
                cli::say(&cli::demo_steps(demo.url(), &demo.simulator().url()));
                stop.told().await;
                demo.stop().await;
            }
            // Answered above.
            Command::Health(_) | Command::Keys(_) | Command::Sessions(_) | Command::Snippet(_) => {}
        }
        Ok(())
    })
}

fn log(format: Option<LogFormat>) -> Result<(), Stop> {
    telemetry::init(format).map_err(Stop::usage)
}

/// Ctrl-C, and the word of a service manager.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From here on they do not kill any more.
    fn new() -> Result<Self, Stop> {
        let listen = |kind| signal(kind).map_err(Stop::unavailable);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
