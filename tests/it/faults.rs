//! A store that fails on request, and what the gateway makes of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{Method, StatusCode};
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings},
    session::{
        Handle, Lease, Lifetimes, ListQuery, Lookup, MemoryStore, NewSession, OneUse, Session,
        SessionId, SessionPage, Store, StoreError, UserChange, UserKey, UserSlot, Work,
    },
    simulator::Simulator,
    wechat::AppId,
};

use crate::world::{World, http_client, login};

/// A memory store behind a line that can be cut, and that has to be asked for everything.
#[derive(Clone, Debug)]
pub struct Watched {
    inner: MemoryStore,
    down: Arc<AtomicBool>,
    /// Only what ends all sessions of a user fails.
    half_down: Arc<AtomicBool>,
    /// The user signs out everywhere just before the next session is made.
    signs_out: Arc<AtomicBool>,
    app_data_loads: Arc<AtomicUsize>,
    users_put: Arc<AtomicUsize>,
}

impl Watched {
    pub fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            down: Arc::default(),
            half_down: Arc::default(),
            signs_out: Arc::default(),
            app_data_loads: Arc::default(),
            users_put: Arc::default(),
        }
    }

    /// Set to true, it cuts the line.
    pub fn down(&self) -> Arc<AtomicBool> {
        self.down.clone()
    }

    /// Set to true, it lets the user sign out everywhere just before the next session is made.
    pub fn signs_out(&self) -> Arc<AtomicBool> {
        self.signs_out.clone()
    }

    pub fn app_data_loads(&self) -> Arc<AtomicUsize> {
        self.app_data_loads.clone()
    }

    /// How often a user was to be kept.
    pub fn users_put(&self) -> Arc<AtomicUsize> {
        self.users_put.clone()
    }

    fn line(&self) -> Result<&MemoryStore, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new("answer", "the test has cut the line"));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Store for Watched {
    fn lifetimes(&self) -> Lifetimes {
        self.inner.lifetimes()
    }

    fn peek(&self, _: SessionId) -> Lookup {
        Lookup::Unknown
    }

    async fn load(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError> {
        self.line()?.load(id).await
    }

    async fn put_user(
        &self,
        key: UserKey,
        change: UserChange,
    ) -> Result<Arc<UserSlot>, StoreError> {
        self.users_put.fetch_add(1, Ordering::SeqCst);
        self.line()?.put_user(key, change).await
    }

    async fn create(&self, new: NewSession) -> Result<Arc<Session>, StoreError> {
        if self.signs_out.swap(false, Ordering::SeqCst) {
            self.line()?.remove_all_of(new.user.key()).await?;
        }
        self.line()?.create(new).await
    }

    async fn remove(&self, id: SessionId) -> Result<(), StoreError> {
        self.line()?.remove(id).await
    }

    async fn remove_all_of(&self, key: &UserKey) -> Result<(), StoreError> {
        if self.half_down.load(Ordering::SeqCst) {
            return Err(StoreError::new("answer", "the test has cut half of the line"));
        }
        self.line()?.remove_all_of(key).await
    }

    async fn remove_by_handle(&self, handle: Handle) -> Result<bool, StoreError> {
        self.line()?.remove_by_handle(handle).await
    }

    async fn list(&self, query: &ListQuery) -> Result<SessionPage, StoreError> {
        self.line()?.list(query).await
    }

    async fn user(&self, key: &UserKey) -> Result<Option<Arc<UserSlot>>, StoreError> {
        self.line()?.user(key).await
    }

    async fn change_user(&self, user: &UserSlot, change: UserChange) -> Result<bool, StoreError> {
        self.line()?.change_user(user, change).await
    }

    async fn remove_user(&self, key: &UserKey) -> Result<(), StoreError> {
        self.line()?.remove_user(key).await
    }

    async fn remove_all_of_account(&self, appid: &AppId) -> Result<(), StoreError> {
        self.line()?.remove_all_of_account(appid).await
    }

    async fn claim(&self, once: &OneUse, life: Duration) -> Result<bool, StoreError> {
        self.line()?.claim(once, life).await
    }

    async fn settle(
        &self,
        once: &OneUse,
        outcome: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        self.line()?.settle(once, outcome, life).await
    }

    async fn outcome(&self, once: &OneUse) -> Result<Option<Vec<u8>>, StoreError> {
        self.line()?.outcome(once).await
    }

    async fn lease(&self, work: &Work, life: Duration) -> Result<Option<Lease>, StoreError> {
        self.line()?.lease(work, life).await
    }

    async fn release(&self, work: &Work, lease: Lease) -> Result<(), StoreError> {
        self.line()?.release(work, lease).await
    }

    async fn load_app_data(&self, id: SessionId) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.app_data_loads.fetch_add(1, Ordering::SeqCst);
        self.line()?.load_app_data(id).await
    }

    async fn save_app_data(&self, id: SessionId, data: Arc<[u8]>) -> Result<bool, StoreError> {
        self.line()?.save_app_data(id, data).await
    }

    async fn remove_app_data(&self, id: SessionId) -> Result<(), StoreError> {
        self.line()?.remove_app_data(id).await
    }
}

async fn world() -> (World, Arc<AtomicBool>) {
    let mut down = Arc::default();
    let world = World::with_store(|clock| {
        let store = Watched::new(MemoryStore::builder().clock(clock).build());
        down = store.down.clone();
        store
    })
    .await;
    (world, down)
}

#[tokio::test]
async fn c42_a_store_that_is_down_is_a_503_without_cookies_and_the_same_session_works_afterwards() {
    let (world, down) = world().await;
    let browser = world.signed_in("alice").await;
    let before = browser.session_cookie();

    down.store(true, Ordering::SeqCst);
    for (method, path) in [
        (Method::GET, "/page"),
        (Method::GET, "/optional"),
        (Method::GET, "/profile"),
        (Method::GET, "/_wx/me"),
        (Method::GET, "/_wx/login"),
        (Method::POST, "/_wx/logout"),
    ] {
        for accept in ["text/html", "application/json"] {
            let headers = [("accept", accept), ("origin", &*world.url)];
            let answer = browser.send(method.clone(), path, &headers, "").await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{method} {path}");
            assert_eq!(answer.set_cookies(), [""; 0], "{method} {path}");
        }
    }
    assert_eq!(browser.get("/off").await.status, StatusCode::OK);

    down.store(false, Ordering::SeqCst);
    assert_eq!(browser.session_cookie(), before);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn c48_a_store_that_fails_at_the_claim_signs_nobody_in_and_leaves_the_code_alone() {
    let (world, down) = world().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    down.store(true, Ordering::SeqCst);
    let answer = browser.get(&callback).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.set_cookies(), [""; 0]);
    assert_eq!(world.exchanges(), 0);
    down.store(false, Ordering::SeqCst);
    // "Reload in a while" works: the code was never sent.
    assert_eq!(browser.get(&callback).await.location(), "/page");
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn c42_a_sign_out_everywhere_that_fails_can_be_tried_again() {
    let mut half_down = Arc::default();
    let world = World::with_store(|clock| {
        let store = Watched::new(MemoryStore::builder().clock(clock).build());
        half_down = store.half_down.clone();
        store
    })
    .await;
    let (phone, desk) = (world.signed_in("alice").await, world.signed_in("alice").await);
    half_down.store(true, Ordering::SeqCst);
    let failed = phone.log_out("?everywhere=1").await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(phone.fetch("/page").await.status, StatusCode::OK);
    half_down.store(false, Ordering::SeqCst);
    assert_eq!(phone.log_out("?everywhere=1").await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_gateway_without_its_store_is_not_ready() {
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = Watched::new(MemoryStore::builder().clock(clock.clone()).build());
    let down = store.down();
    let (_, login) = login(&sim, clock, store);
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let settings = Settings::new(login, "http://127.0.0.1:9".parse().unwrap()).listen(anywhere);
    let gateway = Gateway::start(settings.cores(1).admin_listen(anywhere)).unwrap();
    let admin = gateway.admin_addr().unwrap();
    let ready = async || {
        let answer = http_client().get(format!("http://{admin}/readyz")).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(ready().await.0, StatusCode::OK);
    down.store(true, Ordering::SeqCst);
    let (status, said) = ready().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(said.contains("store_down"), "{said}");
    down.store(false, Ordering::SeqCst);
    assert_eq!(ready().await.0, StatusCode::OK);
}
