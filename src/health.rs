//! Asks a running gateway for its health, for containers, whose images hold no other program to ask with.

use std::net::SocketAddr;

use super::admin_client;

/// More than the answer's head takes.
const LARGEST_ANSWER: u64 = 4096;

/// Asks the admin listener at `addr` whether the process serves.
///
/// # Errors
/// When it does not. Why is in the message.
pub(crate) fn ask(addr: SocketAddr) -> Result<(), String> {
    let answer = admin_client::ask(addr, "GET /healthz", None, LARGEST_ANSWER);
    let answer =
        answer.map_err(|error| format!("no answer from http://{addr}/healthz: {error}"))?;
    if answer.status() == Some(200) {
        return Ok(());
    }
    let status = answer.status_line;
    Err(format!("http://{addr}/healthz answered {status:?}; is that the gateway's admin_listen?"))
}
