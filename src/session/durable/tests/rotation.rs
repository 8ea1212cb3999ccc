//! Tests of the durable store while its keys are rotated.

use super::*;
use crate::session::KeyFile;

/// Two instances that take over new keys at moments of their own.
#[tokio::test]
async fn a_rotation_signs_nobody_out_of_any_instance() {
    let file = std::env::temp_dir().join(format!("wxgate-keys-{}", uuid::Uuid::new_v4()));
    let twins = Twins::new();
    let now = || twins.records.clock.now();
    KeyFile::create(&file, now()).unwrap();
    let rings = [(); 2].map(|()| KeyRing::from_file(&file).unwrap());
    let stores = rings.each_ref().map(|ring| {
        let store = DurableStore::builder(twins.records.clone(), ring.clone());
        store.clock(twins.records.clock.clone()).build()
    });
    let mut ids = Vec::new();
    for round in 0..3 {
        if round > 0 {
            KeyFile::rotate(&file, now(), Some(Duration::from_secs(60 * 24 * 60 * 60))).unwrap();
        }
        for turn in 0..2 {
            let ring = &rings[(round + turn) % 2];
            ring.replace_with(&KeyRing::from_file(&file).unwrap());
            for store in &stores {
                let user = store.put_user(alice(), UserChange::default()).await.unwrap();
                let (signed_in_at, begins_at) = (now(), now());
                let new = NewSession { user, scope: Scope::Base, signed_in_at, begins_at };
                ids.push(store.create(new).await.unwrap().id());
                assert!(
                    store.save_app_data(ids[0], ids[0].expose().as_bytes().into()).await.unwrap()
                );
            }
            for (store, id) in
                stores.iter().flat_map(|store| ids.iter().map(move |id| (store, *id)))
            {
                assert!(store.load(id).await.unwrap().is_some(), "round {round}, turn {turn}");
                assert!(store.load_app_data(ids[0]).await.unwrap().is_some());
            }
        }
    }
    assert_eq!(ids.len(), 12);
    std::fs::remove_file(file).unwrap();
}
