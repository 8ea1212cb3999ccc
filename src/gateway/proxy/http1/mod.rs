//! HTTP/1.1 with an upstream, in the task that serves the browser: no other task has to be woken for a request, its head
//! is written as the rules say it line by line, and of a small answer everything is taken with one read.
//!
//! [`Ongoing`] is one request and its answer on a [`Connection`]; [`Pool`] keeps connections for the next ones.

#[cfg(any(test, fuzzing))]
mod apart;
mod body;
mod chunks;
mod connection;
mod ending;
mod head;
mod ongoing;
mod pool;
mod request_head;
mod sending;

#[cfg(any(test, fuzzing))]
pub(crate) use apart::read_apart;
pub(super) use body::AnswerBody;
pub(super) use connection::Connection;
pub(super) use head::Head;
pub(in crate::gateway) use ongoing::BodyTrouble;
pub(super) use ongoing::{Ongoing, Trouble};
pub(in crate::gateway) use pool::LONGEST_IDLE;
pub(super) use pool::{MOST_IDLE, Pool};
pub(crate) use request_head::write_head;
pub(super) use sending::Sending;
