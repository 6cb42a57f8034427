//! Ports at whose calls a process ends: one decorator for crash tests and chaos tests.
//!
//! [`Ports`] implements each port that the port behind it implements, and takes each call by the
//! [`Points`] of the run. A point has the name of the method; that of a consumer's commit is `store`.
//!
//! | feature | ports |
//! |---|---|
//! | none | `Transactions`, `Publisher`, `Consumer` |
//! | `dlock` | `LeaseStore`, `Fences` |
//! | `outbox` | `Outbox`, `RelayStore` |
//! | `eventstore` | `StreamStore`, `SnapshotStore`, `RebuildStore`: by [`EventStorePorts`] |
//! | `inbox` | `Inbox`, `Retention`, `WorkerStore`: by [`InboxPorts`] |
//! | `idempotency` | `Leases`; `Records`, `RecordStore`: by [`RecordPorts`], as `begin_key` and `complete_key` |
//! | `saga` | `SagaStore`, by [`SagaPorts`] |

use std::{ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_messaging::{
    Consumer, Error, Group, Message, Partition, Position, Publisher,
    broker::{ConsumerEvent, PublishOutcome},
};
use mainstay_testkit::crash::Points;

#[cfg(feature = "eventstore")]
pub use eventstore::{EventStoreDatabase, EventStorePorts};
#[cfg(feature = "idempotency")]
pub use idempotency::{RecordDatabase, RecordPorts};
#[cfg(feature = "inbox")]
pub use inbox::{DatabaseOf, InboxPorts};
#[cfg(feature = "saga")]
pub use saga::{SagaDatabase, SagaPorts};

/// A port of a process, and the points at which the process may end. Shared ports are in an [`Arc`].
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
    ([$($generic:tt)*] $port:ident for $ports:ty {
        $(type $associated:ident;)*
        $(point $name:ident($($argument:ident: $of:ty),*) -> $answer:ty;)*
        $(other $other:ident() $(-> $other_answer:ty)?;)*
    }) => {
        #[async_trait::async_trait]
        impl<$($generic)*> $port for $ports {
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

shared_port!([T: Transactions, P: Deref<Target = T> + Send + Sync + 'static] Transactions for Ports<P> {
    type Connection;
    type Transaction;
    point begin() -> Result<T::Transaction, mainstay_database::Error>;
    point commit(transaction: T::Transaction) -> Result<(), mainstay_database::Error>;
    point savepoint(connection: &mut T::Connection) -> Result<(), mainstay_database::Error>;
    point release_savepoint(connection: &mut T::Connection) -> Result<(), mainstay_database::Error>;
    point roll_back_to_savepoint(connection: &mut T::Connection) -> Result<(), mainstay_database::Error>;
    other idle_limit() -> Option<Duration>;
});

shared_port!([T: Publisher] Publisher for Ports<Arc<T>> {
    point publish(messages: &[Message]) -> Vec<PublishOutcome>;
});

#[async_trait]
impl<T: Consumer> Consumer for Ports<T> {
    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        self.points.call("next", self.port.next()).await
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        self.points.call("store", self.port.commit(positions)).await
    }

    fn group(&self) -> &Group {
        self.port.group()
    }

    fn pause(&mut self, partitions: &[Partition]) {
        self.port.pause(partitions);
    }

    fn resume(&mut self, partitions: &[Partition]) {
        self.port.resume(partitions);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let releasing = self.port.release(partitions);
        self.points.call("release", releasing).await
    }
}

#[cfg(feature = "dlock")]
mod dlock {
    use std::{sync::Arc, time::Duration};

    use mainstay_dlock::{
        Error, Fences, FencingToken,
        store::{Acquired, Claim, Holding, LeaseStore},
    };

    use crate::Ports;

    shared_port!([T: LeaseStore] LeaseStore for Ports<Arc<T>> {
        point acquire(claim: Claim<'_>) -> Result<Acquired, Error>;
        point renew(held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error>;
        point release(held: Holding<'_>) -> Result<(), Error>;
    });

    shared_port!([T: Fences] Fences for Ports<Arc<T>> {
        type Connection;
        point check(connection: &mut T::Connection, name: &str, token: FencingToken) -> Result<(), Error>;
    });
}

#[cfg(feature = "outbox")]
mod outbox {
    use std::{sync::Arc, time::Duration};

    use mainstay_messaging::Message;
    use mainstay_outbox::{
        Enqueued, Entry, Error, Outbox,
        store::{Fetched, Limit, Notifier, Origin, Outcome, RelayStore, RowRef, ShardLease},
    };

    use crate::Ports;

    shared_port!([T: Outbox] Outbox for Ports<Arc<T>> {
        type Connection;
        point enqueue_batch(connection: &mut T::Connection, entries: &[Entry<'_>]) -> Result<Vec<Enqueued>, Error>;
        point enqueue(connection: &mut T::Connection, message: &Message) -> Result<(), Error>;
        other notify();
        other origin() -> &Origin;
    });

    shared_port!([T: RelayStore] RelayStore for Ports<Arc<T>> {
        point lease(owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error>;
        point fetch(leases: &[ShardLease], limit: Limit, in_flight: &[RowRef]) -> Result<Fetched, Error>;
        point record(leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error>;
        point release(owner: &str) -> Result<(), Error>;
        other notifier() -> Option<&Notifier>;
    });
}

#[cfg(feature = "eventstore")]
mod eventstore {
    use std::{ops::Deref, sync::Arc};

    use mainstay_eventstore::{
        Error,
        store::{
            NewEvent, Page, RebuildState, RebuildStore, SnapshotStore, StoredEvent, StoredSnapshot,
            StreamName, StreamStore, Visit,
        },
    };
    use mainstay_testkit::crash::Points;

    use crate::Ports;

    /// Streams and their database, called by way of the same points.
    #[derive(Debug)]
    pub struct EventStorePorts<S> {
        points: Arc<Points>,
        database: Ports<EventStoreDatabase<S>>,
        port: Arc<S>,
    }

    impl<S> EventStorePorts<S> {
        /// The store, called by way of these points.
        pub fn new(store: S, points: &Arc<Points>) -> Self {
            let port = Arc::new(store);
            Self {
                points: Arc::clone(points),
                database: Ports::new(EventStoreDatabase(Arc::clone(&port)), points),
                port,
            }
        }
    }

    /// The database of streams.
    #[derive(Debug)]
    pub struct EventStoreDatabase<S>(Arc<S>);

    impl<S: RebuildStore> Deref for EventStoreDatabase<S> {
        type Target = S::Database;

        fn deref(&self) -> &S::Database {
            self.0.database()
        }
    }

    shared_port!([T: StreamStore] StreamStore for EventStorePorts<T> {
        type Connection;
        point append_events(connection: &mut T::Connection, stream: &StreamName, expected: u64, events: &[NewEvent])
            -> Result<(), Error>;
        point read_events(connection: &mut T::Connection, stream: &StreamName, after: u64, limit: u64)
            -> Result<Vec<StoredEvent>, Error>;
        point scan_events(connection: &mut T::Connection, page: Page<'_>, visit: &mut Visit<'_>) -> Result<(), Error>;
        point count_events(connection: &mut T::Connection, above: &str, below: &str) -> Result<u64, Error>;
    });

    shared_port!([T: SnapshotStore] SnapshotStore for EventStorePorts<T> {
        point read_from_snapshot(connection: &mut T::Connection, stream: &StreamName, shape: u32)
            -> Result<(Option<StoredSnapshot>, Vec<StoredEvent>), Error>;
        point write_snapshot(connection: &mut T::Connection, stream: &StreamName, snapshot: &StoredSnapshot)
            -> Result<(), Error>;
    });

    #[async_trait::async_trait]
    impl<S: RebuildStore> RebuildStore for EventStorePorts<S> {
        type Database = Ports<EventStoreDatabase<S>>;

        fn database(&self) -> &Self::Database {
            &self.database
        }

        async fn lock_rebuild(
            &self,
            connection: &mut S::Connection,
            projection: &str,
        ) -> Result<RebuildState, Error> {
            let locking = self.port.lock_rebuild(connection, projection);
            self.points.call("lock_rebuild", locking).await
        }

        async fn save_rebuild(
            &self,
            connection: &mut S::Connection,
            projection: &str,
            state: &RebuildState,
        ) -> Result<(), Error> {
            let saving = self.port.save_rebuild(connection, projection, state);
            self.points.call("save_rebuild", saving).await
        }
    }
}

#[cfg(feature = "saga")]
mod saga;

#[cfg(feature = "inbox")]
mod inbox {
    use std::{
        ops::Deref,
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use mainstay_inbox::{
        Admission, Error, Inbox,
        store::{Pruned, Retention, WorkerStore},
    };
    use mainstay_messaging::{Group, Position, broker::Delivery};
    use mainstay_testkit::crash::Points;

    use crate::Ports;

    /// An inbox and its database, called by way of the same points.
    #[derive(Debug)]
    pub struct InboxPorts<I> {
        points: Arc<Points>,
        database: Ports<DatabaseOf<I>>,
        port: Arc<I>,
    }

    impl<I> InboxPorts<I> {
        /// The inbox, called by way of these points.
        pub fn new(inbox: I, points: &Arc<Points>) -> Self {
            let port = Arc::new(inbox);
            Self {
                points: Arc::clone(points),
                database: Ports::new(DatabaseOf(Arc::clone(&port)), points),
                port,
            }
        }
    }

    impl<I: WorkerStore> WorkerStore for InboxPorts<I> {
        type Database = Ports<DatabaseOf<I>>;

        fn database(&self) -> &Self::Database {
            &self.database
        }
    }

    /// The database of an inbox.
    #[derive(Debug)]
    pub struct DatabaseOf<I>(Arc<I>);

    impl<I: WorkerStore> Deref for DatabaseOf<I> {
        type Target = I::Database;

        fn deref(&self) -> &I::Database {
            self.0.database()
        }
    }

    shared_port!([T: WorkerStore] Inbox for InboxPorts<T> {
        type Connection;
        point admit_batch(connection: &mut T::Connection, consumer: &Group, deliveries: &[&Delivery])
            -> Result<Vec<Admission>, Error>;
    });

    shared_port!([T: WorkerStore] Retention for InboxPorts<T> {
        point now() -> Result<SystemTime, Error>;
        point checkpoint(consumer: &Group, positions: &[Position], at: SystemTime, spacing: Duration)
            -> Result<(), Error>;
        point prune(consumer: &Group, horizon: SystemTime, cursor: i64, limit: u32) -> Result<Pruned, Error>;
    });
}

#[cfg(feature = "idempotency")]
mod idempotency {
    use std::{ops::Deref, sync::Arc, time::Duration};

    use mainstay_idempotency::{
        Answer, Begun, Claim, Error, KeyedRequest, Lease, Leases, Records, store::RecordStore,
    };
    use mainstay_testkit::crash::Points;

    use crate::Ports;

    shared_port!([T: Leases] Leases for Ports<Arc<T>> {
        point begin(request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error>;
        point renew(lease: &Lease, time: Duration) -> Result<(), Error>;
        point complete(lease: &Lease, answer: &Answer) -> Result<(), Error>;
        point release(lease: &Lease) -> Result<(), Error>;
    });

    /// Records and their database, called by way of the same points.
    #[derive(Debug)]
    pub struct RecordPorts<R> {
        points: Arc<Points>,
        database: Ports<RecordDatabase<R>>,
        port: Arc<R>,
    }

    impl<R> RecordPorts<R> {
        /// The records, called by way of these points.
        pub fn new(records: R, points: &Arc<Points>) -> Self {
            let port = Arc::new(records);
            Self {
                points: Arc::clone(points),
                database: Ports::new(RecordDatabase(Arc::clone(&port)), points),
                port,
            }
        }
    }

    impl<R: RecordStore> RecordStore for RecordPorts<R> {
        type Database = Ports<RecordDatabase<R>>;

        fn database(&self) -> &Self::Database {
            &self.database
        }
    }

    /// The database of records.
    #[derive(Debug)]
    pub struct RecordDatabase<R>(Arc<R>);

    impl<R: RecordStore> Deref for RecordDatabase<R> {
        type Target = R::Database;

        fn deref(&self) -> &R::Database {
            self.0.database()
        }
    }

    // Not by the macro: a transaction has points of the same names.
    #[async_trait::async_trait]
    impl<R: RecordStore> Records for RecordPorts<R> {
        type Connection = R::Connection;

        async fn begin_batch(
            &self,
            connection: &mut R::Connection,
            requests: &[&KeyedRequest],
        ) -> Result<Vec<Begun<Claim>>, Error> {
            let beginning = self.port.begin_batch(connection, requests);
            self.points.call("begin_keys", beginning).await
        }

        async fn complete_batch(
            &self,
            connection: &mut R::Connection,
            completions: Vec<(Claim, &Answer)>,
        ) -> Result<(), Error> {
            let completing = self.port.complete_batch(connection, completions);
            self.points.call("complete_keys", completing).await
        }

        async fn begin(
            &self,
            connection: &mut R::Connection,
            request: &KeyedRequest,
        ) -> Result<Begun<Claim>, Error> {
            let beginning = self.port.begin(connection, request);
            self.points.call("begin_key", beginning).await
        }

        async fn complete(
            &self,
            connection: &mut R::Connection,
            claim: Claim,
            answer: &Answer,
        ) -> Result<(), Error> {
            let completing = self.port.complete(connection, claim, answer);
            self.points.call("complete_key", completing).await
        }
    }
}
