//! Idle connections, kept for the next request.

use std::{
    fmt, mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use tokio::time::Instant;

use super::{connection::Connection, ongoing::Ongoing};

/// How many idle connections a core keeps: with fewer than it has requests in flight at times, it would open new ones all the
/// time. They are let go of after a few seconds anyway.
pub(in super::super) const MOST_IDLE: usize = 1024;
/// Below Node's 5 s: a connection that the upstream closes in the moment of its use would fail a request.
pub(in crate::gateway) const LONGEST_IDLE: Duration = Duration::from_secs(4);

/// The idle connections of one core, the one that was used last on top. The lock is never waited for: a core is one
/// thread.
#[derive(Default)]
pub(in super::super) struct Pool(Mutex<Vec<(Box<Connection>, Instant)>>);

impl Pool {
    /// A connection that was open a moment ago, if there is one.
    pub(in super::super) fn take(&self, context: &mut Context<'_>) -> Option<Box<Connection>> {
        loop {
            let (mut connection, since) = self.lock().pop()?;
            if since.elapsed() >= LONGEST_IDLE {
                // All below it are older.
                mem::take(&mut *self.lock());
                return None;
            }
            if connection.is_idle(context) {
                return Some(connection);
            }
        }
    }

    /// Lets go of connections that nobody will use again.
    pub(in super::super) fn sweep(&self) {
        // The oldest are at the bottom.
        let mut idle = self.lock();
        let old = idle.partition_point(|(_, since)| since.elapsed() >= LONGEST_IDLE);
        let old: Vec<_> = idle.drain(..old).collect();
        drop(idle);
        drop(old);
    }

    /// Keeps the connection of an exchange that has ended, unless there is more on it.
    pub(super) fn put_back(&self, ongoing: Ongoing) {
        let Some(connection) = ongoing.into_rested() else { return };
        let mut idle = self.lock();
        if idle.len() < MOST_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Box<Connection>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.lock().len()).finish()
    }
}
