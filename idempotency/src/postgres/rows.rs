//! Requests and completions column by column, as statements take them, and the keys of locks.

use mainstay_database::{Namespace, postgres::classify};
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    Answer, Claim, Error, Key, KeyedRequest,
    answer::headers,
    found::{Found, running},
    stored::StoredAnswer,
};

/// What a row says whose columns from `first` on are: whether the lock was taken, NULL if none is needed; then
/// fingerprint, status, headers and body of the record, if there is one.
pub(super) fn found(request: &KeyedRequest, row: &PgRow, first: usize) -> Result<Found, Error> {
    let takes: Option<bool> = row.try_get(first).map_err(classify)?;
    let fingerprint: Option<&[u8]> = row.try_get(first + 1).map_err(classify)?;
    match (takes, fingerprint) {
        (Some(false), _) => return Ok(Found::Settled(running())),
        (Some(true), None) => return Ok(Found::Nothing { is_expired: false }),
        (Some(true), Some(_)) => return Ok(Found::Nothing { is_expired: true }),
        (None, _) => {}
    }
    let status: i16 = row.try_get(first + 2).map_err(classify)?;
    let stored = StoredAnswer {
        fingerprint: fingerprint.unwrap_or_default(),
        status: status.cast_unsigned(),
        headers: row.try_get(first + 3).map_err(classify)?,
        body: row.try_get(first + 4).map_err(classify)?,
    };
    Ok(Found::Settled(stored.settle(request)?))
}

/// A status has 16 bits, as the column has; it is signed there.
pub(super) const fn smallint(status: u16) -> i16 {
    status.cast_signed()
}

/// Turns keys into the numbers that advisory locks have: the first eight bytes of a BLAKE3 hash over
/// namespace and key. Two keys with one number only exclude each other for a while.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    hasher: blake3::Hasher,
}

impl Locks {
    pub(super) fn new(namespace: &Namespace) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mainstay-idempotency 0.1 advisory lock");
        add(&mut hasher, &namespace.to_string());
        Self { hasher }
    }

    pub(super) fn of(&self, key: &Key) -> i64 {
        let mut hasher = self.hasher.clone();
        for part in [key.scope().tenant(), key.scope().operation(), key.text()] {
            add(&mut hasher, part);
        }
        let hash = hasher.finalize();
        let number = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        i64::from_le_bytes(number)
    }
}

fn add(hasher: &mut blake3::Hasher, part: &str) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part.as_bytes());
}

/// Requests to begin.
#[derive(Default)]
pub(super) struct Requests<'a> {
    pub(super) numbers: Vec<i32>,
    pub(super) locks: Vec<i64>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) operations: Vec<&'a str>,
    pub(super) keys: Vec<&'a str>,
}

impl<'a> Requests<'a> {
    pub(super) fn of(requests: &[&'a KeyedRequest], locks: &Locks) -> Self {
        let mut columns = Self::default();
        for (number, request) in (0..).zip(requests) {
            columns.numbers.push(number);
            columns.locks.push(locks.of(&request.key));
            columns.tenants.push(request.key.scope().tenant());
            columns.operations.push(request.key.scope().operation());
            columns.keys.push(request.key.text());
        }
        columns
    }
}

/// Claims to complete.
#[derive(Default)]
pub(super) struct Completions<'a> {
    pub(super) tenants: Vec<&'a str>,
    pub(super) operations: Vec<&'a str>,
    pub(super) keys: Vec<&'a str>,
    pub(super) fingerprints: Vec<&'a [u8]>,
    pub(super) statuses: Vec<i16>,
    pub(super) headers: Vec<String>,
    pub(super) bodies: Vec<Option<&'a [u8]>>,
}

impl<'a> Completions<'a> {
    pub(super) fn of(completions: &'a [(Claim, &'a Answer)]) -> Self {
        let mut columns = Self::default();
        for (claim, answer) in completions {
            let KeyedRequest { key, fingerprint } = claim.request();
            columns.tenants.push(key.scope().tenant());
            columns.operations.push(key.scope().operation());
            columns.keys.push(key.text());
            columns.fingerprints.push(fingerprint.as_bytes());
            columns.statuses.push(smallint(answer.status()));
            columns.headers.push(headers::encode(answer));
            columns.bodies.push(answer.body().map(|body| &**body));
        }
        columns
    }
}
