//! What arrived, and how it was answered: the simulator's memory for tests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// One request that reached the simulator. Secrets stay in place: this is a test instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Received {
    /// When it arrived, by the simulator's clock, in milliseconds since the Unix epoch.
    pub at: u64,
    /// `GET`, `POST` and so on; `REPLAY` for a callback that the simulator itself requested again.
    pub method: String,
    /// The path. For a `REPLAY`, the URL up to its query.
    pub path: String,
    /// The query string as it came. A form's body follows, after `&` where both exist.
    pub query: String,
    /// The HTTP status of the answer. 0: none was given, or none yet.
    pub status: u16,
    /// The `errcode` of the answer, where it had one.
    pub errcode: Option<i64>,
}

/// The list of what arrived, oldest first.
#[derive(Debug, Default)]
pub(super) struct Record {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// How many entries were cleared away: what is left of an `Entry` stays valid.
    forgotten: usize,
    list: Vec<Received>,
}

/// Where an answer is to be noted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry(usize);

impl Record {
    pub(super) fn arrived(&self, received: Received) -> Entry {
        let mut entries = self.lock();
        entries.list.push(received);
        Entry(entries.forgotten + entries.list.len() - 1)
    }

    pub(super) fn answered(&self, entry: Entry, status: u16, errcode: Option<i64>) {
        let mut entries = self.lock();
        let Some(index) = entry.0.checked_sub(entries.forgotten) else {
            return; // Cleared while the answer was being made.
        };
        if let Some(received) = entries.list.get_mut(index) {
            received.status = status;
            received.errcode = errcode;
        }
    }

    pub(super) fn all(&self) -> Vec<Received> {
        self.lock().list.clone()
    }

    pub(super) fn count(&self, path: &str) -> usize {
        let entries = self.lock();
        entries.list.iter().filter(|one| one.path == path).count()
    }

    pub(super) fn clear(&self) {
        let mut entries = self.lock();
        entries.forgotten += entries.list.len();
        entries.list.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_its_request_or_nothing_after_a_clear() {
        let record = Record::default();
        let first = record.arrived(request("/first"));
        record.clear();
        let second = record.arrived(request("/second"));
        record.answered(first, 500, None);
        record.answered(second, 200, Some(40029));
        let all = record.all();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].status, all[0].errcode), (200, Some(40029)));
        assert_eq!(record.count("/second"), 1);
    }

    fn request(path: &str) -> Received {
        Received {
            at: 0,
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            status: 0,
            errcode: None,
        }
    }
}
