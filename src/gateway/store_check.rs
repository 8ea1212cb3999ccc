//! Asks the store that a configuration names, without serving anybody.

use std::{fs::OpenOptions, io, path::Path, sync::Arc};

use super::{
    config::{Config, StoreKind},
    settings,
};
use crate::clock::{Clock, SystemClock};

/// What is said of a file that another process has.
const TAKEN: &str = "another process has it open";

/// What the store of a configuration says to a question that changes nothing, or why it cannot be used. Nothing is made
/// that is not there.
///
/// # Errors
/// When the store does not answer. The text is for people.
pub async fn try_store(config: &Config) -> Result<String, String> {
    let session = &config.session;
    let (shown, keys) = match (&session.store, &session.keys) {
        (StoreKind::Memory, _) => return Ok("sessions are kept in memory".to_owned()),
        (StoreKind::File(path), _) if !path.exists() => {
            let shown = path.display();
            return match can_write_beside(path) {
                Ok(()) => Ok(format!("{shown} is not there yet, and can be made")),
                Err(error) => Err(format!("{shown} cannot be made: {error}")),
            };
        }
        (StoreKind::File(path), Some(keys)) => (path.display().to_string(), keys),
        (StoreKind::Redis(place), Some(keys)) => (place.url.to_string(), keys),
        (_, None) => return Err("session.key_file is missing".to_owned()),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = match settings::store_of(session, &clock, &keys.ring()) {
        Ok(store) => store,
        Err(error) if error.to_string().contains(TAKEN) => {
            return Ok(format!("{shown} is in use by another process, such as a running gateway"));
        }
        Err(error) => return Err(error.to_string()),
    };
    match store.check().await {
        Ok(()) => Ok(format!("{shown} answers")),
        Err(error) => Err(error.to_string()),
    }
}

fn can_write_beside(path: &Path) -> io::Result<()> {
    let name = format!(".wxgate-check-{}", uuid::Uuid::new_v4());
    let path = path.with_file_name(name);
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)
}
