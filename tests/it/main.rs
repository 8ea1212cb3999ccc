//! The integration tests: one binary, one file a topic.

// Nothing is public beyond this binary.
#![allow(unreachable_pub)]

mod architecture;
mod browser;
mod callback;
mod client;
mod command;
mod faults;
mod layer;
mod log_out;
mod login;
mod proxy;
mod redirects;
mod refresh;
mod secrets;
mod simulator;
mod third_party;
mod world;
