//! Sessions that outlive the process: a [`Store`](super::Store) over any place that keeps records.

mod records;

pub use records::{Ended, Kept, Page, Records, UserRow};
