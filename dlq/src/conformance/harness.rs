//! Messages, handlers, running engines, and waiting.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use mainstay_clock::Backoff;
use mainstay_database::Transactions;
use mainstay_inbox::{
    HandlerError, Handlers, Inbox as _, Received, WorkerHandle,
    failure::{Failure, FailureKind, FailureOutcome, FailurePolicy as _},
    store::WorkerStore,
};
use mainstay_messaging::{
    Delivery, Event, Group, Message, Partition, Position, Publisher as _, Topic, broker::Content,
};
use serde::{Deserialize, Serialize};

use super::{Connection, Fixture, QueueOf};
use crate::{
    BlockedKey, DeadLetter, DeadLetterId, Query, Replayer, ReplayerHandle, Signature, State,
    store::Due,
};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Counted {
    pub(super) name: String,
}

impl Event for Counted {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Counted";
}

/// What the handler of a name does after it has written its effect, each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Fail,
    FailForGood,
    Away,
    Hang,
    Panic,
}

#[derive(Default, Debug)]
pub(super) struct Script {
    plan: Mutex<HashMap<String, Act>>,
    started: Mutex<Vec<String>>,
}

impl Script {
    pub(super) fn new(plan: &[(&str, Act)]) -> Arc<Self> {
        let script = Self::default();
        for (name, act) in plan {
            script.plan(name, Some(*act));
        }
        Arc::new(script)
    }

    /// From now on the handler of `name` does this.
    pub(super) fn plan(&self, name: &str, act: Option<Act>) {
        let mut plan = self.plan.lock().unwrap();
        match act {
            Some(act) => plan.insert(name.to_owned(), act),
            None => plan.remove(name),
        };
    }

    pub(super) fn starts_of(&self, name: &str) -> usize {
        let started = self.started.lock().unwrap();
        started.iter().filter(|other| *other == name).count()
    }
}

async fn count<F: Fixture>(
    connection: &mut Connection<F>,
    received: Received<Counted>,
    script: Arc<Script>,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    script.started.lock().unwrap().push(name.clone());
    let act = script.plan.lock().unwrap().get(&name).copied();
    F::write(connection, &name).await?;
    match act {
        None => Ok(()),
        Some(Act::Fail) => Err(HandlerError::retryable("order 17 is not there yet")),
        Some(Act::FailForGood) => Err(HandlerError::permanent(format!("{name} is poison"))),
        Some(Act::Away) => Err(HandlerError::unavailable("the payment provider is away")),
        Some(Act::Panic) => panic!("as planned"),
        Some(Act::Hang) => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            Ok(())
        }
    }
}

pub(super) fn topic() -> Topic {
    Topic::from_static("orders")
}

pub(super) fn group() -> Group {
    Group::from_static("billing")
}

pub(super) fn partition() -> Partition {
    Partition {
        topic: topic(),
        number: 0,
    }
}

pub(super) fn key(name: &str) -> BlockedKey {
    BlockedKey {
        consumer: group(),
        topic: topic(),
        key: name.to_owned(),
    }
}

pub(super) fn due(name: &str) -> Due {
    Due::Key(key(name))
}

pub(super) fn by() -> Signature {
    Signature::new("ada", "the cause is fixed")
}

/// The message `key-number`.
pub(super) fn message(key: &str, number: usize) -> Message {
    unkeyed(&format!("{key}-{number}")).with_key(mainstay_messaging::Key::new(key).unwrap())
}

/// A message without a key.
pub(super) fn unkeyed(name: &str) -> Message {
    let name = name.to_owned();
    let message = Message::builder().source("/suite").id(&*name);
    message
        .event(&Counted { name: name.clone() })
        .build()
        .unwrap()
}

pub(super) fn in_turns(keys: &[&str], count: usize) -> Vec<Message> {
    (0..count)
        .flat_map(|number| keys.iter().map(move |key| message(key, number)))
        .collect()
}

pub(super) fn names(key: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{key}-{number}")).collect()
}

pub(super) fn of_key(effects: &[String], key: &str) -> Vec<String> {
    let prefix = format!("{key}-");
    let of_key = effects.iter().filter(|effect| effect.starts_with(&prefix));
    of_key.cloned().collect()
}

pub(super) fn delivery(message: Message, offset: i64) -> Delivery {
    Delivery {
        position: Position {
            partition: partition(),
            offset,
        },
        content: Content::Message(message),
    }
}

pub(super) async fn publish<F: Fixture>(f: &F, messages: &[Message]) {
    for answer in f.publisher().publish(messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

type TransactionOf<F> =
    <<<F as Fixture>::Inbox as WorkerStore>::Database as Transactions>::Transaction;

pub(super) async fn begin<F: Fixture>(queue: &QueueOf<F>) -> TransactionOf<F> {
    WorkerStore::database(queue).begin().await.unwrap()
}

pub(super) async fn commit<F: Fixture>(queue: &QueueOf<F>, tx: TransactionOf<F>) {
    WorkerStore::database(queue).commit(tx).await.unwrap();
}

/// Admits in a transaction of its own, and makes no effect.
pub(super) async fn admit<F: Fixture>(
    queue: &QueueOf<F>,
    delivery: &Delivery,
) -> mainstay_inbox::Admission {
    let mut tx = begin::<F>(queue).await;
    let admission = queue.admit(&mut tx, &group(), delivery).await.unwrap();
    commit::<F>(queue, tx).await;
    admission
}

/// A handler has failed on it for good, and the worker asks the queue.
pub(super) async fn dead_letter<F: Fixture>(queue: &QueueOf<F>, delivery: &Delivery) {
    let failure = Failure::new(FailureKind::Permanent, 1, "poison");
    let outcome = queue
        .on_failure(&group(), delivery, &failure)
        .await
        .unwrap();
    assert_eq!(outcome, FailureOutcome::DeadLettered);
}

/// All messages of the queue, oldest first.
pub(super) async fn letters<F: Fixture>(queue: &QueueOf<F>) -> Vec<DeadLetter> {
    let page = queue.desk().list(&Query::all(), None, 1_000).await.unwrap();
    let mut letters = page.items;
    letters.reverse();
    letters
}

/// Message ids and states, oldest first.
pub(super) async fn states<F: Fixture>(queue: &QueueOf<F>) -> Vec<(String, State)> {
    let letters = letters::<F>(queue).await.into_iter();
    letters
        .map(|letter| (letter.message_id, letter.state))
        .collect()
}

pub(super) async fn id_of<F: Fixture>(queue: &QueueOf<F>, message_id: &str) -> DeadLetterId {
    let query = Query::all().message_id(message_id);
    let page = queue.desk().list(&query, None, 10).await.unwrap();
    page.items.first().unwrap().id
}

/// Waits until `holds` does.
pub(super) async fn until<R>(what: &str, mut holds: impl AsyncFnMut() -> Option<R>) -> R {
    let waiting = async {
        loop {
            if let Some(result) = holds().await {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for so many effects, and returns them.
pub(super) async fn effects<F: Fixture>(f: &F, count: usize) -> Vec<String> {
    until(&format!("{count} effects"), async || {
        let effects = f.effects().await;
        assert!(effects.len() <= count, "more than {count}: {effects:?}");
        (effects.len() == count).then_some(effects)
    })
    .await
}

/// Waits until the queue looks like this, oldest first.
pub(super) async fn until_states<F: Fixture>(queue: &QueueOf<F>, expected: &[(&str, State)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, state)| ((*id).to_owned(), *state))
        .collect();
    until(&format!("the queue to be {expected:?}"), async || {
        (states::<F>(queue).await == expected).then_some(())
    })
    .await;
}

/// Waits until no key is blocked.
pub(super) async fn until_free<F: Fixture>(queue: &QueueOf<F>) {
    until("no key to be blocked", async || {
        let totals = queue.desk().totals(&group()).await.unwrap();
        (totals.blocked_keys == 0).then_some(())
    })
    .await;
}

/// Waits until the group has committed everything.
pub(super) async fn all_committed<F: Fixture>(f: &F) {
    until("all offsets to be committed", async || {
        let progress = f.progress(&group()).await;
        let done = progress.iter().all(|(_, committed, end)| committed == end);
        (done && !progress.is_empty()).then_some(())
    })
    .await;
}

fn quick() -> Backoff {
    Backoff::new(Duration::from_millis(2), Duration::from_millis(20))
}

pub(super) fn handlers<F: Fixture>(script: &Arc<Script>) -> Handlers<Connection<F>, Arc<Script>> {
    Handlers::new()
        .with_state(Arc::clone(script))
        .on(count::<F>)
}

/// A worker with short waits.
pub(super) async fn work<F: Fixture>(
    f: &F,
    queue: &QueueOf<F>,
    script: &Arc<Script>,
) -> WorkerHandle {
    let worker = queue.worker(f.consumer(&group(), &topic()).await);
    worker
        .handlers(handlers::<F>(script))
        .backoff(quick())
        .max_attempts(2)
        .commit_interval(Duration::from_millis(5))
        .spawn()
}

/// A replayer with short waits.
pub(super) fn replayer<F: Fixture>(
    queue: &QueueOf<F>,
    script: &Arc<Script>,
) -> Replayer<F::Inbox, F::Store, Arc<Script>> {
    queue
        .replayer(group(), handlers::<F>(script))
        .unwrap()
        .backoff(quick())
        .max_attempts(2)
        .poll_interval(Duration::from_millis(10))
}

pub(super) fn replay<F: Fixture>(queue: &QueueOf<F>, script: &Arc<Script>) -> ReplayerHandle {
    replayer::<F>(queue, script).spawn()
}

pub(super) async fn stop(worker: WorkerHandle) {
    let ended = tokio::time::timeout(PATIENCE, worker.shutdown()).await;
    ended.unwrap().unwrap();
}

pub(super) async fn halt(replayer: ReplayerHandle) {
    let ended = tokio::time::timeout(PATIENCE, replayer.shutdown()).await;
    ended.unwrap().unwrap();
}
