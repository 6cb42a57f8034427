//! What the cases share: messages, sagas, and a scene to play them in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_database::Transactions as _;
use mainstay_messaging::{Event, Message, event};
use mainstay_outbox::RecordingOutbox;
use serde::{Deserialize, Serialize};

use super::{Connection, Database, Fixture};
use crate::{
    Answer, Command, Compensable, Definition, Desk, Error, Never, Orchestrator,
    OrchestratorBuilder, Outcome, RunId, Saga, Signature, Status, operator::Details,
    store::SagaStore,
};

crate::messages! {
    "stock-commands" { Reserve { order: String }, Release { order: String, hold: Option<String> } }
    "stock" { Reserved { hold: String }, OutOfStock {}, Released {} }
    "payment-commands" { Authorize { order: String, hold: String }, Void { order: String }, Pay { order: String } }
    "payments" { Authorized {}, Declined { is_retryable: bool }, Voided {}, Paid {} }
    "shipping-commands" { Ship { order: String }, Quick { order: String }, Unquick { order: String }, QuickPay { order: String } }
    "shipping" { Shipped {}, Moved { to: String } }
    "local" { Note { order: String }, Noted { number: i64 }, NotNoted {}, Unnote { order: String }, Unnoted {} }
}

impl Command for Reserve {
    type Done = Reserved;
    type Refused = OutOfStock;
}

impl Compensable for Reserve {
    type Undo = Release;
    type Undone = Released;

    fn undo(&self, outcome: Outcome<'_, Reserved>) -> Release {
        Release {
            order: self.order.clone(),
            hold: outcome.known().map(|reserved| reserved.hold.clone()),
        }
    }
}

impl Command for Authorize {
    type Done = Authorized;
    type Refused = Declined;

    fn retry(refused: &Declined, attempt: u32) -> Option<Duration> {
        (refused.is_retryable && attempt < 3).then_some(Duration::from_millis(20))
    }
}

impl Compensable for Authorize {
    type Undo = Void;
    type Undone = Voided;

    fn undo(&self, _: Outcome<'_, Authorized>) -> Void {
        Void {
            order: self.order.clone(),
        }
    }
}

impl Command for Pay {
    type Done = Paid;
    type Refused = Declined;

    fn retry(refused: &Declined, attempt: u32) -> Option<Duration> {
        (refused.is_retryable && attempt < 3).then_some(Duration::from_millis(20))
    }
}

impl Command for Ship {
    type Done = Shipped;
    type Refused = Never;
}

/// A step whose reply is soon overdue, and whose replies are of one kind.
impl Command for Quick {
    type Done = Moved;
    type Refused = Moved;
    const TIMEOUT: Duration = Duration::from_millis(20);

    fn answer(message: &Message) -> Result<Answer<Self>, event::DecodeError> {
        if message.kind.as_str() != Moved::KIND {
            return Ok(Answer::Neither);
        }
        let moved: Moved = event::decode(message)?;
        Ok(match &*moved.to {
            "there" => Answer::Done(moved),
            "nowhere" => Answer::Refused(moved),
            _ => Answer::Neither,
        })
    }
}

impl Compensable for Quick {
    type Undo = Unquick;
    type Undone = Moved;

    fn undo(&self, _: Outcome<'_, Moved>) -> Unquick {
        Unquick {
            order: self.order.clone(),
        }
    }

    fn undone(message: &Message) -> Result<Option<Moved>, event::DecodeError> {
        let moved: Moved = event::decode(message)?;
        Ok((moved.to == "back").then_some(moved))
    }
}

impl Command for QuickPay {
    type Done = Paid;
    type Refused = Declined;
    const TIMEOUT: Duration = Duration::from_millis(20);
}

impl Command for Note {
    type Done = Noted;
    type Refused = NotNoted;
}

impl Compensable for Note {
    type Undo = Unnote;
    type Undone = Unnoted;

    fn undo(&self, _: Outcome<'_, Noted>) -> Unnote {
        Unnote {
            order: self.order.clone(),
        }
    }
}

/// The input of the sagas.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
}

/// Reserve, authorize, pay (the pivot), ship.
pub(super) fn place_order(version: u32) -> Definition<Order> {
    let mut saga = Saga::new("place-order", version);
    let hold = saga.step((), |order: &Order, ()| Reserve {
        order: order.id.clone(),
    });
    saga.step(hold, |order, hold| {
        assert_ne!(hold.hold, "panic", "asked to panic");
        Authorize {
            order: order.id.clone(),
            hold: hold.hold,
        }
    });
    let (mut saga, _) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
    });
    saga.then((), |order, ()| Ship {
        order: order.id.clone(),
    });
    saga.build()
}

/// A reserve whose run is soon overdue.
pub(super) fn quick() -> Definition<Order> {
    let mut saga = Saga::new("quick", 1);
    saga.step((), |order: &Order, ()| Reserve {
        order: order.id.clone(),
    });
    saga.step((), |order, ()| Quick {
        order: order.id.clone(),
    });
    let (mut saga, _) = saga.pivot((), |order, ()| QuickPay {
        order: order.id.clone(),
    });
    saga.then((), |order, ()| Ship {
        order: order.id.clone(),
    });
    saga.build()
}

pub(super) type Sagas<F> =
    Orchestrator<Order, <F as Fixture>::Store, RecordingOutbox<Connection<F>>>;
pub(super) type Building<F> =
    OrchestratorBuilder<Order, <F as Fixture>::Store, RecordingOutbox<Connection<F>>>;

/// One orchestrator whose commands are recorded, and whose participants the case plays.
pub(super) struct Scene<F: Fixture> {
    pub(super) fixture: Arc<F>,
    pub(super) outbox: RecordingOutbox<Connection<F>>,
    pub(super) sagas: Sagas<F>,
    read: AtomicUsize,
}

impl<F: Fixture> Scene<F> {
    pub(super) fn new(fixture: F, definition: Definition<Order>) -> Self {
        let build = |builder: Building<F>| builder.build();
        Self::built(Arc::new(fixture), definition, build).unwrap()
    }

    pub(super) fn built(
        fixture: Arc<F>,
        definition: Definition<Order>,
        build: impl FnOnce(Building<F>) -> Result<Sagas<F>, Error>,
    ) -> Result<Self, Error> {
        let outbox = RecordingOutbox::new();
        let sagas = Orchestrator::builder(definition, fixture.sagas(), outbox.clone());
        Ok(Self {
            sagas: build(sagas)?,
            fixture,
            outbox,
            read: AtomicUsize::new(0),
        })
    }

    pub(super) fn database(&self) -> &Database<F> {
        self.sagas.store().database()
    }

    pub(super) fn desk(&self) -> Desk<Order, F::Store, RecordingOutbox<Connection<F>>> {
        self.sagas.desk()
    }

    pub(super) async fn start(&self, key: &str) -> RunId {
        let mut tx = self.database().begin().await.unwrap();
        let order = Order { id: key.to_owned() };
        let started = self.sagas.start(&mut tx, key, &order).await.unwrap();
        self.database().commit(tx).await.unwrap();
        assert!(started.is_new());
        started.run().clone()
    }

    /// The commands that were sent since the last call.
    pub(super) fn sent(&self) -> Vec<Message> {
        let messages = self.outbox.messages();
        let read = self.read.swap(messages.len(), Ordering::SeqCst);
        messages[read..].to_vec()
    }

    /// The command that was sent since the last call.
    pub(super) fn sent_one(&self) -> Message {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        sent[0].clone()
    }

    /// The kinds of the commands that were sent since the last call.
    pub(super) fn kinds(&self) -> Vec<String> {
        let sent = self.sent().into_iter();
        sent.map(|message| message.kind.to_string()).collect()
    }

    pub(super) async fn take(&self, replies: &[&Message]) -> Result<(), Error> {
        let mut tx = self.database().begin().await.unwrap();
        self.sagas.take(&mut tx, replies).await?;
        self.database().commit(tx).await.unwrap();
        Ok(())
    }

    pub(super) async fn reply<E: Event>(&self, to: &Message, event: &E) {
        self.take(&[&reply(to, event)]).await.unwrap();
    }

    pub(super) async fn show(&self, run: &RunId) -> Details {
        self.desk().show(run).await.unwrap()
    }

    pub(super) async fn status(&self, run: &RunId) -> Status {
        self.show(run).await.summary.status
    }

    /// Lets timers run until the condition holds.
    pub(super) async fn fire_until(&self, condition: impl AsyncFn() -> bool) {
        let timers = self.sagas.timers().poll_interval(Duration::from_millis(2));
        let timers = timers.spawn();
        until(condition).await;
        timers.shutdown().await;
    }

    /// A run of `place_order` whose pivot was sent, and the command.
    pub(super) async fn at_the_pivot(&self, key: &str) -> (RunId, Message) {
        let run = self.start(key).await;
        self.reply(&self.sent_one(), &held()).await;
        self.reply(&self.sent_one(), &Authorized {}).await;
        (run, self.sent_one())
    }
}

/// Waits until the condition holds.
pub(super) async fn until(condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "the condition did not come true");
}

pub(super) fn reply<E: Event>(to: &Message, event: &E) -> Message {
    let message = Message::builder().source("/participant").event(event);
    let mut message = message.build().unwrap();
    message.key.clone_from(&to.key);
    message.causation_id = Some(to.id.to_string());
    message
}

pub(super) fn held() -> Reserved {
    Reserved {
        hold: "h-1".to_owned(),
    }
}

pub(super) fn moved(to: &str) -> Moved {
    Moved { to: to.to_owned() }
}

pub(super) fn ada() -> Signature {
    Signature::new("ada", "a case")
}

/// A command with another id.
pub(super) fn renamed(command: &Message, id: String) -> Message {
    let mut command = command.clone();
    command.id = id.try_into().unwrap();
    command
}

/// Lets `first` go as far as it comes by itself, then `second`, which it may wait for.
pub(super) async fn begun_before<T>(
    first: impl Future<Output = T>,
    second: impl Future<Output = ()>,
) -> T {
    let mut first = std::pin::pin!(first);
    match tokio::time::timeout(Duration::from_millis(50), &mut first).await {
        Ok(ended) => {
            second.await;
            ended
        }
        Err(_) => tokio::join!(first, second).0,
    }
}
