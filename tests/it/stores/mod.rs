//! The places for records outside of the process, each with what can happen to it.

mod file;
