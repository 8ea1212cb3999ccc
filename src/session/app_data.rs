//! The bridge to tower-sessions: handlers use its `Session` for their own data, under our cookie, id and lifetime.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
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
struct Bound {
    store: Arc<dyn Store>,
    session: Option<Arc<Session>>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("signed_in", &self.session.is_some()).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for Bound {
    /// After `cycle_id` or `flush`: the id stays ours, it is new at each sign-in anyway.
    async fn create(&self, record: &mut Record) -> Result<()> {
        record.id = self.session.as_ref().map_or(record.id, |session| app_id(session.id()));
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let Some(id) = self.session.as_ref().map(|session| session.id()) else {
            // Touching an empty session is no loss, writing into one would be.
            return if record.data.is_empty() { Ok(()) } else { Err(nobody()) };
        };
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
        let Some(session) = &self.session else { return Ok(None) };
        let saved = self.store.load_app_data(session.id()).await.map_err(backend)?;
        let data = saved.map(|data| serde_json::from_slice(&data)).transpose();
        let data = data.map_err(|e| Error::Decode(e.to_string()))?.unwrap_or_default();
        let expiry_date = date(session.ends_at(&self.store.lifetimes()).unix());
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, _: &Id) -> Result<()> {
        let Some(session) = &self.session else { return Ok(()) };
        self.store.remove_app_data(session.id()).await.map_err(backend)
    }
}

fn nobody() -> Error {
    Error::Backend("nobody is signed in, and the app's data lives with the sign-in".to_owned())
}

/// The id as the app sees it: one for each session, and of no use as a cookie, since tower-sessions shows its ids.
fn app_id(id: SessionId) -> Id {
    let digest = Sha256::digest(id.as_u128().to_be_bytes());
    Id(i128::from_be_bytes(*digest.first_chunk().expect("SHA-256 has 32 bytes")))
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

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        session::{MemoryStore, NewSession, UserChange, UserKey},
        wechat::{AppId, OpenId, Scope},
    };

    async fn signed_in() -> (Arc<dyn Store>, Arc<Session>) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let key = UserKey {
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("o1").unwrap(),
        };
        let user = store.put_user(key, UserChange::default()).await.unwrap();
        let now = SystemClock.now();
        let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
        let session = store.create(new).await.unwrap();
        (store, session)
    }

    #[tokio::test]
    async fn what_an_app_empties_or_deletes_is_kept_nowhere() {
        let (store, session) = signed_in().await;
        let bound = Bound { store: store.clone(), session: Some(session.clone()) };
        for deletes in [false, true] {
            let data = std::iter::once(("cart".to_owned(), serde_json::json!([1]))).collect();
            let mut record = Record { id: Id(7), data, expiry_date: date(0) };
            bound.create(&mut record).await.unwrap();
            assert_eq!(record.id, app_id(session.id()), "whatever the app would call it");
            let loaded = bound.load(&record.id).await.unwrap().unwrap();
            assert_eq!(loaded.data, record.data);
            record.data.clear();
            if deletes {
                bound.delete(&record.id).await.unwrap();
            } else {
                bound.save(&record).await.unwrap();
            }
            assert_eq!(store.load_app_data(session.id()).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn w10_no_debug_output_shows_an_id_or_the_data() {
        let (store, session) = signed_in().await;
        let planted: Arc<[u8]> = Arc::from(&b"{}"[..]);
        store.save_app_data(session.id(), planted).await.unwrap();

        let own = open(&store, Some(&session));
        let others = open(&store, None);
        let shown = format!("{store:?} {session:?} {own:?} {others:?} {:?}", own.id());
        let id = session.id();
        for secret in [
            id.expose(),
            id.as_u128().to_string(),
            id.as_u128().cast_signed().to_string(),
            format!("{:x}", id.as_u128()),
            "[123, 125]".to_owned(),
        ] {
            assert!(!shown.contains(&secret), "{secret} in {shown}");
        }
        assert!(shown.contains("SessionId([redacted])"), "{shown}");
    }
}
