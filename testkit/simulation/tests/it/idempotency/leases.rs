//! Leases in a store of their own: pauses beyond the lease, lost calls and answers, and a store that
//! restarts empty.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_idempotency::{
    Answer, Begun, Error, FencingToken, KeyedRequest, Lease, Leases, MemoryLeases, Operations,
    Outcome, Settled,
    clock::{Clock as _, Monotonic, TokioClock},
};
use mainstay_simulation::{Process, simulate};

use super::{Given, HOSTS, KEYS, answer, request, text, topology};

const LEASE: Duration = Duration::from_secs(1);

/// One in so many calls is lost, and so are their answers.
const LOST: u64 = 12;

/// The store, and what was seen of it.
struct Store {
    clock: Arc<TokioClock>,
    leases: Mutex<MemoryLeases>,
    seen: Mutex<Seen>,
    restarts: AtomicU64,
}

#[derive(Default)]
struct Seen {
    /// The highest token of each key.
    highest: BTreeMap<String, FencingToken>,
    /// When each lease ends by the store's clock.
    until: BTreeMap<(String, FencingToken), Monotonic>,
    given: Given,
    told: Vec<String>,
}

impl Store {
    fn new() -> Self {
        let clock = Arc::<TokioClock>::default();
        Self {
            leases: Mutex::new(Self::empty(&clock)),
            clock,
            seen: Mutex::default(),
            restarts: AtomicU64::new(0),
        }
    }

    fn empty(clock: &Arc<TokioClock>) -> MemoryLeases {
        MemoryLeases::builder().clock(Arc::clone(clock)).build()
    }

    fn restart_empty(&self) {
        *self.leases.lock().unwrap() = Self::empty(&self.clock);
        self.restarts.fetch_add(1, SeqCst);
    }

    fn leases(&self) -> MemoryLeases {
        self.leases.lock().unwrap().clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn granted(&self, lease: &Lease, time: Duration) {
        let (key, token) = (lease.request().key.text().to_owned(), lease.token());
        let until = self.clock.monotonic() + time;
        self.seen().until.insert((key, token), until);
    }
}

/// The way from one host to the store.
#[derive(Clone)]
struct Way {
    process: Process,
    store: Arc<Store>,
}

impl Way {
    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(MemoryLeases) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let away = || Error::Unavailable("it does not answer".into());
        self.process.awake().await;
        let ids = self.process.ids();
        let delay = Duration::from_millis(ids.random() % 40);
        if ids.random().is_multiple_of(LOST) {
            tokio::time::sleep(delay).await;
            return Err(away());
        }
        tokio::time::sleep(delay).await;
        let answer = call(self.store.leases()).await;
        tokio::time::sleep(delay).await;
        self.process.awake().await;
        if ids.random().is_multiple_of(LOST) {
            return Err(away());
        }
        answer
    }
}

#[async_trait]
impl Leases for Way {
    async fn begin(&self, request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error> {
        self.call(async |leases| {
            let begun = leases.begin(request, time).await?;
            if let Begun::Fresh(lease) = &begun {
                self.store.granted(lease, time);
                let (key, token) = (request.key.text(), lease.token());
                let mut seen = self.store.seen();
                let last = seen.highest.insert(key.to_owned(), token);
                if last.is_some_and(|last| last >= token) {
                    seen.told
                        .push(format!("{key}: token {token} after {last:?}"));
                }
            }
            Ok(begun)
        })
        .await
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), Error> {
        self.call(async |leases| {
            leases.renew(lease, time).await?;
            self.store.granted(lease, time);
            Ok(())
        })
        .await
    }

    async fn complete(&self, lease: &Lease, answer: &Answer) -> Result<(), Error> {
        self.call(async |leases| leases.complete(lease, answer).await)
            .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.call(async |leases| leases.release(lease).await).await
    }
}

/// Takes a while, in several pieces, and looks each time whether its lease lasts.
async fn charge(
    process: Process,
    store: Arc<Store>,
    lease: Lease,
) -> Result<Answer, std::io::Error> {
    let key = lease.request().key.text().to_owned();
    let pieces = 1 + process.ids().random() % 20;
    for _ in 0..pieces {
        tokio::time::sleep(Duration::from_millis(process.ids().random() % 200)).await;
        process.awake().await;
        let mut seen = store.seen();
        let until = seen.until[&(key.clone(), lease.token())];
        if until.has_passed_at(store.clock.monotonic()) {
            seen.told.push(format!(
                "{key}: work after its lease {} had ended",
                lease.token()
            ));
        }
    }
    if process.ids().random().is_multiple_of(10) {
        return Err(std::io::Error::other("the provider is busy"));
    }
    let life = process.life();
    Ok(answer(&format!(
        "{key} by {} life {life}, {}",
        process.name(),
        lease.token()
    )))
}

async fn serve(process: Process, store: Arc<Store>) -> Result<(), String> {
    let way = Way {
        process: process.clone(),
        store: Arc::clone(&store),
    };
    let operations = Operations::new(way).lease(LEASE).clock(process.clock());
    for key in 0..KEYS {
        let answered = loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let (process, store) = (process.clone(), Arc::clone(&store));
            let work = move |lease| charge(process, store, lease);
            match operations.run(request(key), work).await {
                Ok(Outcome::Fresh(answer) | Outcome::Settled(Settled::Done(answer))) => {
                    break text(&answer);
                }
                Ok(Outcome::Settled(_)) | Err(_) => {}
            }
        };
        store.seen().given.entry(key).or_default().push(answered);
    }
    process.shutdown().cancelled().await;
    Ok(())
}

fn play(seeds: std::ops::Range<u64>, restarts: u64) {
    simulate(seeds, &topology(), async |sim| {
        let store = Arc::new(Store::new());
        for name in HOSTS {
            let store = Arc::clone(&store);
            sim.host(name, move |process| serve(process, Arc::clone(&store)));
        }
        for _ in 0..restarts {
            tokio::time::sleep(Duration::from_millis(2_300)).await;
            store.restart_empty();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        sim.heal();
        for host in sim.hosts() {
            host.start();
        }
        let answered = sim.until(Duration::from_secs(900), async || {
            (0..KEYS).all(|key| store.seen().given.contains_key(&key))
        });
        let mut told = Vec::new();
        if !answered.await {
            told.push("some request was never answered".to_owned());
        }
        let mut seen = store.seen();
        told.append(&mut seen.told);
        for (key, answers) in &seen.given {
            let mut different = answers.clone();
            different.sort();
            different.dedup();
            // A store that forgets its answers gives one more each time, and never one of a former holder.
            if different.len() as u64 > 1 + restarts {
                told.push(format!("key {key} has several answers: {different:?}"));
            }
        }
        told
    });
}

#[test]
fn every_answer_to_a_key_is_the_same_under_pauses_beyond_the_lease_and_lost_answers() {
    play(0..30, 0);
}

#[test]
fn a_store_that_restarts_empty_refuses_former_holders_and_grants_higher_tokens() {
    play(0..30, 2);
}
