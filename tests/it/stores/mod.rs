//! The places for records outside of the process, each with what can happen to it.

#![allow(clippy::print_stdout)] // Some of the tests measure.

mod disk;
mod file;
mod file_disks;
mod file_kills;
pub mod redis;
mod redis_faults;
mod redis_load;
pub mod redis_server;
mod restarted;
