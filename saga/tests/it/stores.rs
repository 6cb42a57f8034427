//! What stores on servers and files show beyond the suite: two processes, races and crashes.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests, and how much was tried belongs to the result"
)]

use std::{marker::PhantomData, ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::Transactions as _;
use mainstay_messaging::{Event, Message, Source};
use mainstay_outbox::{Enqueued, Entry as OutboxEntry, Outbox, store::Origin};
use mainstay_ports::SagaPorts;
use mainstay_saga::{
    Command, Compensable, Definition, Orchestrator, Outcome, Query, RunId, Saga, Started, Status,
    conformance::Fixture,
    journal::Entry,
    store::{DeskStore, SagaStore, StoredRun},
};
use mainstay_testkit::crash::{Points, Reached, at_every_point};

use crate::orders::{Order, Paid, Pay, ReserveStock, StockReserved};

/// How long anything may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);

mainstay_saga::messages! {
    "room-commands" { Hold { order: String }, Free { order: String } }
    "rooms" { Held {}, Full {}, Freed {} }
}

/// Its reply is overdue as soon as it is sent.
impl Command for Hold {
    type Done = Held;
    type Refused = Full;
    const TIMEOUT: Duration = Duration::from_millis(1);
}

impl Compensable for Hold {
    type Undo = Free;
    type Undone = Freed;

    fn undo(&self, _: Outcome<'_, Held>) -> Free {
        let order = self.order.clone();
        Free { order }
    }
}

/// A hold, and a payment.
fn quick() -> Definition<Order> {
    let mut saga = Saga::new("quick", 1);
    saga.step((), |order: &Order, ()| Hold {
        order: order.id.clone(),
    });
    let (saga, _) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
    });
    saga.build()
}

/// Reserve, and pay.
pub(crate) fn patient() -> Definition<Order> {
    let mut saga = Saga::new("patient", 1);
    saga.step((), |order: &Order, ()| ReserveStock {
        order: order.id.clone(),
    });
    let (saga, _) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
    });
    saga.build()
}

type Connection<F> = <<F as Fixture>::Store as SagaStore>::Connection;

/// A process on a store of the fixture's.
pub(crate) struct Process<F, S: SagaStore> {
    store: S,
    sagas: Orchestrator<Order, S, EffectOutbox<F>>,
}

impl<F, S: SagaStore> Deref for Process<F, S> {
    type Target = Orchestrator<Order, S, EffectOutbox<F>>;

    fn deref(&self) -> &Self::Target {
        &self.sagas
    }
}

/// An outbox whose messages are effects: `key command-id`, written in the transaction.
pub(crate) struct EffectOutbox<F> {
    origin: Origin,
    fixture: PhantomData<fn(F)>,
}

#[async_trait]
impl<F: Fixture> Outbox for EffectOutbox<F> {
    type Connection = Connection<F>;

    async fn enqueue_batch(
        &self,
        connection: &mut Connection<F>,
        entries: &[OutboxEntry<'_>],
    ) -> Result<Vec<Enqueued>, mainstay_outbox::Error> {
        for entry in entries {
            let Message { key, id, .. } = entry.message();
            let effect = format!("{} {id}", key.as_ref().unwrap().as_str());
            F::write(connection, &effect).await?;
        }
        Ok(vec![Enqueued::Added; entries.len()])
    }

    fn notify(&self) {}

    fn origin(&self) -> &Origin {
        &self.origin
    }
}

pub(crate) fn process<F, S>(store: S, definition: Definition<Order>) -> Process<F, S>
where
    F: Fixture,
    S: SagaStore<Connection = Connection<F>> + Clone,
{
    let system = Origin::default();
    let source = Some(Source::from_static("/shop"));
    let origin = Origin::new(source, Arc::clone(system.clock()), Arc::clone(system.ids()));
    let fixture = PhantomData;
    let outbox = EffectOutbox { origin, fixture };
    let sagas = Orchestrator::builder(definition, store.clone(), outbox).build();
    let sagas = sagas.unwrap();
    Process { store, sagas }
}

pub(crate) async fn start<F, S>(
    sagas: &Process<F, S>,
    key: &str,
) -> Result<Started, mainstay_saga::Error>
where
    F: Fixture,
    S: SagaStore<Connection = Connection<F>>,
{
    let database = sagas.store.database();
    let mut tx = database.begin().await?;
    let input = Order { id: key.to_owned() };
    let started = sagas.start(&mut tx, key, &input).await?;
    database.commit(tx).await?;
    Ok(started)
}

pub(crate) fn reply(command: &str, event: &impl Event) -> Message {
    let message = Message::builder().source("/stock").event(event);
    let mut message = message.build().unwrap();
    message.causation_id = Some(command.to_owned());
    message
}

pub(crate) async fn take<F, S>(
    sagas: &Process<F, S>,
    replies: &[Message],
) -> Result<(), mainstay_saga::Error>
where
    F: Fixture,
    S: SagaStore<Connection = Connection<F>>,
{
    let database = sagas.store.database();
    let mut tx = database.begin().await?;
    let replies: Vec<&Message> = replies.iter().collect();
    sagas.take(&mut tx, &replies).await?;
    Ok(database.commit(tx).await?)
}

/// The commands of a key's runs.
pub(crate) async fn commands<F: Fixture>(fixture: &F, key: &str) -> Vec<String> {
    let prefix = format!("{key} ");
    let effects = fixture.effects().await.into_iter();
    let mine = effects.filter_map(|effect| effect.strip_prefix(&prefix).map(str::to_owned));
    mine.collect()
}

pub(crate) async fn journal<F, S>(sagas: &Process<F, S>, run: &RunId) -> Vec<Entry>
where
    F: Fixture,
    S: DeskStore<Connection = Connection<F>>,
{
    let timeline = sagas.desk().timeline(run).await.unwrap();
    timeline
        .journal
        .into_iter()
        .map(|entry| entry.entry)
        .collect()
}

fn count(journal: &[Entry], is_it: impl Fn(&Entry) -> bool) -> usize {
    journal.iter().filter(|entry| is_it(entry)).count()
}

/// What comes of an interrupted transaction is tried again, as a worker does it.
pub(crate) async fn until_done<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, mainstay_saga::Error>,
) -> T {
    let trying = async {
        loop {
            match attempt().await {
                Ok(done) => return done,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.unwrap()
}

/// Locks what is due, once `count` runs are.
async fn locked_due<S: SagaStore>(
    store: &S,
    connection: &mut S::Connection,
    definition: &Definition<Order>,
    count: usize,
) -> Vec<StoredRun> {
    let definitions = [definition.shape().fingerprint()];
    let waiting = async {
        loop {
            let due = store.lock_due(connection, "quick", &definitions, 10);
            let due = due.await.unwrap();
            if due.len() == count {
                return due;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

/// PostgreSQL only: a second writer of SQLite waits for the first one.
pub(crate) async fn a_run_that_another_process_has_locked_is_skipped<F: Fixture>(
    fixture: F,
    other: F::Store,
) {
    let sagas = process::<F, _>(fixture.sagas(), quick());
    for key in ["k1", "k2", "k3"] {
        let _new = start(&sagas, key).await.unwrap();
    }
    let (one, definition) = (fixture.sagas(), quick());
    let mut first = one.database().begin().await.unwrap();
    assert_eq!(locked_due(&one, &mut first, &definition, 3).await.len(), 3);
    let mut second = other.database().begin().await.unwrap();
    locked_due(&other, &mut second, &definition, 0).await;
    drop(first);
    let found = locked_due(&other, &mut second, &definition, 3).await;
    assert_eq!(found.len(), 3, "free again");
}

pub(crate) async fn timers_of_two_processes_fire_each_run_once<F: Fixture>(
    fixture: F,
    other: F::Store,
) {
    const RUNS: usize = 60;
    let (one, other) = (
        process::<F, _>(fixture.sagas(), quick()),
        process::<F, _>(other, quick()),
    );
    let mut runs = Vec::new();
    for key in 0..RUNS {
        let started = until_done(async || start(&one, &format!("k{key}")).await).await;
        runs.push(started.run().clone());
    }
    let timers = [&one, &other].map(|process| {
        let timers = process.timers().batch_size(7);
        timers.poll_interval(Duration::from_millis(1)).spawn()
    });
    let query = Query::all().status(Status::Undoing);
    let undoing = async {
        while one.desk().count(&query).await.unwrap() < RUNS as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, undoing).await.unwrap();
    for timers in timers {
        timers.shutdown().await;
    }
    for (number, run) in runs.iter().enumerate() {
        let journal = journal(&one, run).await;
        let decisions = count(&journal, |entry| matches!(entry, Entry::Undoing { .. }));
        assert_eq!(decisions, 1, "{journal:?}");
        let commands = commands(&fixture, &format!("k{number}")).await;
        let hold = format!("{run}:Hold:1");
        assert_eq!(commands, [hold, format!("{run}:Hold:undo")]);
    }
}

/// Each run takes either its reply or its timer, whatever the order.
pub(crate) async fn reply_and_timer_race_for_a_run_and_one_of_them_wins<F: Fixture>(
    fixture: F,
    other: F::Store,
) {
    const RUNS: usize = 60;
    let (one, other) = (
        process::<F, _>(fixture.sagas(), quick()),
        process::<F, _>(other, quick()),
    );
    let timers = other.timers().batch_size(3);
    let timers = timers.poll_interval(Duration::from_millis(1)).spawn();
    let (mut done, mut undone) = (0, 0);
    for number in 0..RUNS {
        let key = format!("k{number}");
        let started = until_done(async || start(&one, &key).await).await;
        let run = started.run();
        let held = reply(&format!("{run}:Hold:1"), &Held {});
        until_done(async || take(&one, std::slice::from_ref(&held)).await).await;
        let journal = journal(&one, run).await;
        let is_done = count(&journal, |entry| matches!(entry, Entry::Done { .. }));
        let is_undoing = count(&journal, |entry| matches!(entry, Entry::Undoing { .. }));
        assert_eq!(is_done + is_undoing, 1, "{journal:?}");
        let next = if is_done == 1 { "Pay:1" } else { "Hold:undo" };
        let expected = [format!("{run}:Hold:1"), format!("{run}:{next}")];
        assert_eq!(commands(&fixture, &key).await, expected);
        done += is_done;
        undone += is_undoing;
    }
    timers.shutdown().await;
    println!("the reply won {done} times, the timer {undone} times");
}

pub(crate) async fn a_start_is_one_run_wherever_its_process_ends<F: Fixture>(fixture: F) {
    let points = at_every_point("start", async |nth| {
        let sagas = process::<F, _>(fixture.sagas(), patient());
        let key = format!("s{nth}");
        let points = Points::anywhere(nth);
        let struck = process::<F, _>(SagaPorts::new(fixture.sagas(), &points), patient());
        let heard = points.until_struck(start(&struck, &key)).await;
        let again = until_done(async || start(&sagas, &key).await).await;
        if let Some(heard) = &heard {
            let heard = heard.as_ref().unwrap();
            assert_eq!(heard.run(), again.run(), "what was heard is there");
        }
        let commands = commands(&fixture, &key).await;
        assert_eq!(commands, [format!("{}:ReserveStock:1", again.run())]);
        Reached::of(heard.as_ref())
    })
    .await;
    println!("start: struck at {points} points");
    assert!(points >= 8, "only {points} points");
}

pub(crate) async fn a_reply_is_one_transition_wherever_its_process_ends<F: Fixture>(fixture: F) {
    let points = at_every_point("reply", async |nth| {
        let sagas = process::<F, _>(fixture.sagas(), patient());
        let key = format!("r{nth}");
        let started = until_done(async || start(&sagas, &key).await).await;
        let run = started.run();
        let hold = "h".to_owned();
        let replies = [reply(
            &format!("{run}:ReserveStock:1"),
            &StockReserved { hold },
        )];
        let points = Points::anywhere(nth);
        let struck = process::<F, _>(SagaPorts::new(fixture.sagas(), &points), patient());
        let taken = points.until_struck(take(&struck, &replies)).await;
        // Its offset was not committed, so it is delivered again.
        until_done(async || take(&sagas, &replies).await).await;
        let journal = journal(&sagas, run).await;
        let done = count(&journal, |entry| matches!(entry, Entry::Done { .. }));
        assert_eq!(done, 1, "{journal:?}");
        let expected = ["ReserveStock:1", "Pay:1"].map(|step| format!("{run}:{step}"));
        assert_eq!(commands(&fixture, &key).await, expected);
        let receipt = "1".to_owned();
        let paid = [reply(&expected[1], &Paid { receipt })];
        until_done(async || take(&sagas, &paid).await).await;
        let details = sagas.desk().show(run).await.unwrap();
        assert_eq!(details.summary.status, Status::Completed);
        Reached::of(taken.as_ref())
    })
    .await;
    println!("reply: struck at {points} points");
    assert!(points >= 8, "only {points} points");
}

pub(crate) async fn a_timer_fires_once_wherever_its_process_ends<F: Fixture>(fixture: F) {
    let points = at_every_point("timer", async |nth| {
        let sagas = process::<F, _>(fixture.sagas(), quick());
        let key = format!("t{nth}");
        let started = until_done(async || start(&sagas, &key).await).await;
        let run = started.run();
        let undoing = async || {
            let status = async || sagas.desk().show(run).await.unwrap().summary.status;
            while status().await != Status::Undoing {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let interval = Duration::from_millis(1);
        let points = Points::anywhere(nth);
        let struck = process::<F, _>(SagaPorts::new(fixture.sagas(), &points), quick());
        let timers = struck.timers().poll_interval(interval);
        let fired = points.until_struck(timers.run_until(undoing())).await;
        let timers = sagas.timers().poll_interval(interval);
        let firing = timers.run_until(undoing());
        tokio::time::timeout(PATIENCE, firing).await.unwrap();
        let journal = journal(&sagas, run).await;
        let decisions = count(&journal, |entry| matches!(entry, Entry::Undoing { .. }));
        assert_eq!(decisions, 1, "{journal:?}");
        let expected = ["Hold:1", "Hold:undo"].map(|step| format!("{run}:{step}"));
        assert_eq!(commands(&fixture, &key).await, expected);
        Reached::of(fired.as_ref())
    })
    .await;
    println!("timer: struck at {points} points");
    assert!(points >= 8, "only {points} points");
}

/// The cases that need one process only.
macro_rules! one_process {
    ($fixture:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                if let Some(fixture) = $fixture.await {
                    $crate::stores::$case(fixture).await;
                }
            }
        )+
    };
}
pub(crate) use one_process;
