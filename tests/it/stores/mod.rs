//! The places for records outside of the process, each with what can happen to it.

#![allow(clippy::print_stdout)] // Some of the tests measure.

mod file;
mod redis;
mod redis_faults;
mod redis_load;
mod redis_server;
