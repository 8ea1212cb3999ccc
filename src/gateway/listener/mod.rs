//! Accepts connections, serves them, and lets them finish when the gateway stops.
//!
//! `sockets` and `wire` are what bytes come over, `room` how many connections there may be, `connection` what becomes of
//! one, `watched` and `head_timer` how long it may say nothing, and `answer` who answers its requests.

mod answer;
mod connection;
mod head_timer;
mod room;
mod sockets;
#[cfg(test)]
mod tests;
mod turns;
mod watched;

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time,
};

pub(in crate::gateway) use answer::{Answer, Conn};
pub(in crate::gateway) use room::Room;
pub(in crate::gateway) use sockets::{Listener, Sockets};

use super::{proxy::LONGEST_IDLE, tls::Certificates};
use answer::Talk;
use connection::Seat;
use sockets::{Accepted, BACKLOG, Entrance};

/// The pause when the system has no more descriptors: some connection has to end first.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// How long TCP's own handshake may take that has begun when the gateway stops. Shorter than the second after which
/// systems knock again: those who were overlooked meanwhile shall be refused then.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// How far a gateway has come on its way to a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Phase {
    Serving,
    /// Nobody is let in any more, and what is in flight is finished.
    Draining,
    /// What is left is cut.
    Cut,
}

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Limits {
    /// For the head of a request, from its first byte, and for a new connection to begin one.
    pub(in crate::gateway) request_head: Duration,
    /// For a connection on which nothing is asked.
    pub(in crate::gateway) keep_alive: Duration,
    /// For what is in flight when the gateway stops.
    pub(in crate::gateway) drain: Duration,
}

/// By what rules connections are served, on every core alike.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Rules {
    pub(in crate::gateway) limits: Limits,
    pub(in crate::gateway) room: Arc<Room>,
    /// With it clients have to speak TLS, without it they must not.
    pub(in crate::gateway) tls: Option<Arc<Certificates>>,
}

/// Serves what comes in by one core's listeners until told to stop, then waits for what is in flight, within the limit
/// for that.
pub(in crate::gateway) async fn serve<A: Answer>(
    listeners: Vec<Listener>,
    answer: Arc<A>,
    rules: Rules,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let entrances = listeners.into_iter().map(Listener::open).collect::<io::Result<Vec<_>>>()?;
    tokio::spawn(tidy(Arc::downgrade(&answer)));
    // Every connection holds a sender; when all are gone, so are the connections.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    let limit = rules.limits.drain;
    let core = Core { answer, rules, phase: phase.clone(), open };
    for entrance in entrances {
        tokio::spawn(accept(entrance, core.clone()));
    }
    drop(core);
    stopping(&mut phase).await;
    tokio::select! {
        closed = time::timeout(limit, all_closed.recv()) => {
            if closed.is_err() {
                tracing::warn!("some connections did not finish in time and are cut");
            }
        }
        () = cut(&mut phase) => tracing::warn!("what was in flight is cut"),
    }
    Ok(())
}

/// Tidies up for as long as somebody serves.
async fn tidy<A: Answer>(answer: Weak<A>) {
    let mut turns = time::interval(LONGEST_IDLE);
    while let Some(answer) = answer.upgrade() {
        answer.tidy();
        drop(answer);
        turns.tick().await;
    }
}

/// What all connections of a core share.
#[derive(Debug)]
struct Core<A> {
    answer: Arc<A>,
    rules: Rules,
    phase: watch::Receiver<Phase>,
    open: mpsc::Sender<()>,
}

impl<A> Clone for Core<A> {
    fn clone(&self) -> Self {
        Self {
            answer: self.answer.clone(),
            rules: self.rules.clone(),
            phase: self.phase.clone(),
            open: self.open.clone(),
        }
    }
}

async fn accept<A: Answer>(entrance: Entrance, core: Core<A>) {
    let mut phase = core.phase.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping(&mut phase) => break,
            accepted = entrance.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                // Only now: a core that waits for connections must not keep a place from one that has them. Until there
                // is room, the others stay in the system's queue.
                let place = tokio::select! {
                    biased;
                    () = stopping(&mut phase) => None,
                    place = core.rules.room.enter() => Some(place),
                };
                core.welcome(accepted, place);
            }
            Err(error) if passes(&error) => {}
            Err(error) => {
                if core.rules.room.may_warn_of_errors() {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                time::sleep(EXHAUSTED).await;
            }
        }
    }
    see_in(&entrance, &core).await;
    if let Err(error) = empty(entrance, &core) {
        tracing::warn!(%error, "connections that were waiting are lost");
    }
}

/// Lets in all who are halfway through TCP's own handshake. The system would cut them off when the socket closes, and they
/// believe that their connection is open as soon as they have heard of us, when we have not heard of them yet.
async fn see_in<A: Answer>(entrance: &Entrance, core: &Core<A>) {
    if !entrance.turn_away() {
        return;
    }
    let until = time::Instant::now() + HANDSHAKE;
    while let Ok(accepted) = time::timeout_at(until, entrance.accept()).await {
        match accepted {
            Ok(accepted) => core.welcome(accepted, None),
            Err(error) if passes(&error) => {}
            Err(_) => return,
        }
    }
}

/// Lets in all who stand in the queue: the system has told them that their connection is open. That holds even where
/// there is no room, since there can be no more of them than the queue holds.
fn empty<A: Answer>(entrance: Entrance, core: &Core<A>) -> io::Result<()> {
    let listener = entrance.close()?;
    for _ in 0..BACKLOG {
        match listener.accept() {
            Ok(accepted) => core.welcome(accepted, None),
            Err(error) if passes(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether an error concerns one connection, and the next one may well be accepted.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

impl<A: Answer> Core<A> {
    fn welcome(&self, accepted: Accepted, place: Option<OwnedSemaphorePermit>) {
        let Accepted { wire, peer, local } = accepted;
        let tls = self.rules.tls.as_ref().map(|certificates| certificates.config());
        let conn = Conn::new(peer, local, tls.is_some(), self.open.clone());
        tracing::debug!(peer = %conn.peer, local = %conn.local, tls = conn.tls, "a client has connected");
        let seat = Seat::new(place, self.open.clone());
        let talk = Arc::new(Talk::new(self.answer.clone(), conn));
        let (limits, phase) = (self.rules.limits, self.phase.clone());
        tokio::spawn(async move {
            match tls {
                None => connection::plain(wire, seat, talk, limits, phase).await,
                Some(config) => {
                    connection::secured(wire, config, seat, talk, limits, phase).await;
                }
            }
        });
    }
}

/// Waits for the word to stop. A gateway that was dropped stops as well.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    phase.wait_for(|phase| *phase != Phase::Serving).await.ok();
}

/// Waits for the word to cut. Without anybody to say it there is still the time limit.
async fn cut(phase: &mut watch::Receiver<Phase>) {
    if phase.wait_for(|phase| *phase == Phase::Cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}
