//! The way from the tasks that ask to the thread that has the file.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::{sync::oneshot, time::timeout};

use super::{super::super::StoreError, place::Place, tables::Tables, worker::Worker};
use crate::clock::Clock;

/// How many operations wait at the most. As many are done in far less than the time that one of them is given.
const WAITING: usize = 4096;

/// How long an operation may take. A disk that does not answer for so long is an outage.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked of the thread.
pub(super) trait Job: Send {
    /// Whether it changes anything, and so needs a commit.
    fn writes(&self) -> bool;

    /// Whether anybody still waits for it.
    fn is_wanted(&self) -> bool;

    /// Does it. It may have to be done a second time, after the first was rolled back.
    fn run(&mut self, tables: &Tables<'_>) -> rusqlite::Result<()>;

    /// Says that it is done for good, or why it is not.
    fn answer(self: Box<Self>, outcome: Result<(), String>);
}

struct Asked<T, F> {
    writes: bool,
    run: F,
    found: Option<T>,
    reply: oneshot::Sender<Result<Option<T>, String>>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnMut(&Tables<'_>) -> rusqlite::Result<T> + Send,
{
    fn writes(&self) -> bool {
        self.writes
    }

    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, tables: &Tables<'_>) -> rusqlite::Result<()> {
        self.found = Some((self.run)(tables)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), String>) {
        // Who has left in the meantime was told that it may have been done or not.
        let Self { found, reply, .. } = *self;
        reply.send(outcome.map(|()| found)).ok();
    }
}

/// Where operations are handed in.
pub(super) struct Queue {
    /// None once it is closed.
    jobs: Option<SyncSender<Box<dyn Job>>>,
    closed: Mutex<Receiver<()>>,
}

impl Queue {
    /// Starts the thread, which ends after the queue is dropped.
    pub(super) fn start(
        db: Connection,
        place: Place,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let (jobs, asked) = mpsc::sync_channel(WAITING);
        let (closing, closed) = mpsc::sync_channel(1);
        let path: Box<Path> = place.path().into();
        let work = move || {
            Worker::new(db, place, clock).run(&asked);
            closing.send(()).ok();
        };
        thread::Builder::new()
            .name("wxgate-store".into())
            .spawn(work)
            .map_err(|error| format!("{}: no thread can be started: {error}", path.display()))?;
        Ok(Self { jobs: Some(jobs), closed: Mutex::new(closed) })
    }

    /// Has something looked up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        run: impl FnMut(&Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(false, doing, run).await
    }

    /// Has something changed, for good.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        run: impl FnMut(&Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(true, doing, run).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        writes: bool,
        doing: &'static str,
        run: impl FnMut(&Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let failed = |reason: String| StoreError::new(doing, reason);
        let gone = || failed("the thread that has its file is gone: restart".into());
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        match jobs.try_send(Box::new(Asked { writes, run, found: None, reply })) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(failed(format!("{WAITING} operations wait for its disk already")));
            }
            Err(TrySendError::Disconnected(_)) => return Err(gone()),
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(found))) => found.ok_or_else(gone),
            Ok(Ok(Err(reason))) => Err(failed(reason)),
            Ok(Err(_)) => Err(failed("it was given up: the log says why".into())),
            Err(_) => Err(failed(format!("its disk has not answered for {PATIENCE:?}"))),
        }
    }
}

impl Drop for Queue {
    /// Waits until the file is closed, so that who drops it can open it again. A disk that hangs is not waited for.
    fn drop(&mut self) {
        self.jobs = None;
        let closed = self.closed.get_mut().unwrap_or_else(PoisonError::into_inner);
        closed.recv_timeout(PATIENCE).ok();
    }
}
