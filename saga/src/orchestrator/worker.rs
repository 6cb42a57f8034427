//! Replies through today's worker of the inbox.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_inbox::{
    Admission, Error as InboxError, Handlers, Inbox, Worker,
    store::{Pruned, Retention, WorkerStore},
};
use mainstay_messaging::{Consumer, Delivery, Group, Position};
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use super::{Orchestrator, replies::on_replies};
use crate::{store::SagaStore, timers::Timers};

impl<I, S, O> Orchestrator<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore + Clone,
    O: Outbox<Connection = S::Connection>,
{
    /// A worker that takes replies from `consumer`, which is to read the topics of the replies in a
    /// group of this saga's own. Set it up as any worker of the inbox.
    ///
    /// It keeps no processed records: the run's row tells duplicates. Any number may run, in any
    /// process. Run [`timers`](Self::timers) too.
    pub fn worker<K: Consumer>(&self, consumer: K) -> Worker<Replies<S>, K, Self> {
        let replies = Replies(self.inner.store.clone());
        let outbox = self.clone();
        let worker = Worker::new(replies, consumer).on_commit(move || outbox.outbox().notify());
        let kinds = self.reply_kinds();
        worker
            .with_state(self.clone())
            .on_messages(&kinds, on_replies::<I, S, O>)
    }
}

impl<I, S, O> Orchestrator<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    /// The handlers of all replies, for a worker of your own on an inbox of the same database.
    #[must_use]
    pub fn handlers(&self) -> Handlers<S::Connection, Self> {
        Handlers::new()
            .with_state(self.clone())
            .on_messages(&self.reply_kinds(), on_replies::<I, S, O>)
    }

    /// Acts on timeouts, retries and deadlines. One in each process is enough, one in any process
    /// suffices.
    pub fn timers(&self) -> Timers<I, S, O> {
        Timers::new(self.clone())
    }

    fn reply_kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = (self.inner.definitions.iter())
            .flat_map(crate::Definition::reply_kinds)
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// An inbox that admits every reply, since the row of its run tells duplicates.
#[derive(Clone, Debug)]
pub struct Replies<S>(S);

#[async_trait]
impl<S: SagaStore> Inbox for Replies<S> {
    type Connection = S::Connection;

    async fn admit_batch(
        &self,
        _: &mut S::Connection,
        _: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, InboxError> {
        Ok(vec![Admission::Fresh; deliveries.len()])
    }
}

/// There are no records to prune.
#[async_trait]
impl<S: SagaStore> Retention for Replies<S> {
    async fn now(&self) -> Result<SystemTime, InboxError> {
        Ok(SystemTime::UNIX_EPOCH)
    }

    async fn checkpoint(
        &self,
        _: &Group,
        _: &[Position],
        _: SystemTime,
        _: Duration,
    ) -> Result<(), InboxError> {
        Ok(())
    }

    async fn prune(&self, _: &Group, _: SystemTime, _: i64, _: u32) -> Result<Pruned, InboxError> {
        let (deleted, next) = (0, None);
        Ok(Pruned { deleted, next })
    }
}

impl<S: SagaStore> WorkerStore for Replies<S> {
    type Database = S::Database;

    fn database(&self) -> &S::Database {
        self.0.database()
    }
}
