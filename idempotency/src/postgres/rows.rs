//! Requests and completions column by column, as statements take them, and the keys of locks.

use mainstay_database::Namespace;

use crate::{
    Answer, Claim, Error, Key, KeyedRequest,
    answer::headers,
    found::{Found, running},
    stored::StoredAnswer,
};

/// Whether the key is ours, and the columns of its record.
pub(super) type Columns = (
    bool,
    Option<Vec<u8>>,
    Option<i16>,
    Option<String>,
    Option<Vec<u8>>,
);

pub(super) fn found(request: &KeyedRequest, row: Columns) -> Result<Found, Error> {
    Ok(match row {
        (_, Some(fingerprint), Some(status), Some(headers), body) => {
            let stored = StoredAnswer {
                fingerprint,
                status: status.cast_unsigned(),
                headers,
                body,
            };
            Found::Settled(stored.settle(request)?)
        }
        (true, ..) => Found::Nothing,
        (false, ..) => Found::Settled(running()),
    })
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
