//! Messages, running workers, and waiting.

use std::{sync::Arc, time::Duration};

use mainstay_clock::Backoff;
use mainstay_database::Transactions;
use mainstay_messaging::{
    Consumer, Event, Group, Message, Partition, Position, Publisher as _, Topic,
    broker::{Content, Delivery},
};
use tokio::task::JoinHandle;

use super::{
    Connection, Database, Fixture,
    script::{Batched, Counted, Script, count, count_batch, ignore},
};
use crate::{Error, Handlers, Status, Worker, WorkerHandle, store::WorkerStore};

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn topic() -> Topic {
    Topic::from_static("orders")
}

pub(super) fn group() -> Group {
    Group::from_static("billing")
}

pub(super) fn partition(number: i32) -> Partition {
    Partition {
        topic: topic(),
        number,
    }
}

/// The message `key-number`, whose handler takes one at a time.
pub(super) fn message(key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    with_id(key, &name.clone(), &Counted { name })
}

/// The message `key-number`, whose handler takes batches.
pub(super) fn batched(key: &str, number: usize) -> Message {
    let name = format!("{key}-{number}");
    with_id(key, &name.clone(), &Batched { name })
}

fn with_id(key: &str, id: &str, event: &impl Event) -> Message {
    let message = Message::builder().source("/suite").event(event);
    message.id(id).key(key).build().unwrap()
}

/// A transaction of the store's database.
pub(super) async fn begin<F: Fixture>(f: &F) -> <Database<F> as Transactions>::Transaction {
    f.inbox().database().begin().await.unwrap()
}

pub(super) async fn commit<F: Fixture>(f: &F, tx: <Database<F> as Transactions>::Transaction) {
    f.inbox().database().commit(tx).await.unwrap();
}

pub(super) fn delivery(message: Message, offset: i64) -> Delivery {
    Delivery {
        position: Position {
            partition: partition(0),
            offset,
        },
        content: Content::Message(message),
    }
}

/// `count` messages of each key, in turns.
pub(super) fn in_turns(keys: &[&str], count: usize) -> Vec<Message> {
    (0..count)
        .flat_map(|number| keys.iter().map(move |key| message(key, number)))
        .collect()
}

pub(super) fn names(key: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{key}-{number}")).collect()
}

/// The effects of `key`, in order.
pub(super) fn of_key(effects: &[String], key: &str) -> Vec<String> {
    let prefix = format!("{key}-");
    effects
        .iter()
        .filter(|e| e.starts_with(&prefix))
        .cloned()
        .collect()
}

pub(super) async fn publish<F: Fixture>(f: &F, messages: &[Message]) {
    for answer in f.publisher().publish(messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

/// Waits until `holds` does.
pub(super) async fn until<R>(what: &str, mut holds: impl AsyncFnMut() -> Option<R>) -> R {
    let waiting = async {
        loop {
            if let Some(result) = holds().await {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
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
        assert!(
            effects.len() <= count,
            "more than {count} effects: {effects:?}"
        );
        (effects.len() == count).then_some(effects)
    })
    .await
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

pub(super) async fn committed<F: Fixture>(f: &F) -> i64 {
    let progress = f.progress(&group()).await;
    progress.iter().map(|(_, committed, _)| committed).sum()
}

/// A worker without further state, as [`worker`] makes it.
pub(super) type WorkerOf<F> = Worker<<F as Fixture>::Inbox, <F as Fixture>::Consumer>;

/// The handlers of the suite.
pub(super) fn handlers<F: Fixture>(script: &Arc<Script>) -> Handlers<Connection<F>, Arc<Script>> {
    Handlers::new()
        .on(ignore::<F>)
        .with_state(Arc::clone(script))
        .on(count::<F>)
        .on_batch(count_batch::<F>)
}

/// A worker with short waits.
pub(super) async fn worker<F: Fixture>(f: &F, script: &Arc<Script>) -> WorkerOf<F> {
    let consumer = f.consumer(&group(), &topic()).await;
    Worker::new(f.inbox(), consumer)
        .handlers(handlers::<F>(script))
        .backoff(Backoff::new(
            Duration::from_millis(2),
            Duration::from_millis(20),
        ))
        .commit_interval(Duration::from_millis(5))
}

/// A worker that runs until it is stopped or crashed.
pub(super) struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(super) fn start<I: WorkerStore, K: Consumer>(worker: Worker<I, K>) -> Self {
        Self {
            handle: worker.handle(),
            task: tokio::spawn(worker.run_until(std::future::pending())),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.handle.status()
    }

    /// Shuts it down and waits for its end.
    pub(super) async fn stop(self) {
        let ended = tokio::time::timeout(PATIENCE, self.handle.shutdown()).await;
        ended.unwrap().unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it as a kill does: nothing is finished, committed or released.
    pub(super) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}
