//! The `wxgate` command: reads its arguments, starts what they ask for, and stops it in good order.

mod cli;

use std::{fmt, process::ExitCode};

use clap::Parser;
use tokio::{runtime, signal::unix};
use wxgate::{
    demo::Demo,
    gateway::{Gateway, telemetry},
    simulator::Simulator,
};

use cli::{Cli, Command};

/// Exit codes after sysexits.h.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;

/// What the operator has to change, and the exit code.
struct Stop {
    message: String,
    code: u8,
}

impl Stop {
    fn usage(reason: impl fmt::Display) -> Self {
        Self { message: reason.to_string(), code: USAGE }
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
    telemetry::init().map_err(Stop::usage)?;
    // Browsers are served by threads of the gateway's own; this runtime makes the calls to WeChat.
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Stop::unavailable)?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => {
                let settings = serve.settings().map_err(Stop::usage)?;
                let (listen, upstream) = (serve.listen, &serve.upstream);
                let gateway = Gateway::start(settings);
                let gateway = gateway.map_err(|error| {
                    Stop::unavailable(format!("cannot serve on {listen}: {error}"))
                })?;
                tracing::info!(addr = %gateway.addr(), %upstream, "serving");
                stop_signal().await?;
                tracing::info!("stopping: finishing what is in flight");
                tokio::select! {
                    () = gateway.stop() => {}
                    again = stop_signal() => {
                        tracing::warn!("told to stop twice: what is in flight is cut");
                        again?;
                    }
                }
            }
            Command::Simulator(simulator) => {
                let simulator = simulator.builder().map_err(Stop::usage)?;
                let simulator: Simulator = simulator.start().await.map_err(Stop::unavailable)?;
                cli::say(&format!("Local WeChat simulator: {}", simulator.url()));
                stop_signal().await?;
                simulator.stop().await;
            }
            Command::Demo(demo) => {
                let demo = Demo::start(demo.listen, demo.simulator_listen)
                    .await
                    .map_err(Stop::unavailable)?;
                cli::say(&cli::demo_steps(demo.url(), &demo.simulator().url()));
                stop_signal().await?;
                demo.stop().await;
            }
        }
        Ok(())
    })
}

/// Waits for Ctrl-C or the word of a service manager.
async fn stop_signal() -> Result<(), Stop> {
    let mut terminate = unix::signal(unix::SignalKind::terminate()).map_err(Stop::unavailable)?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt()).map_err(Stop::unavailable)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
