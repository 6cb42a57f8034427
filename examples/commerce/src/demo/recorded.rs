//! The broker's log, beside the running services: what it has of an order, and who has read it.

use std::sync::Arc;

use commerce_chassis::Storage;
use commerce_contracts::SUBSCRIPTIONS;
use mainstay_dlq::Query;
use mainstay_messaging::{Key, Message, Publisher, Topic, envelope};

use crate::{
    dlq::{desk, refused, services},
    error::Failure,
    serve::open_log,
};

pub(super) struct Recorded {
    storage: Storage,
    publisher: Arc<dyn Publisher>,
}

impl Recorded {
    pub(super) async fn open(storage: Storage) -> Result<Self, Failure> {
        let deployment = open_log(storage.clone()).await?;
        let publisher = deployment.publisher();
        Ok(Self { storage, publisher })
    }

    /// The messages of the order.
    pub(super) async fn of(&self, order: &str) -> Result<Vec<Message>, Failure> {
        let log = self.storage.log().records_of(order).await?;
        let damaged = |error: &dyn std::error::Error| {
            Failure::new(format!("a message of order {order} cannot be read"), error)
        };
        let mut messages = Vec::new();
        for record in &log.records {
            let topic = log.partition(record.partition).map(|it| it.topic.clone());
            let topic = Topic::new(topic.unwrap_or_default()).map_err(|error| damaged(&error))?;
            let key = Key::new(order).map_err(|error| damaged(&error))?;
            let text = record.envelope.as_deref().unwrap_or_default();
            let payload = record.payload.clone().map(Into::into);
            let message = envelope::read(text, topic, Some(key), payload);
            messages.push(message.map_err(|error| damaged(&error))?);
        }
        Ok(messages)
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
        let log = self.storage.log().records_of(order).await?;
        let is_read = log.records.iter().all(|record| {
            let topic = log.partition(record.partition).map(|it| &*it.topic);
            let mut readers = SUBSCRIPTIONS.iter().filter(|it| Some(it.topic) == topic);
            readers.all(|reader| log.committed(reader.service, record.partition) > record.offset)
        });
        Ok(is_read)
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
