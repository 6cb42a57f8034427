//! Ports at whose calls a process ends: one decorator for crash tests and chaos tests.
//!
//! [`Ports`] implements each port of the crates that the port behind it implements, and takes each call by the
//! [`Points`] of the run. The points carry the names of the methods; that of a consumer's commit is `store`.
//!
//! | feature | ports |
//! |---|---|
//! | none | `Transactions`, `Publisher`, `Consumer` |
//! | `outbox` | `Outbox`, `RelayStore` |
//! | `inbox` | `Inbox`, `MarkRetention` |
//!
//! A pattern crate's integration tests use it, though it imports the pattern crates: a dev-dependency may close such a circle.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_messaging::{
    Consumer, Error, Flow, Incoming, Message, Partition, Position, Publication, Publisher,
};
use mainstay_testkit::crash::Points;

/// A port of a process, and the points at which the process may end. Ports that are shared are in an [`Arc`].
#[derive(Debug)]
pub struct Ports<P> {
    points: Arc<Points>,
    port: P,
}

impl<P> Ports<P> {
    /// The port, called by way of these points.
    pub fn new(port: P, points: &Arc<Points>) -> Self {
        Self {
            points: Arc::clone(points),
            port,
        }
    }
}

/// Implements a port that is shared: by methods that are points, and by others.
macro_rules! shared_port {
    ($port:ident {
        $(type $associated:ident;)*
        $(point $name:ident($($argument:ident: $of:ty),*) -> $answer:ty;)*
        $(other $other:ident() $(-> $other_answer:ty)?;)*
    }) => {
        #[async_trait::async_trait]
        impl<T: $port> $port for $crate::Ports<std::sync::Arc<T>> {
            $(type $associated = T::$associated;)*
            $(async fn $name(&self, $($argument: $of),*) -> $answer {
                let call = self.port.$name($($argument),*);
                self.points.call(stringify!($name), call).await
            })*
            $(fn $other(&self) $(-> $other_answer)? {
                self.port.$other()
            })*
        }
    };
}

shared_port!(Transactions {
    type Connection;
    type Transaction;
    point begin() -> Result<T::Transaction, mainstay_database::Error>;
    point commit(transaction: T::Transaction) -> Result<(), mainstay_database::Error>;
    other idle_limit() -> Option<Duration>;
});

shared_port!(Publisher {
    point publish(messages: &[Message]) -> Vec<Publication>;
});

#[async_trait]
impl<T: Consumer> Consumer for Ports<T> {
    async fn next(&mut self) -> Result<Incoming, Error> {
        self.points.call("next", self.port.next()).await
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        self.points.call("store", self.port.commit(positions)).await
    }

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.port.flow(partitions, flow);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let releasing = self.port.release(partitions);
        self.points.call("release", releasing).await
    }
}

#[cfg(feature = "outbox")]
mod outbox {
    use std::time::Duration;

    use mainstay_messaging::Message;
    use mainstay_outbox::{
        Doorbell, Enqueued, Entry, Error, Fetched, Hold, Limit, Outbox, Outcome, RelayStore,
    };

    shared_port!(Outbox {
        type Connection;
        point enqueue_batch(connection: &mut T::Connection, entries: &[Entry<'_>]) -> Result<Vec<Enqueued>, Error>;
        point enqueue(connection: &mut T::Connection, message: &Message) -> Result<(), Error>;
        other ring();
    });

    shared_port!(RelayStore {
        point lease(owner: &str, lease: Duration) -> Result<Vec<Hold>, Error>;
        point fetch(holds: &[Hold], limit: Limit) -> Result<Fetched, Error>;
        point record(holds: &[Hold], outcome: &Outcome) -> Result<(), Error>;
        point release(owner: &str) -> Result<(), Error>;
        other doorbell() -> Option<&Doorbell>;
    });
}

#[cfg(feature = "inbox")]
mod inbox {
    use std::time::{Duration, SystemTime};

    use mainstay_inbox::{Admission, Error, Inbox, MarkRetention, Swept};
    use mainstay_messaging::{Delivery, Group, Position};

    shared_port!(Inbox {
        type Connection;
        point admit_batch(connection: &mut T::Connection, consumer: &Group, deliveries: &[&Delivery])
            -> Result<Vec<Admission>, Error>;
    });

    shared_port!(MarkRetention {
        point now() -> Result<SystemTime, Error>;
        point checkpoint(consumer: &Group, positions: &[Position], at: SystemTime, spacing: Duration)
            -> Result<(), Error>;
        point sweep(consumer: &Group, horizon: SystemTime, cursor: i64, limit: u32) -> Result<Swept, Error>;
    });
}
