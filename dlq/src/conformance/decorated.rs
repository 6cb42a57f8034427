//! The queue as the inbox's own suite takes it.

use async_trait::async_trait;
use mainstay_inbox::conformance::Fixture as InboxFixture;
use mainstay_messaging::{Group, Partition, Topic};

use super::{Connection, Fixture, QueueOf};

/// A fixture whose inbox is the queue: `mainstay_inbox::conformance!(async { Decorated(fixture) })`.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it wraps a fixture")]
pub struct Decorated<F>(pub F);

#[async_trait]
impl<F: Fixture> InboxFixture for Decorated<F> {
    type Inbox = QueueOf<F>;
    type Publisher = F::Publisher;
    type Consumer = F::Consumer;

    fn inbox(&self) -> QueueOf<F> {
        self.0.queue(&[])
    }

    async fn write(
        connection: &mut Connection<F>,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        F::write(connection, effect).await
    }

    async fn effects(&self) -> Vec<String> {
        self.0.effects().await
    }

    async fn processed(&self) -> usize {
        self.0.processed().await
    }

    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.0.create_topic(topic, partitions).await;
    }

    fn publisher(&self) -> F::Publisher {
        self.0.publisher()
    }

    async fn consumer(&self, group: &Group, topic: &Topic) -> F::Consumer {
        self.0.consumer(group, topic).await
    }

    async fn progress(&self, group: &Group) -> Vec<(Partition, i64, i64)> {
        self.0.progress(group).await
    }

    async fn append_raw(&self, partition: &Partition, key: &str) {
        self.0.append_raw(partition, key).await;
    }
}
