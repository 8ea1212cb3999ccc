//! The integration tests: one binary, one file a topic.

// Nothing is public beyond this binary.
#![allow(unreachable_pub)]

mod architecture;
mod client;
mod command;
mod faults;
mod layer;
mod login;
mod proxy;
mod redirects;
mod secrets;
mod simulator;
mod third_party;
mod world;
