//! The broker's log, beside the running services: what it has of an order, and who has read it.

use std::sync::Arc;

use commerce_chassis::{Deployment, FileSnapshot, Storage};
use mainstay_dlq::Query;
use mainstay_messaging::{Key, Message, Publisher, Topic, envelope};

use crate::{
    dlq::{desk, refused, services},
    error::Failure,
};

/// The messages of an order, in the order of each partition.
const OF_ORDER: &str = "SELECT p.topic, r.envelope, r.payload
    FROM broker_records AS r JOIN broker_partitions AS p ON p.id = r.id >> 40
    WHERE r.key = $1 ORDER BY r.id";

/// The messages of an order that a service which reads their topic has not handled yet.
const UNREAD: &str = "SELECT count(*)
    FROM broker_records AS r JOIN broker_partitions AS p ON p.id = r.id >> 40
    JOIN broker_subscriptions AS s ON s.topic = p.topic
    LEFT JOIN broker_claims AS c ON c.grp = s.grp AND c.partition = p.id
    WHERE r.key = $1 AND coalesce(c.committed, 0) <= r.id & ((1 << 40) - 1)";

pub(super) struct Recorded {
    storage: Storage,
    publisher: Arc<dyn Publisher>,
}

impl Recorded {
    pub(super) async fn open(storage: Storage) -> Result<Self, Failure> {
        let deployment = Deployment::open(storage.clone()).await?;
        let publisher = deployment.publisher();
        Ok(Self { storage, publisher })
    }

    /// The messages of the order.
    pub(super) async fn of(&self, order: &str) -> Result<Vec<Message>, Failure> {
        let mut log = FileSnapshot::open(self.storage.data(), "broker").await?;
        let rows: Vec<(String, String, Option<Vec<u8>>)> = log.all_of(OF_ORDER, order).await?;
        log.close().await?;
        let damaged = |error: &dyn std::error::Error| {
            Failure::new(format!("a message of order {order} cannot be read"), error)
        };
        let read = |(topic, text, payload): (String, String, Option<Vec<u8>>)| {
            let topic = Topic::new(topic).map_err(|error| damaged(&error))?;
            let key = Key::new(order).map_err(|error| damaged(&error))?;
            let payload = payload.map(Into::into);
            envelope::read(&text, topic, Some(key), payload).map_err(|error| damaged(&error))
        };
        rows.into_iter().map(read).collect()
    }

    /// Appends these messages to the log.
    pub(super) async fn publish(&self, messages: &[Message]) -> Result<(), Failure> {
        for outcome in self.publisher.publish(messages).await {
            if !outcome.is_acknowledged() {
                let line = format!("the log does not take a message: {outcome:?}");
                return Err(Failure::plain(line));
            }
        }
        Ok(())
    }

    /// Whether every service has read all messages of the order.
    pub(super) async fn is_read(&self, order: &str) -> Result<bool, Failure> {
        let mut log = FileSnapshot::open(self.storage.data(), "broker").await?;
        let unread: Vec<(i64,)> = log.all_of(UNREAD, order).await?;
        log.close().await?;
        Ok(unread == [(0,)])
    }

    /// How many messages of the order are in dead letter queues.
    pub(super) async fn kept(&self, order: &str) -> Result<usize, Failure> {
        let mut kept = 0;
        for service in services(&self.storage, None).await? {
            let desk = desk(&self.storage, service).await?;
            let query = Query::all().key(order);
            let found = desk.list(&query, None, 1).await.map_err(refused)?;
            kept += found.items.len();
        }
        Ok(kept)
    }
}
