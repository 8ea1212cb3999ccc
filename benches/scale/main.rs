//! What a million users, a full store, a start and a hundred thousand connections cost: `benches/scale/run.sh`.

mod connections;
mod eviction;
mod lookup;
mod process;
mod report;
mod start;
mod users;
#[path = "../world/mod.rs"]
mod world;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    // Cargo adds an option of its own.
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let met = match arguments[..] {
        ["users"] => users::measure(),
        ["users", count, known] => users::fill(number(count), known),
        ["lookup"] => lookup::measure(),
        ["lookup", count, lookups] => lookup::look_up(number(count), number(lookups)),
        ["eviction"] => eviction::measure(),
        ["start"] => start::measure(),
        ["connections"] => connections::measure(number("100000")),
        ["connections", count] => connections::measure(number(count)),
        ["connections", first, count, port] => {
            connections::hold(number(first), number(count), port.parse().expect("a port"))
        }
        _ => {
            report::say("usage: scale users|lookup|eviction|start|connections [COUNT]");
            return ExitCode::from(64);
        }
    };
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}
