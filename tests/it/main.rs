//! The integration tests: one binary, one file a topic.

mod simulator;
mod third_party;
