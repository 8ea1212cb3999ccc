//! How many connections may be open at once, over all cores.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gateway::seldom::Seldom;

/// Room for connections. When it is full, those who come next wait in the system's queue.
#[derive(Debug)]
pub(in crate::gateway) struct Room {
    places: Arc<Semaphore>,
    size: usize,
    full: Seldom,
    errors: Seldom,
}

impl Room {
    pub(in crate::gateway) fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        let (full, errors) = (Seldom::default(), Seldom::default());
        Self { places: Arc::new(Semaphore::new(size)), size, full, errors }
    }

    /// How many connections are open.
    pub(in crate::gateway) fn open(&self) -> usize {
        self.size - self.places.available_permits()
    }

    /// Takes a place as soon as there is one. It is given back when the permit is dropped.
    pub(super) async fn enter(&self) -> OwnedSemaphorePermit {
        let places = self.places.clone();
        if let Ok(place) = places.clone().try_acquire_owned() {
            return place;
        }
        if self.full.may_speak() {
            tracing::warn!(
                limit = self.size,
                "as many connections are open as may be, others have to wait: raise `limits.connections` if this goes on"
            );
        }
        places.acquire_owned().await.expect("nobody closes the semaphore")
    }

    /// Whether it is time to tell the log that connections cannot be accepted.
    pub(super) fn may_warn_of_errors(&self) -> bool {
        self.errors.may_speak()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_leaves_makes_room() {
        let room = Arc::new(Room::new(1));
        let first = room.enter().await;
        assert_eq!(room.open(), 1);
        let second = tokio::spawn({
            let room = room.clone();
            async move { room.enter().await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(room.open(), 1);
        drop(second);
        assert_eq!(room.open(), 0);
    }
}
