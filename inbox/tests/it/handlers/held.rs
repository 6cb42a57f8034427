//! Messages that admission holds behind a dead letter of their key.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database};
use mainstay_inbox::{
    Admission, Error, Inbox, MemoryInbox, Worker,
    conformance::Fixture as _,
    store::{Pruned, Retention, WorkerStore},
};
use mainstay_messaging::{
    Group, Position,
    broker::{Content, Delivery},
};

use super::{all_committed, effects, fixture, write};
use crate::named::{group, message, topic};

/// Holds the messages of key b.
struct Holding(MemoryInbox);

#[async_trait]
impl Inbox for Holding {
    type Connection = Connection;

    async fn admit_batch(
        &self,
        connection: &mut Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        let mut admissions = self.0.admit_batch(connection, consumer, deliveries).await?;
        for (admission, delivery) in admissions.iter_mut().zip(deliveries) {
            if let Content::Message(message) = &delivery.content
                && message.key.as_ref().is_some_and(|key| key.as_str() == "b")
            {
                *admission = Admission::Held;
            }
        }
        Ok(admissions)
    }
}

#[async_trait]
impl Retention for Holding {
    async fn now(&self) -> Result<SystemTime, Error> {
        self.0.now().await
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        self.0.checkpoint(consumer, positions, at, spacing).await
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        self.0.prune(consumer, horizon, cursor, limit).await
    }
}

impl WorkerStore for Holding {
    type Database = Database;

    fn database(&self) -> &Database {
        self.0.database()
    }
}

/// Counters by their label `outcome`.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<std::collections::BTreeMap<String, u64>>>);

impl metrics::Recorder for Outcomes {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let outcome = key.labels().find(|label| label.key() == "outcome");
        match outcome {
            Some(outcome) => metrics::Counter::from_arc(Arc::new(Outcome {
                outcomes: self.clone(),
                name: outcome.value().to_owned(),
            })),
            None => metrics::Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

struct Outcome {
    outcomes: Outcomes,
    name: String,
}

impl metrics::CounterFn for Outcome {
    fn increment(&self, value: u64) {
        let mut outcomes = self.outcomes.0.lock().unwrap();
        *outcomes.entry(self.name.clone()).or_default() += value;
    }

    fn absolute(&self, value: u64) {
        let mut outcomes = self.outcomes.0.lock().unwrap();
        outcomes.insert(self.name.clone(), value);
    }
}

#[test]
fn a_held_message_has_no_effect_and_is_committed_and_counted() {
    let outcomes = Outcomes::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&outcomes, || {
        runtime.block_on(async {
            let messages = [message("a", 0), message("b", 0), message("a", 1)];
            let f = fixture(&messages).await;
            let consumer = f.consumer(&group(), &topic()).await;
            let worker = Worker::new(Holding(f.inbox()), consumer).on(write).spawn();
            assert_eq!(effects(&f, 2).await, ["a-0", "a-1"]);
            all_committed(&f).await;
            worker.shutdown().await.unwrap();
            // What admission wrote for the held message is committed.
            assert_eq!((f.effects().await.len(), f.processed().await), (2, 3));
        });
    });
    let outcomes = outcomes.0.lock().unwrap().clone();
    assert_eq!(outcomes.get("held"), Some(&1), "{outcomes:?}");
    assert_eq!(outcomes.get("handled"), Some(&2), "{outcomes:?}");
    assert_eq!(outcomes.get("duplicate").copied().unwrap_or(0), 0);
}
