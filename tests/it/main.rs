//! The integration tests: one binary, one file a topic.

// Nothing is public beyond this binary.
#![allow(unreachable_pub)]

mod client;
mod faults;
mod layer;
mod login;
mod proxy;
mod redirects;
mod simulator;
mod third_party;
mod world;
