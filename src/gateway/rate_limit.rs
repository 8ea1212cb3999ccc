//! How many sign-ins may come from one address: enough for a carrier's NAT, too few for a flood.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware, state::keyed};
use moka::sync::Cache;

/// How long twins of a callback count as one.
const TWINS: Duration = Duration::from_secs(60);
const MOST_TWINS: u64 = 10_000;

/// Sign-in requests per minute and client address. A whole IPv6 network of 64 bits is one client.
#[derive(Debug)]
pub(super) struct RateLimit<C: clock::Clock = clock::DefaultClock> {
    buckets:
        RateLimiter<IpAddr, keyed::DefaultKeyedStateStore<IpAddr>, C, NoOpMiddleware<C::Instant>>,
    seen: Cache<(IpAddr, u64), ()>,
    /// As many a minute.
    pub(super) count: NonZeroU32,
    /// How long it takes until one more may come.
    pub(super) pause: Duration,
}

impl RateLimit {
    /// As many a minute, all at once if need be. None for no limit.
    pub(super) fn per_minute(count: u32) -> Option<Self> {
        Self::with_clock(count, clock::DefaultClock::default())
    }
}

impl<C: clock::Clock> RateLimit<C> {
    fn with_clock(count: u32, clock: C) -> Option<Self> {
        let count = NonZeroU32::new(count)?;
        let quota = Quota::per_minute(count);
        let seen = Cache::builder().max_capacity(MOST_TWINS).time_to_live(TWINS).build();
        Some(Self {
            buckets: RateLimiter::new(quota, keyed::DefaultKeyedStateStore::default(), clock),
            seen,
            count,
            pause: quota.replenish_interval(),
        })
    }

    /// Whether one more may come from this address. What has the same `twin` counts once.
    pub(super) fn admits(&self, client: IpAddr, twin: Option<&str>) -> bool {
        let client = network(client);
        let Some(twin) = twin else { return self.buckets.check_key(&client).is_ok() };
        let mut hasher = DefaultHasher::new();
        twin.hash(&mut hasher);
        let key = (client, hasher.finish());
        if self.seen.contains_key(&key) {
            return true;
        }
        let admitted = self.buckets.check_key(&client).is_ok();
        if admitted {
            self.seen.insert(key, ());
        }
        admitted
    }

    /// Forgets addresses that have their full measure again.
    pub(super) fn tidy(&self) {
        self.buckets.retain_recent();
    }
}

fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_flood_from_one_address_is_held_back_and_others_are_not() {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(3, clock.clone()).unwrap();
        assert!((0..3).all(|_| limit.admits(ONE, None)));
        assert!(!limit.admits(ONE, None));
        assert!(limit.admits("192.0.2.2".parse().unwrap(), None));
        clock.advance(limit.pause);
        assert_eq!(limit.pause, Duration::from_secs(20));
        assert!(limit.admits(ONE, None) && !limit.admits(ONE, None));
        assert!(RateLimit::per_minute(0).is_none());
    }

    #[test]
    fn twins_of_one_callback_count_once() {
        let limit = RateLimit::with_clock(2, FakeRelativeClock::default()).unwrap();
        assert!((0..50).all(|_| limit.admits(ONE, Some("state-1"))));
        assert!(limit.admits(ONE, Some("state-2")));
        assert!(!limit.admits(ONE, Some("state-3")));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let limit = RateLimit::with_clock(1, FakeRelativeClock::default()).unwrap();
        assert!(limit.admits("2001:db8::1".parse().unwrap(), None));
        assert!(!limit.admits("2001:db8::2:1".parse().unwrap(), None));
        assert!(limit.admits("2001:db8:0:1::1".parse().unwrap(), None));
    }
}
