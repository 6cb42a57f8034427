//! What others read of the events of many aggregates.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;

use crate::Aggregate;

/// An event with its place and time.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Recorded<E> {
    /// The aggregate's id.
    pub id: Arc<str>,
    /// The event's place in the stream, from 1.
    pub version: u64,
    /// When its statement began, by the database's clock, to the microsecond.
    pub recorded_at: SystemTime,
    /// What happened.
    pub event: E,
}

/// What a projection fails with: any error, so that `?` works on those of the driver.
pub type ProjectionError = Box<dyn std::error::Error + Send + Sync>;

/// A read model: rows that follow from the events of an aggregate's streams, on a database whose
/// connections are `C`. A [`Rebuild`](crate::Rebuild) makes it from the streams.
#[async_trait]
pub trait Projection<C: Send + 'static>: Send + Sync + 'static {
    /// Its name, which is the key of its progress.
    const NAME: &'static str;

    /// Number of its shape, from 1. Raise it with each change of its tables or of
    /// [`project`](Self::project): the next rebuild begins anew. Checked at compile time.
    const SHAPE: u32;

    /// Whose streams it follows from.
    type Aggregate: Aggregate;

    /// Empties its tables. Called once, in the transaction that begins a rebuild.
    ///
    /// # Errors
    /// Any; the transaction is rolled back.
    async fn reset(&self, connection: &mut C) -> Result<(), ProjectionError>;

    /// Writes what follows from these events, in the caller's transaction.
    ///
    /// # Behaviour
    /// - Events come stream by stream, each stream in order. A call has events of many streams, and
    ///   the events of one stream may come in several calls.
    ///
    /// # Errors
    /// Any; the transaction is rolled back. After a database error that heals by itself, the same
    /// events are given again.
    async fn project(
        &self,
        connection: &mut C,
        events: &[Recorded<<Self::Aggregate as Aggregate>::Event>],
    ) -> Result<(), ProjectionError>;
}

#[async_trait]
impl<C: Send + 'static, P: Projection<C>> Projection<C> for Arc<P> {
    const NAME: &'static str = P::NAME;
    const SHAPE: u32 = P::SHAPE;
    type Aggregate = P::Aggregate;

    async fn reset(&self, connection: &mut C) -> Result<(), ProjectionError> {
        (**self).reset(connection).await
    }

    async fn project(
        &self,
        connection: &mut C,
        events: &[Recorded<<P::Aggregate as Aggregate>::Event>],
    ) -> Result<(), ProjectionError> {
        (**self).project(connection, events).await
    }
}
