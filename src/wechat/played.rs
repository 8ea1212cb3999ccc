//! Plays WeChat's API without a network, for tests that decide when it answers.

use std::{fmt, pin::Pin, sync::Arc};

use super::client::Client;

/// The body of an answer, once it comes.
pub(crate) type Answering = Pin<Box<dyn Future<Output = String> + Send>>;

/// Makes an answer from a path and its query.
type Answers = dyn Fn(&str, &[(&str, &str)]) -> Answering + Send + Sync;

/// What is asked in place of WeChat.
#[derive(Clone)]
pub(super) struct Played(Arc<Answers>);

impl Played {
    pub(super) async fn answer(&self, path: &str, query: &[(&str, &str)]) -> String {
        (self.0)(path, query).await
    }
}

impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Played")
    }
}

impl Client {
    /// Asks this in place of WeChat.
    pub(crate) fn played_by(
        mut self,
        answer: impl Fn(&str, &[(&str, &str)]) -> Answering + Send + Sync + 'static,
    ) -> Self {
        self.played = Some(Played(Arc::new(answer)));
        self
    }
}
