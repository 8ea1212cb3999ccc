//! The bridge to tower-sessions: handlers use its `Session` for their own data, under our cookie, id and lifetime.

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use tower_sessions_core::{
    Expiry, Session as AppSession, SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

use super::{
    id::SessionId,
    session::Session,
    store::{Store, StoreError},
};

/// The app's session of a request. Nothing is loaded until a handler touches it.
///
/// Where nobody is signed in there is no place for data: reading finds nothing, and saving is an error.
pub(crate) fn open(store: &Arc<dyn Store>, session: Option<&Arc<Session>>) -> AppSession {
    let bound = Bound { store: store.clone(), session: session.cloned() };
    let id = session.map(|session| app_id(session.id()));
    let expiry = session.map(|session| {
        let ends_at = session.ends_at(&store.lifetimes()).unix();
        Expiry::AtDateTime(date(ends_at))
    });
    AppSession::new(id, Arc::new(bound), expiry)
}

/// A store that knows one session only: whatever the app does, its data stays under that session's id.
#[derive(Debug)]
struct Bound {
    store: Arc<dyn Store>,
    session: Option<Arc<Session>>,
}

impl Bound {
    fn session(&self) -> Result<&Session> {
        let nobody = "nobody is signed in, and the app's data lives with the sign-in";
        self.session.as_deref().ok_or_else(|| Error::Backend(nobody.to_owned()))
    }
}

#[async_trait]
impl SessionStore for Bound {
    /// After `cycle_id` or `flush`: the id stays ours, it is new at each sign-in anyway.
    async fn create(&self, record: &mut Record) -> Result<()> {
        record.id = app_id(self.session()?.id());
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let id = self.session()?.id();
        if record.data.is_empty() {
            return self.store.remove_app_data(id).await.map_err(backend);
        }
        let data = serde_json::to_vec(&record.data).map_err(|e| Error::Encode(e.to_string()))?;
        if !self.store.save_app_data(id, data.into()).await.map_err(backend)? {
            tracing::debug!("the session ended while the app used it; its data is dropped");
        }
        Ok(())
    }

    /// Never absent: tower-sessions would take an unknown id for a forged one and leave it.
    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let session = self.session()?;
        let saved = self.store.load_app_data(session.id()).await.map_err(backend)?;
        let data = saved.map(|data| serde_json::from_slice(&data)).transpose();
        let data = data.map_err(|e| Error::Decode(e.to_string()))?.unwrap_or_default();
        let expiry_date = date(session.ends_at(&self.store.lifetimes()).unix());
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, _: &Id) -> Result<()> {
        self.store.remove_app_data(self.session()?.id()).await.map_err(backend)
    }
}

fn app_id(id: SessionId) -> Id {
    Id(id.as_u128().cast_signed())
}

fn date(unix: u64) -> OffsetDateTime {
    let seconds = i64::try_from(unix).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
}

#[allow(clippy::needless_pass_by_value)] // It is a `map_err`.
fn backend(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}
