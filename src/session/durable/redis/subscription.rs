//! Listens for what ends, and knows whether it hears everything.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::time::{Instant, interval_at, sleep, timeout};

use super::{
    super::Ended,
    dial::{ANSWER, in_time},
    names::{self, CHANNEL},
    nodes::Nodes,
    trouble::Trouble,
};

/// How long to wait before another try, which doubles up to the second one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// How often the server has to say that it is there: a connection that is cut somewhere on the way says nothing.
const BEAT: Duration = Duration::from_secs(1);

/// Whether everything that ends is heard of.
#[derive(Clone, Debug, Default)]
pub(super) struct Hears(Arc<AtomicBool>);

impl Hears {
    pub(super) fn everything(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, hears: bool) {
        self.0.store(hears, Ordering::SeqCst);
    }
}

/// Listens for ever, with pauses where that cannot be done.
pub(super) async fn listen(
    nodes: Arc<Nodes>,
    hears: Hears,
    ended: Arc<dyn Fn(Ended) + Send + Sync>,
) {
    let mut pause = PAUSES.0;
    let mut was_told = false;
    for tries in 0.. {
        let trouble = listen_once(&nodes, tries, &hears, &*ended).await;
        let had_heard = hears.everything();
        hears.set(false);
        if had_heard {
            (pause, was_told) = (PAUSES.0, false);
        }
        if let Err(trouble) = trouble
            && !was_told
        {
            let error = trouble.into_error("listen for the ends of sessions");
            tracing::warn!(%error, "sessions are looked up in redis on every request until it answers again");
            was_told = true;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Listens until the connection breaks, or another server is the right one.
async fn listen_once(
    nodes: &Nodes,
    tries: usize,
    hears: &Hears,
    ended: &(dyn Fn(Ended) + Send + Sync),
) -> Result<(), Trouble> {
    let at = nodes.listen_at(tries).await?;
    let to = format!("redis at {at}");
    let subscribed = in_time(&to, async {
        let mut connection = nodes.dialer.listen(&at).await?;
        let confirmed = connection.subscribe(CHANNEL).await;
        confirmed.map_err(|error| Trouble::from_answer(&at, &error))?;
        Ok(connection)
    });
    let (mut questions, messages) = subscribed.await?.split();
    let mut messages = pin!(messages);
    // Copies from before this moment may be of what has ended since the last message that was heard.
    ended(Ended::Account);
    hears.set(true);
    tracing::info!(redis = %at, "listening for the ends of sessions");
    let broken = || Trouble::unreached(&at, "it has stopped answering");
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    loop {
        let pong = async {
            beat.tick().await;
            timeout(ANSWER, questions.ping::<::redis::Value>()).await
        };
        let mut pong = pin!(pong);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => ended(names::ended(message.get_payload_bytes())),
                    None => return Err(broken()),
                },
                pong = &mut pong => match pong {
                    Ok(Ok(_)) => break,
                    _ => return Err(broken()),
                },
            }
        }
        if nodes.has_left(&at) {
            return Ok(());
        }
    }
}
