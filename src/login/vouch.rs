//! A sign-in in one browser that a session in another one vouches for: once, however often the browser comes.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    gate::Gate,
    observe::Event,
    once::{self, Once},
    sign_in,
};
use crate::session::{OneUse, Session, SessionId, StoreError};

/// What twins are told, in front of the id of the session.
const SIGNED_IN: u8 = b's';
const NOTHING: u8 = b'n';

/// The session that was made, or none where that cannot be done, or not again.
type Outcome = Result<Option<Arc<Session>>, StoreError>;

/// A session that vouches for a browser.
pub(crate) struct Voucher {
    pub(crate) session: SessionId,
    /// What is done once within `life`.
    pub(crate) once: OneUse,
    pub(crate) life: Duration,
    /// What only the browser knows: its twins learn what became of the sign-in.
    pub(crate) secret: String,
    /// The session that the browser had.
    pub(crate) replaces: Option<SessionId>,
}

impl Gate {
    /// Signs a browser in as the user of another browser's session, once. For a minute, twins get the same session. It goes
    /// on when its client hangs up, since it cannot be done again.
    pub(crate) async fn vouch(&self, voucher: Voucher) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        let gate = self.clone();
        self.spawn(async move {
            let outcome = redeem(&gate, voucher).await;
            // Where the client is gone, nobody listens.
            sender.send(outcome).ok();
        });
        outcome.await.unwrap_or_else(|_| {
            Err(StoreError::new("make a session", "the task that was to make it is gone"))
        })
    }
}

async fn redeem(gate: &Gate, voucher: Voucher) -> Outcome {
    let Voucher { session, once, life, secret, replaces } = voucher;
    let store = gate.store();
    let work = async || -> Outcome {
        let Some(session) = store.load(session).await? else { return Ok(None) };
        if !gate.accepts(&session.user().key().appid) {
            return Ok(None);
        }
        let made = sign_in::vouched(store, &session, replaces, gate.now()).await?;
        if let Some(made) = &made {
            gate.saw(Event::SignedIn { scope: made.scope() });
        }
        Ok(made)
    };
    match once::among_all(store, &once, life, &once.under(&secret), work, told).await? {
        Once::Done(outcome) => outcome,
        Once::Told(told) => {
            gate.saw(Event::Twin);
            heard(gate, &told).await
        }
        Once::Used => {
            gate.saw(Event::Twin);
            Ok(None)
        }
    }
}

/// What twins are told. None where nothing was settled.
fn told(outcome: &Outcome) -> Option<Vec<u8>> {
    match outcome {
        Ok(Some(session)) => {
            Some([&[SIGNED_IN][..], &session.id().as_u128().to_be_bytes()].concat())
        }
        Ok(None) => Some(vec![NOTHING]),
        Err(_) => None,
    }
}

/// A twin that comes late does not bring back what was ended in between.
async fn heard(gate: &Gate, told: &[u8]) -> Outcome {
    match told.split_first() {
        Some((&SIGNED_IN, id)) => match id.first_chunk() {
            Some(id) => gate.store().load(SessionId::from_u128(u128::from_be_bytes(*id))).await,
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        login::{Observer, WechatLoginLayer},
        origin::Origin,
        secret::AppSecret,
        session::{MemoryStore, NewSession, Store, UserChange, UserKey},
        wechat::{Account, AppId, OpenId, Scope},
    };

    const OWN: &str = "wx0123456789abcdef";

    #[derive(Clone, Debug, Default)]
    struct Seen(Arc<Mutex<Vec<Event>>>);

    impl Observer for Seen {
        fn saw(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    fn gate(store: &MemoryStore, seen: &Seen) -> Gate {
        let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
        let account = Account::official_account(OWN, secret).unwrap();
        let site = Origin::parse("https://h5.example.com").unwrap();
        let layer = WechatLoginLayer::with_store(account, site, store.clone());
        layer.observer(seen.clone()).gate().clone()
    }

    async fn session_of(gate: &Gate, appid: &str) -> SessionId {
        let openid = OpenId::parse("o6_alice").unwrap();
        let key = UserKey { appid: AppId::parse(appid).unwrap(), openid };
        let user = gate.store().put_user(key, UserChange::default()).await.unwrap();
        let (scope, now) = (Scope::Base, gate.now());
        let new = NewSession { user, scope, signed_in_at: now, begins_at: now };
        gate.store().create(new).await.unwrap().id()
    }

    fn voucher(session: SessionId, secret: &str) -> Voucher {
        let once = OneUse::sealed("test", &session.expose());
        let (life, secret) = (Duration::from_secs(60), secret.to_owned());
        Voucher { session, once, life, secret, replaces: None }
    }

    #[tokio::test]
    async fn c40_no_session_of_another_account_vouches_for_anybody() {
        let gate = gate(&MemoryStore::new(), &Seen::default());
        for (appid, vouches) in [(OWN, true), ("wxfedcba9876543210", false)] {
            let session = session_of(&gate, appid).await;
            let made = gate.vouch(voucher(session, "a")).await.unwrap();
            assert_eq!(made.is_some_and(|made| made.id() != session), vouches, "{appid}");
        }
    }

    #[tokio::test]
    async fn c48_a_session_vouches_once_and_twins_of_the_same_browser_get_the_same() {
        let (store, seen) = (MemoryStore::new(), Seen::default());
        let gate = gate(&store, &seen);
        let session = session_of(&gate, OWN).await;
        let made = gate.vouch(voucher(session, "a")).await.unwrap().unwrap();
        let twin = gate.vouch(voucher(session, "a")).await.unwrap().unwrap();
        assert_eq!(twin.id(), made.id());
        assert!(gate.vouch(voucher(session, "b")).await.unwrap().is_none(), "another browser");
        let told = std::mem::take(&mut *seen.0.lock().unwrap());
        assert_eq!(told, [Event::SignedIn { scope: Scope::Base }, Event::Twin, Event::Twin]);
        store.remove(made.id()).await.unwrap();
        assert!(gate.vouch(voucher(session, "a")).await.unwrap().is_none(), "ended in between");
    }
}
