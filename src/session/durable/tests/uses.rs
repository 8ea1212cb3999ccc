//! What a use of a session writes, what its copies outlive, and how sessions are listed.

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Twins {
    /// Nobody hears what ends, as when the way back from the records is cut.
    fn silenced() -> Self {
        let twins = Self::new();
        twins.records.shared.listeners.lock().unwrap().0.clear();
        twins
    }

    /// How long the record of a session is still kept.
    async fn left(&self, id: SessionId) -> Duration {
        self.records.session(id.handle()).await.unwrap().unwrap().left
    }

    fn copy(&self, id: SessionId) -> Arc<Session> {
        match self.stores[0].peek(id) {
            Lookup::Hit(session) => session,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn c34_what_an_instance_ends_it_does_not_answer_from_its_copies() {
    for end in 0..4 {
        let twins = Twins::silenced();
        let (id, store) = (twins.sign_in().await, &twins.stores[0]);
        assert!(twins.loads(id).await && twins.finds(id));
        match end {
            0 => store.remove(id).await.unwrap(),
            1 => store.remove_all_of(&alice()).await.unwrap(),
            2 => store.remove_user(&alice()).await.unwrap(),
            _ => store.remove_all_of_account(&alice().appid).await.unwrap(),
        }
        assert!(!twins.finds(id), "{end}");
    }
}

#[tokio::test]
async fn who_learns_that_something_has_ended_uses_no_copy_of_it_any_more() {
    for ends_user in [false, true] {
        let twins = Twins::silenced();
        let id = twins.sign_in().await;
        assert!(twins.loads(id).await && twins.finds(id));
        if ends_user {
            twins.stores[1].remove_user(&alice()).await.unwrap();
        } else {
            twins.stores[1].remove(id).await.unwrap();
        }
        assert!(twins.finds(id), "nobody has told");
        assert!(!twins.loads(id).await && !twins.finds(id), "{ends_user}");
    }
}

#[tokio::test]
async fn a_use_is_written_down_once_in_a_twentieth_of_the_idle_life() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let whole = twins.left(id).await;
    assert_eq!(whole, 24 * HOUR + 24 * HOUR / 10, "a tenth more than the idle life");
    let second = Duration::from_secs(1);
    let almost = Duration::from_secs(24 * 60 * 60 / 20 - 1);
    twins.records.clock.advance(almost);
    assert!(twins.loads(id).await);
    assert_eq!(twins.left(id).await + almost, whole);
    twins.records.clock.advance(second);
    assert!(twins.loads(id).await);
    assert_eq!(twins.left(id).await, whole);
}

#[tokio::test]
async fn a_place_that_takes_no_notes_is_left_alone_for_half_a_minute() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let whole = twins.left(id).await;
    twins.records.is_read_only.store(true, Ordering::SeqCst);
    twins.records.clock.advance(2 * HOUR);
    assert!(twins.loads(id).await);
    twins.records.is_read_only.store(false, Ordering::SeqCst);
    twins.records.clock.advance(Duration::from_secs(29));
    assert!(twins.loads(id).await);
    assert!(twins.left(id).await < whole, "not yet");
    twins.records.clock.advance(Duration::from_secs(1));
    assert!(twins.loads(id).await);
    assert_eq!(twins.left(id).await, whole);
}

#[tokio::test]
async fn a_use_is_told_by_the_record_and_by_its_copy() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let began = twins.records.clock.now();
    twins.records.clock.advance(HOUR);
    let query = ListQuery { appid: None, openid: None, after: None, limit: 10 };
    let listed = twins.stores[1].list(&query).await.unwrap();
    assert_eq!(listed.sessions[0].last_used, began, "nobody has used it");
    let used = twins.stores[0].load(id).await.unwrap().unwrap();
    assert_eq!(used.last_used(), began + HOUR);
    twins.records.clock.advance(Duration::from_secs(1));
    assert_eq!(twins.copy(id).last_used(), began + HOUR + Duration::from_secs(1));
}

#[tokio::test]
async fn c42_a_store_that_bears_no_mark_is_not_taken_for_one_of_dropped_keys() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    twins.records.shelf().remove("rkeys").expect("the mark");
    assert!(twins.loads(id).await);
    let stranger = DurableStore::builder(twins.records.clone(), KeyRing::random());
    let stranger = stranger.clock(twins.records.clock.clone()).build();
    let error = stranger.load(id).await.unwrap_err().to_string();
    assert!(error.contains("no mark"), "{error}");
}

#[tokio::test]
async fn c42_a_use_marks_the_store_with_the_key_that_seals_now() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let old = KeyRing::random();
    old.replace_with(&twins.keys);
    twins.keys.replace_with(&KeyRing::random().followed_by(old.clone()));
    twins.records.clock.advance(2 * HOUR);
    assert!(twins.loads(id).await);
    let only_new = KeyRing::random();
    only_new.replace_with(&twins.keys);
    twins.keys.replace_with(&only_new.without(&old));
    twins.stores[0].check().await.expect("nobody has signed in since, and the mark opens");
}

#[tokio::test]
async fn a_list_goes_on_until_it_has_as_many_as_were_asked_for() {
    let twins = Twins::new();
    for _ in 0..25 {
        twins.sign_in().await;
    }
    let bob = UserKey { openid: OpenId::parse("o2").unwrap(), ..alice() };
    let user = twins.stores[0].put_user(bob.clone(), UserChange::default()).await.unwrap();
    for _ in 0..3 {
        let now = twins.records.clock.now();
        let (user, scope) = (user.clone(), Scope::Base);
        let new = NewSession { user, scope, signed_in_at: now, begins_at: now };
        twins.stores[0].create(new).await.unwrap();
    }
    let sizes = async |openid: Option<OpenId>, limit| {
        let (mut sizes, mut after) = (Vec::new(), None);
        loop {
            let query = ListQuery { appid: None, openid: openid.clone(), after, limit };
            let page = twins.stores[0].list(&query).await.unwrap();
            sizes.push(page.sessions.len());
            after = page.next;
            if after.is_none() {
                return sizes;
            }
        }
    };
    assert_eq!(sizes(None, 10).await, [10, 10, 8]);
    assert_eq!(sizes(Some(bob.openid), 4).await, [3]);
}

#[test]
fn the_lives_are_those_that_were_asked_for() {
    let twins = Twins::new();
    let lifetimes = Lifetimes { idle: HOUR, absolute: 2 * HOUR };
    let store = DurableStore::builder(twins.records.clone(), KeyRing::random());
    let lifetimes = store.lifetimes(lifetimes).build().lifetimes();
    assert_eq!((lifetimes.idle, lifetimes.absolute), (HOUR, 2 * HOUR));
}
