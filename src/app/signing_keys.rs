//! The keys of identity tokens: which one signs, and which ones are published.

use std::sync::{Arc, Mutex, PoisonError};

use crate::key::ServerKey;
use crate::models::signing_key::SigningKeyRow;
use crate::signing_key::SigningKey;

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// A key is published for so long before it signs: longer than any verifier keeps the list.
const PUBLISHED_AHEAD: i64 = DAY;

/// When a key is so old, the next one is made.
const ROTATION_PERIOD: i64 = 30 * DAY;

/// A key stays published for so long after the next one has begun to sign: much longer than a token lives.
const RETENTION: i64 = HOUR;

/// How long the keys are used as they were read. Far less than [`PUBLISHED_AHEAD`]: every node knows a
/// key before it signs.
const CACHED_FOR: i64 = 10 * 60;

/// The keys as they were read at a time.
#[derive(Debug)]
pub struct SigningKeys {
    read_at: i64,
    /// The oldest first.
    keys: Vec<DatedKey>,
}

#[derive(Debug)]
struct DatedKey {
    created_at: i64,
    key: SigningKey,
}

/// What the row of key `number` is sealed for.
fn seal_name(number: i64) -> String {
    format!("signing key {number}")
}

/// A new row for key `number`; none when the system has no random numbers.
pub fn new_row(number: i64, key: &ServerKey, now: i64) -> Option<SigningKeyRow> {
    let pkcs8 = SigningKey::generate()?;
    Some(SigningKeyRow { number, sealed: key.seal(&seal_name(number), &pkcs8), created_at: now })
}

/// The row, sealed with the key that seals now; none if it was sealed with another server's key.
pub fn resealed(row: &SigningKeyRow, key: &ServerKey) -> Option<SigningKeyRow> {
    let pkcs8 = zeroize::Zeroizing::new(key.open(&seal_name(row.number), &row.sealed)?);
    Some(SigningKeyRow { sealed: key.seal(&seal_name(row.number), &pkcs8), ..row.clone() })
}

impl SigningKeys {
    /// Without those that were sealed with another server's key.
    pub fn open(rows: &[SigningKeyRow], key: &ServerKey, now: i64) -> Self {
        let keys = rows.iter().filter_map(|row| {
            let pkcs8 = zeroize::Zeroizing::new(key.open(&seal_name(row.number), &row.sealed)?);
            Some(DatedKey { created_at: row.created_at, key: SigningKey::from_pkcs8(&pkcs8)? })
        });
        Self { read_at: now, keys: keys.collect() }
    }

    /// Whether they need not be read again. A clock that went back makes them stale, too.
    fn is_fresh(&self, now: i64) -> bool {
        (self.read_at..self.read_at + CACHED_FOR).contains(&now)
    }

    /// Whether it is time to make the next key.
    pub fn is_next_due(&self, now: i64) -> bool {
        self.keys.last().is_none_or(|newest| newest.created_at + ROTATION_PERIOD <= now)
    }

    /// The newest key that has been published for long enough. The first key of a site signs at once.
    pub fn signer(&self, now: i64) -> Option<&SigningKey> {
        let is_known = |dated: &&DatedKey| dated.created_at + PUBLISHED_AHEAD <= now;
        let signer = self.keys.iter().rev().find(is_known).or(self.keys.first());
        signer.map(|dated| &dated.key)
    }

    /// All that may sign now or soon, or has signed a token that may still be valid.
    pub fn published(&self, now: i64) -> impl Iterator<Item = &SigningKey> {
        let next = self.keys.iter().skip(1).map(Some).chain([None]);
        self.keys.iter().zip(next).filter_map(move |(dated, next)| {
            let is_over =
                next.is_some_and(|next| next.created_at + PUBLISHED_AHEAD + RETENTION <= now);
            (!is_over).then_some(&dated.key)
        })
    }
}

/// The keys that were read last.
#[derive(Debug, Default)]
pub struct SigningKeyCache(Mutex<Option<Arc<SigningKeys>>>);

impl SigningKeyCache {
    /// The keys, unless they must be read again.
    pub fn fresh(&self, now: i64) -> Option<Arc<SigningKeys>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cached.filter(|keys| keys.is_fresh(now))
    }

    /// Keeps the keys.
    pub fn replace(&self, keys: &Arc<SigningKeys>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(keys));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_key() -> ServerKey {
        ServerKey::from_bytes(b"a key for tests, 32 bytes of it\xff").unwrap()
    }

    fn kids(keys: &SigningKeys, now: i64) -> Vec<String> {
        keys.published(now).map(|key| key.jwk()["kid"].to_string()).collect()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_last_token_has_expired() {
        let server = server_key();
        let rows = [0, 40 * DAY].map(|at| new_row(at / DAY + 1, &server, at).unwrap());
        let keys = SigningKeys::open(&rows, &server, 0);
        let [old, new] = <[String; 2]>::try_from(kids(&keys, 40 * DAY)).unwrap();
        let signs = |now| keys.signer(now).unwrap().jwk()["kid"].to_string();
        assert_eq!(signs(0), old, "the first signs at once");
        assert_eq!(signs(41 * DAY - 1), old);
        assert_eq!(signs(41 * DAY), new);
        assert_eq!(kids(&keys, 41 * DAY + RETENTION - 1), [old, new.clone()]);
        assert_eq!(kids(&keys, 41 * DAY + RETENTION), [new]);
    }

    #[test]
    fn the_next_key_is_due_after_thirty_days_and_when_there_is_none() {
        let server = server_key();
        let rows = [new_row(1, &server, 0).unwrap()];
        let keys = SigningKeys::open(&rows, &server, 0);
        assert!(!keys.is_next_due(30 * DAY - 1) && keys.is_next_due(30 * DAY));
        let none = SigningKeys::open(&[], &server, 0);
        assert!(none.is_next_due(0) && none.signer(0).is_none());
    }

    #[test]
    fn a_key_opens_with_its_server_key_and_its_number_alone() {
        let server = server_key();
        let row = new_row(1, &server, 0).unwrap();
        let other = ServerKey::from_bytes(b"another one for tests, 33 of them\xff").unwrap();
        let moved = SigningKeyRow { number: 2, ..row.clone() };
        let opens = |row, key| SigningKeys::open(&[row], key, 0).signer(0).is_some();
        assert!(opens(row.clone(), &server));
        assert!(!opens(row, &other) && !opens(moved, &server));
    }

    #[test]
    fn keys_are_read_again_after_ten_minutes() {
        let cache = SigningKeyCache::default();
        assert!(cache.fresh(100).is_none());
        cache.replace(&Arc::new(SigningKeys { read_at: 100, keys: Vec::new() }));
        assert!(cache.fresh(100).is_some() && cache.fresh(100 + CACHED_FOR - 1).is_some());
        assert!(cache.fresh(100 + CACHED_FOR).is_none() && cache.fresh(99).is_none());
    }
}
