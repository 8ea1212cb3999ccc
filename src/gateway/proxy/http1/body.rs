//! The body of an answer, which reads its connection and gives it back at the end.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    ending::{Ending, Piece},
    ongoing::{BodyTrouble, Ongoing},
    pool::Pool,
};

/// The body of an answer.
pub(in super::super) struct AnswerBody(State);

enum State {
    /// All of it that is left.
    Here(Bytes),
    /// Boxed: small answers should not be moved around with the room for this.
    Coming(Box<Coming>),
}

struct Coming {
    ongoing: Ongoing,
    ending: Ending,
    /// Where the connection goes afterwards, if it can be used again.
    pool: Option<Arc<Pool>>,
}

impl AnswerBody {
    /// The body that follows a head. Where all of it has come with the head, the connection is given back at once.
    pub(in super::super) fn new(
        mut ongoing: Ongoing,
        ending: Ending,
        pool: Option<&Arc<Pool>>,
    ) -> Self {
        if let Some(whole) = ongoing.whole(&ending) {
            if let Some(pool) = pool {
                pool.put_back(ongoing);
            }
            return Self(State::Here(whole));
        }
        Self(State::Coming(Box::new(Coming { ongoing, ending, pool: pool.cloned() })))
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyTrouble>>> {
        let coming = match &mut self.0 {
            State::Here(rest) => {
                let rest = mem::take(rest);
                return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
            }
            State::Coming(coming) => coming,
        };
        let frame = match ready!(coming.ongoing.poll_piece(context, &mut coming.ending)) {
            Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            // `NotYet` does not come out of there.
            Ok(Piece::End | Piece::NotYet) => None,
            Err(trouble) => {
                self.0 = State::Here(Bytes::new());
                return Poll::Ready(Some(Err(trouble)));
            }
        };
        // Nobody has to ask for an end that can be seen.
        if coming.ending.is_over()
            && let State::Coming(over) = mem::replace(&mut self.0, State::Here(Bytes::new()))
            && let Some(pool) = over.pool
        {
            pool.put_back(over.ongoing);
        }
        Poll::Ready(frame)
    }

    pub(in super::super) fn is_end_stream(&self) -> bool {
        matches!(&self.0, State::Here(rest) if rest.is_empty())
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        let left = match &self.0 {
            State::Here(rest) => Some(rest.len() as u64),
            State::Coming(coming) => coming.ending.left(),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
