//! Something that is made when it is needed, once for all who wait for it, and thrown away when it is of no use any more.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

use super::trouble::Trouble;

type Cell<T> = Arc<OnceCell<Result<T, Trouble>>>;

/// The current one of the things that are made one after the other.
#[derive(Debug)]
pub(super) struct Shared<T> {
    current: Mutex<Cell<T>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Held<T> {
    value: T,
    cell: Cell<T>,
}

impl<T: Clone> Shared<T> {
    pub(super) fn new() -> Self {
        Self { current: Mutex::new(Cell::default()) }
    }

    /// The current one, if there is one.
    pub(super) fn made(&self) -> Option<T> {
        self.cell().get().and_then(|made| made.as_ref().ok()).cloned()
    }

    /// The current one if it is good, or else what `make` makes now. All who wait get the same, be it an error; who comes
    /// behind that has another one made.
    pub(super) async fn get<F>(
        &self,
        is_good: impl Fn(&T) -> bool,
        make: impl FnOnce() -> F,
    ) -> Result<Held<T>, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut cell = self.cell();
        if cell.get().is_some_and(|made| !made.as_ref().is_ok_and(is_good)) {
            self.replace(&cell);
            cell = self.cell();
        }
        match cell.get_or_init(make).await {
            Ok(value) => Ok(Held { value: value.clone(), cell: cell.clone() }),
            Err(trouble) => {
                self.replace(&cell);
                Err(trouble.clone())
            }
        }
    }

    /// Throws one away, unless that was done already and there is another one.
    pub(super) fn discard(&self, held: &Held<T>) {
        self.replace(&held.cell);
    }

    fn cell(&self) -> Cell<T> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, old: &Cell<T>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, old) {
            *current = Cell::default();
        }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_who_wait_share_one_and_who_comes_later_gets_another() {
        let (made, shared) = (AtomicUsize::new(0), Shared::new());
        let make = || async {
            tokio::task::yield_now().await;
            match made.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Trouble::NoScript),
                number => Ok(number),
            }
        };
        let get = || shared.get(|_| true, make);
        let (one, two, three) = tokio::join!(get(), get(), get());
        assert!(one.is_err() && two.is_err() && three.is_err());
        let (one, two) = tokio::join!(get(), get());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((*one, *two), (1, 1));
        shared.discard(&two);
        assert_eq!((shared.made(), *get().await.unwrap()), (None, 2));
        shared.discard(&two); // too late: that one is gone already
        assert_eq!(shared.made(), Some(2));
        assert_eq!(*shared.get(|number| *number != 2, make).await.unwrap(), 3);
    }
}
