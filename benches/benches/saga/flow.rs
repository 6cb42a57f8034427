//! The same with the library: commands and replies through outboxes, a broker and workers.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use mainstay_database::postgres::Database;
use mainstay_inbox::{HandlerError, PostgresInbox, Received, Worker, WorkerHandle};
use mainstay_messaging::sqlite::Broker;
use mainstay_outbox::{PostgresOutbox, Relay, RelayHandle};
use mainstay_saga::{
    Answer, Command, Compensable, Definition, Never, Observer, Orchestrator, Outcome, Participant,
    PostgresSagas, Query, Saga, Status, TimersHandle, Transition, messages,
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::sync::oneshot;

use crate::{REFUSED, Shop};

#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    number: usize,
    note: String,
}

messages! {
    "commands" {
        Reserve { note: String }, Release {},
        Authorize { is_refused: bool }, Void {},
        Capture { authorization: String },
        Dispatch { hold: String },
    }
    "replies" {
        Reserved { hold: String }, OutOfStock {}, Released {},
        Authorized { authorization: String }, Declined {}, Voided {},
        Captured {},
        Dispatched {},
    }
}

impl Command for Reserve {
    type Done = Reserved;
    type Refused = OutOfStock;
}

impl Compensable for Reserve {
    type Undo = Release;
    type Undone = Released;

    fn undo(&self, _: Outcome<'_, Reserved>) -> Release {
        Release {}
    }
}

impl Command for Authorize {
    type Done = Authorized;
    type Refused = Declined;
}

impl Compensable for Authorize {
    type Undo = Void;
    type Undone = Voided;

    fn undo(&self, _: Outcome<'_, Authorized>) -> Void {
        Void {}
    }
}

impl Command for Capture {
    type Done = Captured;
    type Refused = Declined;
}

impl Command for Dispatch {
    type Done = Dispatched;
    type Refused = Never;
}

fn place_order() -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1);
    let hold = saga.step((), |order: &Order, ()| Reserve {
        note: order.note.clone(),
    });
    let money = saga.step((), |order, ()| Authorize {
        is_refused: order.number.is_multiple_of(REFUSED),
    });
    let (mut saga, _) = saga.pivot(money, |_, money| Capture {
        authorization: money.authorization,
    });
    saga.then(hold, |_, hold| Dispatch { hold: hold.hold });
    saga.build()
}

async fn effect(tx: &mut PgConnection, body: &str) -> Result<(), HandlerError> {
    let insert: &'static str = "INSERT INTO effects (body) VALUES ($1)";
    sqlx::query(insert).bind(body).execute(tx).await?;
    Ok(())
}

async fn reserve(
    tx: &mut PgConnection,
    command: Received<Reserve>,
) -> Result<Answer<Reserve>, HandlerError> {
    effect(tx, &command.event.note).await?;
    let hold = "hold-1".to_owned();
    Ok(Answer::Done(Reserved { hold }))
}

async fn release(tx: &mut PgConnection, _: Received<Release>) -> Result<Released, HandlerError> {
    effect(tx, "released").await?;
    Ok(Released {})
}

async fn authorize(
    tx: &mut PgConnection,
    command: Received<Authorize>,
) -> Result<Answer<Authorize>, HandlerError> {
    if command.event.is_refused {
        return Ok(Answer::Refused(Declined {}));
    }
    effect(tx, &"x".repeat(200)).await?;
    let authorization = "authorization-1".to_owned();
    Ok(Answer::Done(Authorized { authorization }))
}

/// No saga of the bench undoes it: the pivot behind it is never refused.
async fn void(_: &mut PgConnection, _: Received<Void>) -> Result<Voided, HandlerError> {
    Ok(Voided {})
}

async fn capture(
    tx: &mut PgConnection,
    _: Received<Capture>,
) -> Result<Answer<Capture>, HandlerError> {
    effect(tx, &"x".repeat(200)).await?;
    Ok(Answer::Done(Captured {}))
}

async fn dispatch(
    tx: &mut PgConnection,
    _: Received<Dispatch>,
) -> Result<Answer<Dispatch>, HandlerError> {
    effect(tx, &"x".repeat(200)).await?;
    Ok(Answer::Done(Dispatched {}))
}

/// Tells who waits for a run that it has ended.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    starters: HashMap<String, oneshot::Sender<()>>,
    /// They wait for the commit.
    ended: Vec<oneshot::Sender<()>>,
}

impl Ended {
    fn of(&self, key: &str) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.0.lock().unwrap().starters.insert(key.to_owned(), tell);
        told
    }

    fn committed(&self) {
        for tell in self.0.lock().unwrap().ended.drain(..) {
            tell.send(()).unwrap();
        }
    }
}

#[async_trait]
impl Observer<Order, PgConnection> for Ended {
    async fn observe(
        &self,
        _: &mut PgConnection,
        transition: &Transition<'_, Order>,
    ) -> Result<(), HandlerError> {
        if transition.after.is_ended() {
            let mut waiting = self.0.lock().unwrap();
            let tell = waiting.starters.remove(transition.key);
            waiting.ended.extend(tell);
        }
        Ok(())
    }
}

/// A service that runs sagas, and a participant, with a database each.
pub(crate) struct Flow {
    database: Database,
    sagas: Orchestrator<Order, PostgresSagas, PostgresOutbox>,
    ended: Ended,
    workers: [WorkerHandle; 2],
    relays: [RelayHandle; 2],
    timers: TimersHandle,
    _databases: [TestDatabase; 2],
}

impl Flow {
    pub(crate) async fn start(server: &Server, log: &Path) -> Self {
        let broker = Broker::open(log).await.unwrap();
        for topic in ["commands", "replies"] {
            broker.create_topic(topic, 8).await.unwrap();
        }
        let (database, sagas, outbox, first) = service(server, "/orders").await;
        let ended = Ended::default();
        let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();
        let orchestrator = Orchestrator::builder(place_order(), sagas, outbox.clone())
            .observe(ended.clone())
            .build()
            .unwrap();
        let replies = broker.consumer("place-order").subscribe(["replies"]);
        let told = ended.clone();
        let worker = orchestrator.worker(replies.await.unwrap());
        let worker = worker.concurrency(3);
        let worker = worker.on_commit(move || told.committed()).spawn();

        let (shop, steps, answers, second) = service(server, "/shop").await;
        let create: &'static str = "CREATE TABLE effects (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL)";
        sqlx::query(create).execute(shop.pool()).await.unwrap();
        let answering = Relay::new(answers.clone(), broker.publisher()).spawn();
        let inbox = PostgresInbox::builder(&shop).open().await.unwrap();
        let commands = broker.consumer("shop").subscribe(["commands"]);
        let handlers = Participant::new(steps, answers)
            .handlers()
            .on_undoable(reserve, release)
            .on_undoable(authorize, void)
            .on(capture)
            .on(dispatch);
        let participant = Worker::new(inbox, commands.await.unwrap())
            .handlers(handlers.build())
            .spawn();
        Self {
            database,
            timers: orchestrator.timers().spawn(),
            sagas: orchestrator,
            ended,
            workers: [worker, participant],
            relays: [relay, answering],
            _databases: [first, second],
        }
    }

    /// Nothing has been left undone.
    pub(crate) async fn stop(self) {
        let desk = self.sagas.desk();
        for status in [Status::Running, Status::Undoing, Status::Broken] {
            assert_eq!(desk.count(&Query::all().status(status)).await.unwrap(), 0);
        }
        for worker in self.workers {
            worker.shutdown().await.unwrap();
        }
        self.timers.shutdown().await;
        for relay in self.relays {
            relay.shutdown().await.unwrap();
        }
    }
}

impl Shop for Flow {
    async fn carry_out(&self, number: usize) {
        let note = "x".repeat(200);
        // Numbers repeat, and a run of the number before has ended.
        let key = format!("order-{number}");
        let ended = self.ended.of(&key);
        let mut tx = self.database.begin().await.unwrap();
        let order = Order { number, note };
        let started = self.sagas.start(&mut tx, &key, &order).await.unwrap();
        assert!(started.is_new());
        self.database.commit(tx).await.unwrap();
        ended.await.unwrap();
    }
}

async fn service(
    server: &Server,
    source: &str,
) -> (Database, PostgresSagas, PostgresOutbox, TestDatabase) {
    let test = server.database().await.unwrap();
    let database = Database::builder(test.url()).max_connections(16);
    let database = database.open().await.unwrap();
    let sagas = PostgresSagas::builder(&database).open().await.unwrap();
    let outbox = PostgresOutbox::builder(&database).source(source);
    (database, sagas, outbox.open().await.unwrap(), test)
}
