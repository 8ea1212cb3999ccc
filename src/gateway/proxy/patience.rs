//! How long is waited for the head of an answer, and who is blamed when it does not come.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{failure::Failure, request_body::Progress};
use crate::gateway::alarm::Alarm;

/// How long a client may send nothing of a body that the upstream would take.
const LONGEST_STALL: Duration = Duration::from_secs(30);

/// Polls until there is an answer, until the upstream has been silent for `limit`, or until the client has been. While
/// the client's body moves, the upstream has nothing to answer yet. The alarm is that of the connection, where it has one.
pub(super) async fn wait<T>(
    alarm: &mut Option<Alarm>,
    limit: Option<Duration>,
    progress: Option<&Progress>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Failure> {
    if limit.is_none() && progress.is_none() {
        return Ok(poll_fn(poll).await);
    }
    let stall = limit.map_or(LONGEST_STALL, |limit| limit.min(LONGEST_STALL));
    let first = if progress.is_some() { stall } else { limit.unwrap_or(stall) };
    let (mut seen, mut moved_at) = (0, Instant::now());
    let alarm = alarm.get_or_insert_with(|| Alarm::new(moved_at + first));
    alarm.set(moved_at + first);
    poll_fn(|context| {
        if let Poll::Ready(answer) = poll(context) {
            return Poll::Ready(Ok(answer));
        }
        let mark = progress.map_or(0, Progress::mark);
        if mark != seen {
            (seen, moved_at) = (mark, Instant::now());
        }
        while alarm.poll(context).is_ready() {
            let silent = moved_at.elapsed();
            if Progress::is_waiting(mark) && silent >= stall {
                return Poll::Ready(Err(Failure::ClientStalled(stall)));
            }
            if let Some(limit) =
                limit.filter(|limit| silent >= *limit && !Progress::is_waiting(mark))
            {
                return Poll::Ready(Err(Failure::ResponseTimeout(limit)));
            }
            // Not yet: whichever comes first.
            let next =
                if silent < stall { Some(stall) } else { limit.filter(|limit| silent < *limit) };
            alarm.set(next.map_or_else(|| Instant::now() + stall, |next| moved_at + next));
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn never(limit: Option<Duration>) -> Result<(), Failure> {
        wait(&mut None, limit, None, |_| Poll::<()>::Pending).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_has_its_limit_however_long() {
        for seconds in [1, 29, 31, 600] {
            let limit = Duration::from_secs(seconds);
            let began = Instant::now();
            let failure = never(Some(limit)).await.unwrap_err();
            assert!(matches!(failure, Failure::ResponseTimeout(_)), "{failure}");
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
        let forever = tokio::time::timeout(Duration::from_secs(86_400), never(None)).await;
        assert!(forever.is_err(), "there is no limit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_given_up_whatever_the_upstream_may_take() {
        for (limit, expected) in [(None, 30), (Some(600), 30), (Some(5), 5)] {
            let progress = Progress::default();
            progress.note_waiting();
            let began = Instant::now();
            let limit = limit.map(Duration::from_secs);
            let failure =
                wait(&mut None, limit, Some(&progress), |_| Poll::<()>::Pending).await.unwrap_err();
            assert!(matches!(failure, Failure::ClientStalled(_)), "{failure}");
            assert_eq!(began.elapsed().as_secs(), expected);
        }
        let progress = Progress::default();
        let limit = Some(Duration::from_secs(600));
        let failure = wait(&mut None, limit, Some(&progress), |_| Poll::<()>::Pending).await;
        let failure = failure.unwrap_err();
        assert!(
            matches!(failure, Failure::ResponseTimeout(_)),
            "the whole body was sent: {failure}"
        );
    }
}
