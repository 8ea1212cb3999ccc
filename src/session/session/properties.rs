//! Properties of a session's life: whatever the clock does, it ends when it has to, and not before.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    session::{AccountSlot, UserChange, UserKey, UserSlot},
    wechat::{AppId, OpenId},
};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The clock shows another time, earlier ones among them.
    Clock(u64),
    Use,
    SignedOutEverywhere,
    AccountRevoked,
    Evicted,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..40_000).prop_map(Step::Clock),
        8 => Just(Step::Use),
        1 => Just(Step::SignedOutEverywhere),
        1 => Just(Step::AccountRevoked),
        1 => Just(Step::Evicted),
    ]
}

fn slot() -> (Arc<UserSlot>, Arc<AccountSlot>) {
    let key = UserKey {
        appid: AppId::parse("wx0123456789abcdef").unwrap(),
        openid: OpenId::parse("o1").unwrap(),
    };
    let account = Arc::new(AccountSlot::new(7));
    (Arc::new(UserSlot::new(key, account.clone(), UserChange::default())), account)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c39_a_session_lives_within_its_policy_and_its_epoch_whatever_the_clock_does(
        steps in vec(step(), 0..40),
        (idle, absolute) in (0_u64..20_000, 0_u64..30_000),
        signed_in_at in 0_u64..10_000,
        begins_after in 0_u64..2_000,
    ) {
        let lifetimes =
            Lifetimes { idle: Duration::from_secs(idle), absolute: Duration::from_secs(absolute) };
        let (user, account) = slot();
        let at = Timestamp::from_unix(signed_in_at);
        let begins_at = at + Duration::from_secs(begins_after);
        let new = NewSession { user: user.clone(), scope: Scope::Base, signed_in_at: at, begins_at };
        let session = Session::begin(new);

        let (mut now, mut last_used, mut revoked) = (begins_at.unix(), begins_at.unix(), false);
        for step in steps {
            match step {
                Step::Clock(time) => now = time,
                // A store notes a use of what is alive.
                Step::Use if session.is_alive(Timestamp::from_unix(now), &lifetimes) => {
                    session.touch(Timestamp::from_unix(now));
                    last_used = last_used.max(now);
                }
                Step::Use => {}
                Step::SignedOutEverywhere => user.step_epoch(),
                Step::AccountRevoked => account.step_epoch(),
                Step::Evicted => user.retire(),
            }
            revoked |= matches!(step, Step::SignedOutEverywhere | Step::AccountRevoked | Step::Evicted);
            let alive = session.is_alive(Timestamp::from_unix(now), &lifetimes);
            let in_time = now < signed_in_at + absolute && now < last_used + idle;
            // A clock that was set back shows a moment before the beginning: no lifetime has begun to run out then.
            let has_begun = absolute > 0 && idle > 0;
            prop_assert_eq!(alive, in_time && has_begun && !revoked, "{} {:?}", now, session);
            if alive {
                prop_assert!(Timestamp::from_unix(now) < session.ends_at(&lifetimes));
            }
        }
    }
}
