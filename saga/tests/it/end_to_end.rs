//! Sagas over the real outbox, relay, broker, inbox and worker, in memory, on paused time, while
//! transactions fail and messages come twice.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::{sync::Arc, time::Duration};

use mainstay_clock::{Backoff, Clock, IdGenerator as _, SeededIds, TokioClock};
use mainstay_database::memory::{
    CommitFault, Connection, Database, Fault, Outcome as Ending, Record,
};
use mainstay_inbox::{HandlerError, MemoryInbox, Received, Worker};
use mainstay_messaging::{Group, memory::Broker};
use mainstay_outbox::{Relay, memory::MemoryOutbox};
use mainstay_saga::{
    Definition, MemorySagas, Orchestrator, Participant, Query, Saga, Signature, Status,
};

use crate::orders::{
    Authorize, Authorized, Declined, Order, OutOfStock, Paid, Pay, ReleaseStock, ReserveStock,
    Ship, Shipped, StockReleased, StockReserved, Void, Voided,
};

fn place_order() -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1);
    saga.parallel(|group| {
        let stock = group.step((), |order: &Order, ()| ReserveStock {
            order: order.id.clone(),
        });
        let auth = group.step((), |order, ()| Authorize {
            order: order.id.clone(),
        });
        (stock, auth)
    });
    let (mut saga, _) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
    });
    saga.then((), |order, ()| Ship {
        order: order.id.clone(),
    });
    saga.build()
}

/// What services hold for an order: one row per step.
#[derive(Clone, Debug, PartialEq)]
struct Hold {
    step: &'static str,
    order: String,
}

impl Record for Hold {
    const TABLE: &'static str = "holds";
    type Key = (&'static str, String);

    fn key(&self) -> Self::Key {
        (self.step, self.order.clone())
    }
}

type Kit = Participant<MemorySagas, MemoryOutbox>;

/// What becomes of a step of an order; by its text, so that a retry finds the same.
fn luck(step: &str, order: &str, id: &str) -> u64 {
    let text = format!("{step}{order}{id}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    SeededIds::new(hash).random() % 10
}

async fn hold(
    tx: &mut Connection,
    step: &'static str,
    order: &str,
) -> Result<(), mainstay_database::Error> {
    let order = order.to_owned();
    let inserted = tx.statement().await?.insert(Hold { step, order }).await?;
    assert_eq!(
        inserted,
        mainstay_database::memory::Inserted::New,
        "an effect is made once"
    );
    Ok(())
}

async fn let_go(
    tx: &mut Connection,
    step: &'static str,
    order: &str,
) -> Result<(), mainstay_database::Error> {
    let key = (step, order.to_owned());
    let mut statement = tx.statement().await?;
    let _held = statement.delete::<Hold>(&key, |_| true).await?;
    Ok(())
}

async fn reserve(
    tx: &mut Connection,
    command: Received<ReserveStock>,
    kit: Kit,
) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(());
    };
    let order = command.event.order;
    if luck("stock", &order, "") == 0 {
        return Ok(kit.refused(tx, &task, &OutOfStock {}).await?);
    }
    hold(tx, "stock", &order).await?;
    Ok(kit.done(tx, &task, &StockReserved { hold: order }).await?)
}

async fn release(
    tx: &mut Connection,
    undo: Received<ReleaseStock>,
    kit: Kit,
) -> Result<(), HandlerError> {
    let (_, task) = kit.undo::<ReserveStock>(tx, &undo).await?;
    let_go(tx, "stock", &undo.event.order).await?;
    Ok(kit.undone(tx, &task, &StockReleased {}).await?)
}

async fn authorize(
    tx: &mut Connection,
    command: Received<Authorize>,
    kit: Kit,
) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(());
    };
    let order = command.event.order;
    let luck = luck("auth", &order, command.message.id.as_str());
    match luck {
        0 | 1 => {
            let is_retryable = luck == 0;
            Ok(kit.refused(tx, &task, &Declined { is_retryable }).await?)
        }
        // The provider does not answer: the saga's timeout undoes what never began.
        2 => Ok(()),
        _ => {
            hold(tx, "auth", &order).await?;
            Ok(kit.done(tx, &task, &Authorized { id: order }).await?)
        }
    }
}

async fn void(tx: &mut Connection, undo: Received<Void>, kit: Kit) -> Result<(), HandlerError> {
    let (_, task) = kit.undo::<Authorize>(tx, &undo).await?;
    let_go(tx, "auth", &undo.event.order).await?;
    Ok(kit.undone(tx, &task, &Voided {}).await?)
}

async fn pay(tx: &mut Connection, command: Received<Pay>, kit: Kit) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(());
    };
    let order = command.event.order;
    let luck = luck("pay", &order, command.message.id.as_str());
    if luck < 2 {
        let is_retryable = luck == 0;
        return Ok(kit.refused(tx, &task, &Declined { is_retryable }).await?);
    }
    hold(tx, "pay", &order).await?;
    Ok(kit.done(tx, &task, &Paid { receipt: order }).await?)
}

async fn ship(tx: &mut Connection, command: Received<Ship>, kit: Kit) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(());
    };
    hold(tx, "ship", &command.event.order).await?;
    Ok(kit.done(tx, &task, &Shipped {}).await?)
}

const TOPICS: [&str; 6] = [
    "stock-commands",
    "payment-commands",
    "shipping-commands",
    "stock",
    "payments",
    "shipping",
];

type Sagas = Orchestrator<Order, MemorySagas, MemoryOutbox>;

/// Starts a run, and cancels every seventh one.
async fn place(database: &Database, place_order: &Sagas, order: u32) {
    let id = format!("o-{order}");
    let input = Order { id: id.clone() };
    // The caller tries again until it knows that the run is there.
    loop {
        let started = async {
            let mut tx = database.begin().await?;
            let _either = place_order.start(&mut tx, &id, &input).await?;
            Ok::<_, mainstay_saga::Error>(database.commit(tx).await?)
        };
        if started.await.is_ok() {
            break;
        }
    }
    if order.is_multiple_of(7) {
        let by = Signature::new("customer", "changed their mind");
        let cancelled = async {
            let mut tx = database.begin().await?;
            let cancelled = place_order.cancel(&mut tx, &id, &by).await?;
            database.commit(tx).await?;
            Ok::<_, mainstay_saga::Error>(cancelled)
        };
        // It may fail like any other transaction: then the order simply is not cancelled.
        drop(cancelled.await);
    }
}

/// All done or all undone: what the services hold agrees with how each run has ended.
async fn judge(database: &Database, place_order: &Sagas, seed: u64) {
    let desk = place_order.desk();
    let holds = database.committed::<Hold>();
    let (mut completed, mut undone) = (0, 0);
    for run in desk.list(&Query::all(), None, 1_000).await.unwrap().items {
        let of = holds.iter().filter(|hold| hold.order == run.key);
        let of: Vec<&str> = of.map(|hold| hold.step).collect();
        match run.status {
            Status::Completed => {
                completed += 1;
                assert_eq!(of, ["auth", "pay", "ship", "stock"], "{run:?}");
            }
            Status::Undone => {
                undone += 1;
                assert_eq!(of, [""; 0], "{run:?}");
            }
            other => panic!("{other}: {run:?}"),
        }
    }
    assert_eq!(completed + undone, 60, "seed {seed}");
    assert!(
        completed > 10 && undone > 10,
        "seed {seed}: {completed} and {undone}"
    );
}

/// One seed: 60 orders, some cancelled, while one transaction in forty fails.
async fn play(seed: u64) {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::default());
    let ids = Arc::new(SeededIds::new(seed));
    let broker = Broker::builder()
        .clock(Arc::clone(&clock))
        .ids(Arc::clone(&ids));
    let broker = broker.build();
    for topic in TOPICS {
        broker.create_topic(topic, 2).await.unwrap();
    }
    let database = Database::builder()
        .clock(Arc::clone(&clock))
        .ids(Arc::clone(&ids));
    let database = database.build();
    let outbox = MemoryOutbox::builder(&database)
        .source("/shop")
        .clock(Arc::clone(&clock));
    let outbox = outbox.ids(Arc::clone(&ids)).open().await.unwrap();
    let relay = Relay::new(outbox.clone(), broker.publisher());
    let relay = relay.clock(Arc::clone(&clock)).spawn();
    let sagas = MemorySagas::new(&database);
    let kit = Participant::new(sagas.clone(), outbox.clone());
    let commands = broker
        .consumer("shop")
        .subscribe(TOPICS[..3].to_vec())
        .await
        .unwrap();
    let shop = Worker::new(MemoryInbox::new(&database), commands)
        .clock(Arc::clone(&clock))
        .ids(Arc::clone(&ids))
        .max_attempts(1_000)
        // One operation in forty fails: a large batch would never get through, and the commands
        // would time out.
        .batch_size(10)
        .backoff(Backoff::new(
            Duration::from_millis(100),
            Duration::from_secs(1),
        ))
        .with_state(kit)
        .on(reserve)
        .on(release)
        .on(authorize)
        .on(void)
        .on(pay)
        .on(ship)
        .spawn();
    let place_order = Orchestrator::builder(place_order(), sagas, outbox)
        .build()
        .unwrap();
    let mut running = Vec::new();
    // Two processes take replies and timers.
    for _ in 0..2 {
        let replies = broker
            .consumer("place-order")
            .subscribe(TOPICS[3..].to_vec());
        let worker = place_order.worker(replies.await.unwrap());
        let worker = worker.clock(Arc::clone(&clock)).ids(Arc::clone(&ids));
        let timers = place_order
            .timers()
            .poll_interval(Duration::from_millis(100));
        running.push((worker.spawn(), timers.spawn()));
    }
    let faults = database.faults();
    faults.sometimes(40, Fault::Unavailable);
    faults.sometimes(60, Fault::Serialization);
    faults.commits_sometimes(30, CommitFault::Unknown(Ending::Applied));
    faults.commits_sometimes(30, CommitFault::Unknown(Ending::NotApplied));

    for order in 0..60 {
        place(&database, &place_order, order).await;
        if order.is_multiple_of(10) {
            broker
                .faults()
                .redeliver(&Group::from_static("place-order"));
            broker.faults().redeliver(&Group::from_static("shop"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    faults.clear();
    let desk = place_order.desk();
    let live = async || {
        let of = async |status| desk.count(&Query::all().status(status)).await.unwrap();
        of(Status::Running).await + of(Status::Undoing).await
    };
    let settled = async {
        while live().await > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(3600), settled).await;
    settled.expect("every run ends");

    judge(&database, &place_order, seed).await;
    for (worker, timers) in running {
        worker.shutdown().await.unwrap();
        timers.shutdown().await;
    }
    shop.shutdown().await.unwrap();
    relay.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_order_ends_all_done_or_all_undone_while_transactions_fail() {
    for seed in 0..3 {
        play(seed).await;
    }
}
