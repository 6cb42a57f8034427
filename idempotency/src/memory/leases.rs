//! Leases in the memory of one process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_clock::{Clock, Monotonic, SystemClock};

use crate::{
    Answer, Begun, Error, FencingToken, Fingerprint, Key, KeyedRequest, Lease, Leases, Settled,
    lifetime::LIFETIME,
};

/// How many expired keys a call forgets at most: more than it can add.
const FORGOTTEN_AT_ONCE: usize = 4;

/// Leases in the memory of one process: for a service that runs as one process, and for tests.
/// Clones share everything. A restart forgets all keys.
///
/// Fencing tokens start at the wall clock's microseconds, so they grow across restarts as well.
#[derive(Clone)]
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    keys: Arc<Mutex<Keys>>,
}

/// Configures [`MemoryLeases`].
#[derive(Clone, Debug)]
#[must_use = "call build() to make the leases"]
pub struct MemoryLeasesBuilder {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
}

impl MemoryLeasesBuilder {
    /// How long an answer is kept and given again; default 24 h.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The clock that decides when leases and lifetimes end; default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Leases on no key.
    #[must_use]
    pub fn build(self) -> MemoryLeases {
        MemoryLeases {
            clock: self.clock,
            lifetime: self.lifetime,
            keys: Arc::default(),
        }
    }
}

impl Default for MemoryLeases {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLeases {
    /// Leases on no key, which keep answers for 24 h by the host's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Leases with settings of their own.
    pub fn builder() -> MemoryLeasesBuilder {
        MemoryLeasesBuilder {
            clock: Arc::new(SystemClock::new()),
            lifetime: LIFETIME,
        }
    }

    /// No call panics while it holds the lock.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the key under a lease as `change` says, if the lease is the key's newest one.
    fn change(
        &self,
        lease: &Lease,
        change: impl FnOnce(&mut Entry, Monotonic) -> bool,
    ) -> Result<(), Error> {
        let key = &lease.request().key;
        let fenced = || Error::Fenced { key: key.clone() };
        let now = self.clock.monotonic();
        let mut keys = self.keys();
        let mut entry = keys.remove(key, now).ok_or_else(fenced)?;
        let is_changed = entry.token == lease.token() && change(&mut entry, now);
        keys.insert(key.clone(), entry);
        if is_changed { Ok(()) } else { Err(fenced()) }
    }
}

#[derive(Default)]
struct Keys {
    entries: BTreeMap<Key, Entry>,
    by_expiry: BTreeSet<(Monotonic, Key)>,
}

struct Entry {
    token: FencingToken,
    state: State,
    /// When it is forgotten.
    expires_at: Monotonic,
}

enum State {
    Free,
    Running {
        fingerprint: Fingerprint,
        until: Monotonic,
    },
    Done {
        fingerprint: Fingerprint,
        answer: Answer,
    },
}

impl Entry {
    /// Why this request is not to be processed, if so.
    fn settle(&self, request: &KeyedRequest, now: Monotonic) -> Option<Settled> {
        let (State::Running { fingerprint, .. } | State::Done { fingerprint, .. }) = &self.state
        else {
            return None;
        };
        if *fingerprint != request.fingerprint {
            return Some(Settled::Mismatch);
        }
        match &self.state {
            State::Done { answer, .. } => Some(Settled::Done(answer.clone())),
            State::Running { until, .. } if !until.has_passed_at(now) => Some(Settled::Running {
                retry_after: until.remaining_at(now),
            }),
            State::Running { .. } | State::Free => None,
        }
    }
}

impl Keys {
    /// Takes out a key that has not expired.
    fn remove(&mut self, key: &Key, now: Monotonic) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        let place = (entry.expires_at, key);
        self.by_expiry.remove(&place);
        (!entry.expires_at.has_passed_at(now)).then_some(entry)
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        self.by_expiry.insert((entry.expires_at, key.clone()));
        self.entries.insert(key, entry);
    }

    fn forget_expired(&mut self, now: Monotonic) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let oldest = self.by_expiry.first();
            let Some((_, key)) = oldest.filter(|(at, _)| at.has_passed_at(now)) else {
                return;
            };
            let key = key.clone();
            drop(self.remove(&key, now));
        }
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn begin(&self, request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error> {
        let now = self.clock.monotonic();
        let mut keys = self.keys();
        keys.forget_expired(now);
        let mut last = 0;
        if let Some(entry) = keys.remove(&request.key, now) {
            if let Some(settled) = entry.settle(request, now) {
                keys.insert(request.key.clone(), entry);
                return Ok(Begun::Settled(settled));
            }
            last = entry.token.get();
        }
        let token = FencingToken::new(micros_of(self.clock.now()).max(last + 1));
        let entry = Entry {
            token,
            state: State::Running {
                fingerprint: request.fingerprint,
                until: now + time,
            },
            expires_at: now + self.lifetime.max(time),
        };
        keys.insert(request.key.clone(), entry);
        Ok(Begun::Fresh(Lease::new(request.clone(), token)))
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), Error> {
        let lifetime = self.lifetime.max(time);
        self.change(lease, |entry, now| match &mut entry.state {
            State::Running { until, .. } if !until.has_passed_at(now) => {
                *until = now + time;
                entry.expires_at = now + lifetime;
                true
            }
            _ => false,
        })
    }

    async fn complete(&self, lease: &Lease, answer: &Answer) -> Result<(), Error> {
        self.change(lease, |entry, now| match entry.state {
            State::Running { fingerprint, .. } => {
                let answer = answer.clone();
                entry.state = State::Done {
                    fingerprint,
                    answer,
                };
                entry.expires_at = now + self.lifetime;
                true
            }
            State::Done { .. } => true,
            State::Free => false,
        })
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.change(lease, |entry, _| match entry.state {
            State::Running { .. } | State::Free => {
                entry.state = State::Free;
                true
            }
            State::Done { .. } => false,
        })
    }
}

fn micros_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// Without keys and answers, which may be personal.
impl fmt::Debug for MemoryLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLeases")
            .field("lifetime", &self.lifetime)
            .field("keys", &self.keys().entries.len())
            .finish_non_exhaustive()
    }
}
