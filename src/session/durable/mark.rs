//! The mark in a store that tells whose keys it is sealed with.
//!
//! Without it, a key ring that is not the store's could not be told from one out of which an old key was dropped: the one
//! must change nothing, since it would sign everybody out, and the other has signed out whom it was to.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    super::{Purpose, StoreError},
    Inner, LONGEST_KEPT,
    codec::Unread,
};

/// The name of the mark among the outcomes of one-use records, none of which is called so.
const MARK: &str = "keys";

/// The key that we know the mark to be sealed with.
#[derive(Default)]
pub(super) struct Marked(AtomicU64);

impl Inner {
    /// Whether the store is marked with a key of ours. Not, where nobody has marked it yet.
    ///
    /// # Errors
    /// When the keys are not the store's.
    pub(super) async fn compare_keys(&self) -> Result<bool, StoreError> {
        let Some(mark) = self.records().outcome(MARK).await? else { return Ok(false) };
        if self.keys.open_bytes(Purpose::StoreMark, MARK, &mark).is_ok() {
            return Ok(true);
        }
        let why = "it is sealed with other keys than those of this instance: give it the key file that belongs to the \
                   store, or, if that is lost, empty the store, and everybody signs in again";
        Err(StoreError::new("open what is kept", why))
    }

    /// Sees to it that the store is marked with the key that seals now, so that no dropped key takes the mark along.
    ///
    /// # Errors
    /// When the keys are not the store's. Nothing may be written then.
    pub(super) async fn leave_mark(&self) -> Result<(), StoreError> {
        // One bit more than a key's name has, so that the name of no key is the same as none.
        let key = u64::from(u32::from_be_bytes(self.keys.sealing_id())) | 1 << 32;
        if self.marked.0.load(Ordering::Relaxed) == key {
            return Ok(());
        }
        self.compare_keys().await?;
        let mark = self.keys.seal_bytes(Purpose::StoreMark, MARK, &[]);
        self.records().put_outcome(MARK, &mark, LONGEST_KEPT).await?;
        self.marked.0.store(key, Ordering::Relaxed);
        Ok(())
    }

    /// What a record says. None where it was sealed with a key that is not in use any more.
    ///
    /// # Errors
    /// When the keys are not the store's: what does not open is no absent record then.
    pub(super) async fn opened<T>(&self, read: Result<T, Unread>) -> Result<Option<T>, StoreError> {
        match read {
            Ok(said) => Ok(Some(said)),
            Err(Unread::Foreign) => {
                let why = "a newer wxgate has written it; use that one on all machines";
                Err(StoreError::new("read a record", why))
            }
            Err(Unread::Unopened) if self.compare_keys().await? => {
                tracing::debug!(
                    "a record was sealed with a key that was dropped, and counts for nothing"
                );
                Ok(None)
            }
            Err(Unread::Unopened) => {
                let why = "it does not open, and no mark tells whether the keys are the store's; give this instance \
                           the key file that belongs to the store";
                Err(StoreError::new("read a record", why))
            }
        }
    }
}
