//! What Redis does in one step. Each script is about one key, and tells of an end in the same step that makes it.

use super::command::Script;

/// A session, and the milliseconds that are left of it.
pub(super) static SESSION: Script =
    Script::new("return {redis.call('HGET', KEYS[1], 'd'), redis.call('PTTL', KEYS[1])}");

/// The session, and its life: a session without an end would stay for ever.
pub(super) static PUT_SESSION: Script = Script::new(
    "redis.call('HSET', KEYS[1], 'd', ARGV[1]) \
     redis.call('PEXPIRE', KEYS[1], ARGV[2]) \
     return 1",
);

/// The app's data. Without the session it would be kept for ever.
pub(super) static PUT_APP_DATA: Script = Script::new(
    "if redis.call('HEXISTS', KEYS[1], 'd') == 0 then return 0 end \
     redis.call('HSET', KEYS[1], 'a', ARGV[1]) \
     return 1",
);

/// The version that has to be there, or nothing; the epoch of a new record; version, record, life.
pub(super) static PUT_USER: Script = Script::new(
    "local version = redis.call('HGET', KEYS[1], 'v') \
     if (version or '') ~= ARGV[1] then return 0 end \
     if not version then redis.call('HSET', KEYS[1], 'e', ARGV[2]) end \
     redis.call('HSET', KEYS[1], 'v', ARGV[3], 'd', ARGV[4]) \
     redis.call('PEXPIRE', KEYS[1], ARGV[5]) \
     return 1",
);

/// The epoch; channel and message.
pub(super) static SET_USER_EPOCH: Script = Script::new(
    "if redis.call('HEXISTS', KEYS[1], 'v') == 1 then redis.call('HSET', KEYS[1], 'e', ARGV[1]) end \
     redis.call('PUBLISH', ARGV[2], ARGV[3]) \
     return 1",
);

/// Channel and message. Somebody may have a copy even of what is not there: it may have been evicted.
pub(super) static REMOVE: Script = Script::new(
    "local removed = redis.call('DEL', KEYS[1]) \
     redis.call('PUBLISH', ARGV[1], ARGV[2]) \
     return removed",
);

/// The epoch.
pub(super) static MAKE_ACCOUNT_EPOCH: Script = Script::new(
    "redis.call('SET', KEYS[1], ARGV[1], 'NX') \
     return redis.call('GET', KEYS[1])",
);

/// The epoch; channel and message.
pub(super) static SET_ACCOUNT_EPOCH: Script = Script::new(
    "redis.call('SET', KEYS[1], ARGV[1]) \
     redis.call('PUBLISH', ARGV[2], ARGV[3]) \
     return 1",
);

/// The lease.
pub(super) static RELEASE: Script = Script::new(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end \
     return 1",
);
