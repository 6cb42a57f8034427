//! A store that counts, and does what networks do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    Error,
    store::{Acquired, Claim, Holding, LeaseStore},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Acquire,
    Renew,
    Release,
}

/// A store behind a network.
pub(super) struct Faulty<S> {
    store: S,
    calls: [AtomicUsize; 3],
    /// Calls that do not arrive.
    cut: [AtomicBool; 3],
    /// How many of the next answers are lost.
    lost: [AtomicUsize; 3],
}

impl<S> Faulty<S> {
    pub(super) fn new(store: S) -> Arc<Self> {
        Arc::new(Self {
            store,
            calls: Default::default(),
            cut: Default::default(),
            lost: Default::default(),
        })
    }

    /// How often it was called.
    pub(super) fn calls(&self, call: Call) -> usize {
        self.calls[call as usize].load(Ordering::SeqCst)
    }

    pub(super) fn cut(&self, call: Call, cut: bool) {
        self.cut[call as usize].store(cut, Ordering::SeqCst);
    }

    pub(super) fn lose_answers(&self, call: Call, count: usize) {
        self.lost[call as usize].store(count, Ordering::SeqCst);
    }

    async fn call<T>(
        &self,
        call: Call,
        doing: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let away = || Error::Unavailable("the network".into());
        let answer = if self.cut[call as usize].load(Ordering::SeqCst) {
            Err(away())
        } else {
            doing.await
        };
        self.calls[call as usize].fetch_add(1, Ordering::SeqCst);
        let lost = &self.lost[call as usize];
        let is_lost = lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if is_lost.is_ok() {
            return Err(away());
        }
        answer
    }
}

#[async_trait]
impl<S: LeaseStore> LeaseStore for Faulty<S> {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        self.call(Call::Acquire, self.store.acquire(claim)).await
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        self.call(Call::Renew, self.store.renew(held, lease)).await
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        self.call(Call::Release, self.store.release(held)).await
    }
}
