//! What [`Operations`] makes of leases.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use super::{LeasesFixture, PATIENCE, answer, request, until};
use crate::{
    Answer, Begun, Error, KeyedRequest, Lease, Leases, OperationError, Operations, Outcome, Settled,
};

/// So short that a test can wait for several of them, and so long that a busy host renews in time.
const LEASE: Duration = Duration::from_millis(600);

#[derive(thiserror::Error, PartialEq, Eq, Debug)]
#[error("out of paper")]
struct OutOfPaper;

type Made = Result<Outcome, OperationError<OutOfPaper>>;

/// Leases between which and their user there is a network.
#[derive(Clone)]
struct Network<L> {
    leases: L,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    is_away: AtomicBool,
    lost_completions: AtomicUsize,
}

impl<L> Network<L> {
    fn to(leases: L) -> Self {
        let faults = Arc::default();
        Self { leases, faults }
    }

    fn reach(&self) -> Result<(), Error> {
        if self.faults.is_away.load(SeqCst) {
            return Err(Error::Unavailable("it is away".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl<L: Leases> Leases for Network<L> {
    async fn begin(&self, request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error> {
        self.reach()?;
        self.leases.begin(request, time).await
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), Error> {
        self.reach()?;
        self.leases.renew(lease, time).await
    }

    async fn complete(&self, lease: &Lease, answer: &Answer) -> Result<(), Error> {
        self.reach()?;
        self.leases.complete(lease, answer).await?;
        let lost = &self.faults.lost_completions;
        let loses = lost.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        match loses {
            Ok(_) => Err(Error::Unavailable("the answer was lost".into())),
            Err(_) => Ok(()),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.reach()?;
        self.leases.release(lease).await
    }
}

fn operations<F: LeasesFixture, L: Leases + Clone>(f: &F, leases: &L) -> Operations<L> {
    let operations = Operations::new(leases.clone());
    operations.clock(f.clock()).lease(LEASE)
}

async fn make<L: Leases + Clone>(
    operations: &Operations<L>,
    request: &KeyedRequest,
    name: &'static str,
) -> Made {
    let work = move |_| async move { Ok(answer(name)) };
    operations.run(request.clone(), work).await
}

async fn is_running<L: Leases>(leases: &L, request: &KeyedRequest) -> bool {
    let begun = leases.begin(request, LEASE).await.unwrap();
    matches!(begun, Begun::Settled(Settled::Running { .. }))
}

pub async fn an_operation_is_made_once_and_answered_again<F: LeasesFixture>(f: &F) {
    let (operations, request) = (operations(f, &f.leases().await), request("k1", "a mug"));
    let first = make(&operations, &request, "first").await.unwrap();
    assert_eq!(first, Outcome::Fresh(answer("first")));
    for _ in 0..2 {
        let again = make(&operations, &request, "again").await.unwrap();
        assert_eq!(again, Outcome::Settled(Settled::Done(answer("first"))));
    }
}

pub async fn an_operation_keeps_its_lease_for_as_long_as_it_takes<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let operations = operations(f, &leases);
    let (says_begun, has_begun) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let work = |_| async move {
        says_begun.send(()).unwrap();
        ended.await.unwrap();
        Ok::<_, OutOfPaper>(answer("made"))
    };
    let running = operations.run(request.clone(), work);
    let watching = async {
        has_begun.await.unwrap();
        for _ in 0..12 {
            f.pass(LEASE / 4).await;
            assert!(is_running(&leases, &request).await);
        }
        end.send(()).unwrap();
    };
    let (made, ()) = tokio::join!(running, watching);
    assert_eq!(made.unwrap(), Outcome::Fresh(answer("made")));
}

pub async fn an_operation_that_fails_frees_its_key<F: LeasesFixture>(f: &F) {
    let (operations, request) = (operations(f, &f.leases().await), request("k1", "a mug"));
    let work = |_| async { Err(OutOfPaper) };
    let failed = operations.run(request.clone(), work).await;
    assert!(matches!(failed, Err(OperationError::Work(OutOfPaper))));
    let made = make(&operations, &request, "made").await.unwrap();
    assert_eq!(made, Outcome::Fresh(answer("made")));
}

pub async fn an_operation_that_panics_frees_its_key<F: LeasesFixture>(f: &F) {
    let (operations, request) = (operations(f, &f.leases().await), request("k1", "a mug"));
    let panicking = {
        let (operations, request) = (operations.clone(), request.clone());
        tokio::spawn(async move {
            let work = |_| async { std::panic::resume_unwind(Box::new("quietly")) };
            let made: Made = operations.run(request, work).await;
            drop(made);
        })
    };
    assert!(panicking.await.unwrap_err().is_panic());
    let made = make(&operations, &request, "made").await.unwrap();
    assert_eq!(made, Outcome::Fresh(answer("made")));
}

pub async fn a_caller_that_goes_away_stops_nothing<F: LeasesFixture>(f: &F) {
    let (operations, request) = (operations(f, &f.leases().await), request("k1", "a mug"));
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let work = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        move |_| async move {
            begun.notify_one();
            go.notified().await;
            Ok::<_, OutOfPaper>(answer("made"))
        }
    };
    let mut calling = Box::pin(operations.run(request.clone(), work));
    tokio::select! {
        biased;
        () = begun.notified() => {}
        made = &mut calling => panic!("it did not wait: {made:?}"),
    }
    drop(calling);
    go.notify_one();
    until("the answer is kept", async || {
        let again = make(&operations, &request, "again").await.unwrap();
        again == Outcome::Settled(Settled::Done(answer("made")))
    })
    .await;
}

/// The holder cannot renew, and does not know how the store is.
pub async fn work_is_not_polled_once_its_lease_has_ended<F: LeasesFixture>(f: &F) {
    let (leases, request) = (f.leases().await, request("k1", "a mug"));
    let network = Network::to(leases.clone());
    let operations = operations(f, &network);
    let polled = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&polled);
    let work = move |_| async move {
        loop {
            counted.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let running = operations.run::<_, OutOfPaper>(request.clone(), work);
    let running = tokio::time::timeout(PATIENCE, running);
    let watching = async {
        until("it works", async || polled.load(SeqCst) > 0).await;
        network.faults.is_away.store(true, SeqCst);
        let took_over = async || {
            let begun = leases.begin(&request, LEASE).await.unwrap();
            matches!(begun, Begun::Fresh(_))
        };
        until("another one takes over", took_over).await;
        polled.load(SeqCst)
    };
    let (lost, at_takeover) = tokio::join!(running, watching);
    let lost = lost.expect("the work goes on for ever");
    assert!(
        matches!(lost, Err(OperationError::Lease(Error::Fenced { .. }))),
        "{lost:?}"
    );
    f.pass(LEASE / 4).await;
    assert_eq!(polled.load(SeqCst), at_takeover);
}

pub async fn an_answer_that_was_kept_unheard_is_kept_again<F: LeasesFixture>(f: &F) {
    let network = Network::to(f.leases().await);
    network.faults.lost_completions.store(2, SeqCst);
    let (operations, request) = (operations(f, &network), request("k1", "a mug"));
    let made = make(&operations, &request, "made").await.unwrap();
    assert_eq!(made, Outcome::Fresh(answer("made")));
    assert_eq!(network.faults.lost_completions.load(SeqCst), 0);
    let again = make(&operations, &request, "again").await.unwrap();
    assert_eq!(again, Outcome::Settled(Settled::Done(answer("made"))));
}

pub async fn an_operation_does_nothing_while_the_store_is_away<F: LeasesFixture>(f: &F) {
    let network = Network::to(f.leases().await);
    network.faults.is_away.store(true, SeqCst);
    let (operations, request) = (operations(f, &network), request("k1", "a mug"));
    let work = |_| async { std::panic::resume_unwind(Box::new("it was begun")) };
    let refused: Made = operations.run(request.clone(), work).await;
    assert!(
        matches!(refused, Err(OperationError::Lease(Error::Unavailable(_)))),
        "{refused:?}"
    );
    network.faults.is_away.store(false, SeqCst);
    let made = make(&operations, &request, "made").await.unwrap();
    assert_eq!(made, Outcome::Fresh(answer("made")));
}
