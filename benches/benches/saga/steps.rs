//! One step of a saga: the reply to its first command is taken, and its next command is sent.

use std::cell::RefCell;

use async_trait::async_trait;
use futures_util::future::join_all;
use mainstay_benches::{Bench, Comparison, Side, timed};
use mainstay_database::Transactions;
use mainstay_messaging::Message;
use mainstay_outbox::Outbox;
use mainstay_saga::{
    Command, Compensable, Definition, Never, Orchestrator, Outcome, RunId, Saga, messages,
    state::{Progress, State},
    store::SagaStore,
};
use serde::{Deserialize, Serialize};

const OURS: &str = "saga";
const BY_HAND: &str = "the same statements by hand";
const BARE: &str = "a bare commit of the same row";

#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    id: String,
    note: String,
}

messages! {
    "stock-commands" { Reserve { order: String, note: String }, Release { order: String } }
    "stock" { Reserved { hold: String }, OutOfStock {}, Released {} }
    "payment-commands" { Pay { order: String, note: String } }
    "payments" { Paid {}, Declined {} }
    "shipping-commands" { Ship { order: String, hold: String } }
    "shipping" { Shipped {} }
}

impl Command for Reserve {
    type Done = Reserved;
    type Refused = OutOfStock;
}

impl Compensable for Reserve {
    type Undo = Release;
    type Undone = Released;

    fn undo(&self, _: Outcome<'_, Reserved>) -> Release {
        let order = self.order.clone();
        Release { order }
    }
}

impl Command for Pay {
    type Done = Paid;
    type Refused = Declined;
}

impl Command for Ship {
    type Done = Shipped;
    type Refused = Never;
}

/// Three remote steps, whose first two commands have about 256 bytes of payload.
fn place_order() -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1);
    let hold = saga.step((), |order: &Order, ()| Reserve {
        order: order.id.clone(),
        note: order.note.clone(),
    });
    let (mut saga, _) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
        note: order.note.clone(),
    });
    saga.then(hold, |order, hold| Ship {
        order: order.id.clone(),
        hold: hold.hold,
    });
    saga.build()
}

/// A row as the statement by hand reads it: run, key, version, fingerprint, state, input, elapsed.
pub(crate) type Row = (String, String, i64, i64, String, String, i64);

/// What is written of a step.
pub(crate) struct Step {
    pub(crate) run: String,
    pub(crate) key: String,
    pub(crate) state: String,
    pub(crate) entries: [String; 2],
    pub(crate) payload: String,
}

/// As long as the outbox makes it.
pub(crate) fn envelope(run: &str) -> String {
    format!(
        r#"{{"id":"{run}:Pay:1","source":"/orders","type":"Pay","time":1700000000000000,"correlationid":"{run}","dataversion":1}}"#
    )
}

/// Statements without the library.
#[async_trait]
pub(crate) trait ByHand {
    type Connection: Send + 'static;

    async fn lock(connection: &mut Self::Connection, runs: &[&str]) -> Vec<Row>;
    async fn save(connection: &mut Self::Connection, steps: &[Step]);
    async fn send(connection: &mut Self::Connection, steps: &[Step]);
    async fn bare(connection: &mut Self::Connection, run: &str, state: &str);
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Noted<'a> {
    Done { step: &'a str, result: &'a str },
    Sent { step: &'a str, attempt: u32 },
}

/// Reads the row and the reply, and writes what comes of them.
fn step_by_hand((run, key, _, _, state, input, _): Row, reply: &Message) -> Step {
    let mut state: State = serde_json::from_str(&state).unwrap();
    let input: Order = serde_json::from_str(&input).unwrap();
    let payload = reply.payload.as_deref().unwrap();
    let reserved: Reserved = serde_json::from_slice(payload).unwrap();
    let (order, note) = (input.id, input.note);
    let payload = serde_json::to_string(&Pay { order, note }).unwrap();
    let result = serde_json::to_string(&reserved).unwrap();
    let (first, second) = state.steps.split_at_mut(1);
    first[0].progress = Progress::Done;
    second[0].progress = Progress::Sent;
    second[0].attempt = 1;
    // The texts of result and command, wherever they stand.
    first[0].key = Some(result.clone());
    second[0].key = Some(payload.clone());
    let done = Noted::Done {
        step: "Reserve",
        result: &result,
    };
    let sent = Noted::Sent {
        step: "Pay",
        attempt: 1,
    };
    Step {
        state: serde_json::to_string(&state).unwrap(),
        entries: [done, sent].map(|entry| serde_json::to_string(&entry).unwrap()),
        run,
        key,
        payload,
    }
}

/// A service with a database of its own.
pub(crate) struct Service<S: SagaStore, O> {
    store: S,
    sagas: Orchestrator<Order, S, O>,
    next: RefCell<usize>,
}

impl<S: SagaStore + Clone, O: Outbox<Connection = S::Connection>> Service<S, O> {
    pub(crate) fn new(store: S, outbox: O) -> Self {
        let sagas = Orchestrator::builder(place_order(), store.clone(), outbox);
        Self {
            store,
            sagas: sagas.build().unwrap(),
            next: RefCell::new(0),
        }
    }

    /// Starts runs, and makes the replies to their first commands.
    async fn started(&self, count: usize) -> Vec<(RunId, Message)> {
        let database = self.store.database();
        let mut started = Vec::new();
        while started.len() < count {
            let mut tx = database.begin().await.unwrap();
            for _ in 0..50.min(count - started.len()) {
                let number = self.next.replace_with(|next| *next + 1);
                let (id, note) = (format!("order-{number}"), "x".repeat(220));
                let key = id.clone();
                let input = Order { id, note };
                let new = self.sagas.start(&mut tx, &key, &input).await.unwrap();
                let hold = "hold-1".to_owned();
                let reply = Message::builder()
                    .source("/stock")
                    .event(&Reserved { hold });
                let mut reply = reply.build().unwrap();
                reply.causation_id = Some(format!("{}:Reserve:1", new.run()));
                started.push((new.run().clone(), reply));
            }
            database.commit(tx).await.unwrap();
        }
        started
    }

    async fn ours(&self, steps: &[(RunId, Message)]) {
        let mut tx = self.store.database().begin().await.unwrap();
        let replies: Vec<&Message> = steps.iter().map(|(_, reply)| reply).collect();
        self.sagas.take(&mut tx, &replies).await.unwrap();
        self.store.database().commit(tx).await.unwrap();
    }

    async fn by_hand<B: ByHand<Connection = S::Connection>>(&self, steps: &[(RunId, Message)]) {
        let mut tx = self.store.database().begin().await.unwrap();
        let runs: Vec<&str> = steps.iter().map(|(run, _)| run.as_str()).collect();
        let rows = B::lock(&mut tx, &runs).await;
        assert_eq!(rows.len(), steps.len());
        // Run ids rise, and rows come in their order.
        let steps = rows.into_iter().zip(steps);
        let steps: Vec<Step> = steps
            .map(|(row, (_, reply))| step_by_hand(row, reply))
            .collect();
        B::save(&mut tx, &steps).await;
        B::send(&mut tx, &steps).await;
        self.store.database().commit(tx).await.unwrap();
    }
}

/// Transactions that take `batch` replies each, `tasks` at a time.
pub(crate) fn compare<S, O, B>(
    bench: &Bench,
    backend: &str,
    (tasks, batch): (usize, usize),
    new: impl Fn() -> Service<S, O>,
) where
    S: SagaStore + Clone,
    O: Outbox<Connection = S::Connection>,
    B: ByHand<Connection = S::Connection>,
{
    let name = format!("saga on {backend}: replies in transactions of {batch}, {tasks} tasks");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand, bare] = [(); 3].map(|()| new());
    let count = bench.scaled(if batch == 1 { 200 } else { 1_000 });
    let count = count.next_multiple_of(tasks * batch);
    let share = count / tasks;
    let rows = bench.runtime.block_on(bare.started(count));
    // SQLite does not write a row that stays the same.
    let states = ["x", "y"].map(|state| state.repeat(900));
    let mut round = 0;
    let mut sides = vec![
        Side::new(OURS, || {
            let started = bench.runtime.block_on(ours.started(count));
            let work = started.chunks(share).map(async |steps| {
                for steps in steps.chunks(batch) {
                    ours.ours(steps).await;
                }
            });
            timed(|| bench.runtime.block_on(join_all(work)))
        }),
        Side::new(BY_HAND, || {
            let started = bench.runtime.block_on(by_hand.started(count));
            let work = started.chunks(share).map(async |steps| {
                for steps in steps.chunks(batch) {
                    by_hand.by_hand::<B>(steps).await;
                }
            });
            timed(|| bench.runtime.block_on(join_all(work)))
        }),
    ];
    if batch == 1 {
        sides.push(Side::new(BARE, || {
            round += 1;
            let state = &states[round % 2];
            let work = rows.chunks(share).map(async |rows| {
                for (run, _) in rows {
                    let mut tx = bare.store.database().begin().await.unwrap();
                    B::bare(&mut tx, run.as_str(), state).await;
                    bare.store.database().commit(tx).await.unwrap();
                }
            });
            timed(|| bench.runtime.block_on(join_all(work)))
        }));
    }
    let comparison = Comparison::new(&name, count).target(BY_HAND, 0.9);
    bench.compare(&comparison.rounds(15), &mut sides);
}
