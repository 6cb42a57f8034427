//! What the author of a store implements.
//!
//! | role | what it keeps |
//! |---|---|
//! | [`StreamStore`] | events |
//! | [`SnapshotStore`] | states |
//! | [`RebuildStore`] | how far rebuilds are; and the database, whose transactions they open |
//!
//! [`EventStore`](crate::EventStore) comes with the first two. Run the conformance suite (feature
//! `conformance`) against them.

mod arc;
pub(crate) mod batch;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_messaging::{
    Event,
    event::{EncodeError, to_payload},
};

use crate::Error;

#[doc(hidden)]
pub use crate::events::check_kinds;
pub use crate::{events::UnreadableEvent, stream::StreamName};
pub use batch::{Appended, StreamAppend};

/// An event to append.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NewEvent {
    /// The event type's name.
    pub kind: &'static str,
    /// Version of the event type's schema, from 1.
    pub schema_version: u32,
    /// JSON.
    pub payload: String,
}

impl NewEvent {
    /// An event as it is stored.
    ///
    /// # Errors
    /// [`EncodeError`] when it does not serialise.
    pub fn of<E: Event>(event: &E) -> Result<Self, EncodeError> {
        Ok(Self::new(E::KIND, E::VERSION, to_payload(event)?))
    }

    /// An event from its parts.
    #[must_use]
    pub const fn new(kind: &'static str, schema_version: u32, payload: String) -> Self {
        Self {
            kind,
            schema_version,
            payload,
        }
    }
}

/// An event as it was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its place in the stream, from 1.
    pub version: u64,
    /// The event type's name.
    pub kind: String,
    /// Version of the event type's schema, from 1.
    pub schema_version: u32,
    /// JSON.
    pub payload: String,
    /// When its statement began, by the database's clock, to the microsecond.
    pub recorded_at: SystemTime,
}

impl StoredEvent {
    /// An event from its parts.
    #[must_use]
    pub const fn new(
        version: u64,
        kind: String,
        schema_version: u32,
        payload: String,
        recorded_at: SystemTime,
    ) -> Self {
        Self {
            version,
            kind,
            schema_version,
            payload,
            recorded_at,
        }
    }
}

/// A state as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredSnapshot {
    /// The version of the stream that the state includes.
    pub version: u64,
    /// Number of the state's shape.
    pub shape: u32,
    /// JSON.
    pub state: String,
}

impl StoredSnapshot {
    /// A snapshot from its parts.
    #[must_use]
    pub const fn new(version: u64, shape: u32, state: String) -> Self {
        Self {
            version,
            shape,
            state,
        }
    }
}

/// Which events of many streams to read. Streams are in the byte order of their names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a store must obey each part")]
pub struct Page<'a> {
    /// Events after this one, which need not exist: stream and version.
    pub after: (&'a str, u64),
    /// Streams whose names are below this one.
    pub below: &'a str,
    /// At most so many events.
    pub events: u32,
    /// No further event once the payloads have so many bytes; the first one is always read.
    pub bytes: u64,
}

/// An event of one of many streams, as it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a store makes it")]
pub struct ScannedEvent<'a> {
    /// The name of its stream.
    pub stream: &'a str,
    /// Its place in the stream, from 1.
    pub version: u64,
    /// The event type's name.
    pub kind: &'a str,
    /// Version of the event type's schema, from 1.
    pub schema_version: u32,
    /// JSON.
    pub payload: &'a str,
    /// When its statement began, by the database's clock, to the microsecond.
    pub recorded_at: SystemTime,
}

/// Takes one event after another, so that none is copied before it is decoded.
pub type Visit<'v> = dyn FnMut(ScannedEvent<'_>) -> Result<(), Error> + Send + 'v;

/// How far a rebuild is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a store keeps each part")]
pub struct RebuildState {
    /// Number of the projection's shape; 0 if the rebuild has not begun.
    pub shape: u32,
    /// The last event that the projection has: stream and version.
    pub after: (String, u64),
    /// How many events it has.
    pub events: u64,
    /// How many there were when it began.
    pub total: u64,
    /// Whether it has all of them.
    pub is_done: bool,
}

/// Keeps streams of events in the caller's transaction.
#[async_trait]
pub trait StreamStore: Send + Sync + 'static {
    /// The lifetime-free type that a driver's transaction dereferences to.
    type Connection: Send + 'static;

    /// Appends events behind version `expected`; the first one gets version `expected + 1`.
    ///
    /// # Behaviour
    /// - All are written, or none.
    /// - Of two transactions that append behind the same version, the later one waits for the end of
    ///   the first one, and is refused if that committed.
    /// - A refusal leaves the transaction usable.
    /// - Without events it does nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the stream's version is not `expected`. After [`Error::Database`] the
    /// transaction must be rolled back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was written: roll the transaction back.
    async fn append_events(
        &self,
        connection: &mut Self::Connection,
        stream: &StreamName,
        expected: u64,
        events: &[NewEvent],
    ) -> Result<(), Error>;

    /// Appends to several streams, none of which is named twice or has no events. The default
    /// appends to one after another.
    ///
    /// # Behaviour
    /// - As [`append_events`](Self::append_events) for each stream, but a conflict is an answer, and
    ///   keeps no other stream from being written.
    /// - Two transactions that append to the same streams do not deadlock, in whatever order they
    ///   name them.
    ///
    /// # Errors
    /// [`Error::Database`]; the transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// As [`append_events`](Self::append_events).
    async fn append_to_streams(
        &self,
        connection: &mut Self::Connection,
        appends: &[StreamAppend<'_>],
    ) -> Result<Vec<Appended>, Error> {
        batch::append_to_each(self, connection, appends).await
    }

    /// Reads the events of a stream above version `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// Cancel safe, but the transaction may have to be rolled back.
    async fn read_events(
        &self,
        connection: &mut Self::Connection,
        stream: &StreamName,
        after: u64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, Error>;

    /// Gives the events of many streams to `visit`, in the order of (stream, version).
    ///
    /// # Errors
    /// [`Error::Database`], and the first error of `visit`, which ends it.
    ///
    /// # Cancel safety
    /// As [`read_events`](Self::read_events).
    async fn scan_events(
        &self,
        connection: &mut Self::Connection,
        page: Page<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error>;

    /// How many events the streams have whose names are above `above` and below `below`.
    ///
    /// # Errors
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// As [`read_events`](Self::read_events).
    async fn count_events(
        &self,
        connection: &mut Self::Connection,
        above: &str,
        below: &str,
    ) -> Result<u64, Error>;
}

/// Keeps states of aggregates beside their streams.
#[async_trait]
pub trait SnapshotStore: StreamStore {
    /// Reads the stream's snapshot, if it has this shape, and all events above it; all events if
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// As [`read_events`](StreamStore::read_events).
    async fn read_from_snapshot(
        &self,
        connection: &mut Self::Connection,
        stream: &StreamName,
        shape: u32,
    ) -> Result<(Option<StoredSnapshot>, Vec<StoredEvent>), Error>;

    /// As [`read_from_snapshot`](Self::read_from_snapshot) for several streams, in their order. The
    /// default reads one after another.
    ///
    /// # Errors
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    /// As [`read_events`](StreamStore::read_events).
    async fn read_from_snapshots(
        &self,
        connection: &mut Self::Connection,
        streams: &[&StreamName],
        shape: u32,
    ) -> Result<Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)>, Error> {
        batch::read_each(self, connection, streams, shape).await
    }

    /// Replaces the stream's snapshot. Called in the transaction that appended its last event, so
    /// that two never meet.
    ///
    /// # Errors
    /// [`Error::Database`]; the transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// As [`append_events`](StreamStore::append_events).
    async fn write_snapshot(
        &self,
        connection: &mut Self::Connection,
        stream: &StreamName,
        snapshot: &StoredSnapshot,
    ) -> Result<(), Error>;

    /// As [`write_snapshot`](Self::write_snapshot) for several streams, none of which is named twice.
    /// The default writes one after another.
    ///
    /// # Errors
    /// As [`write_snapshot`](Self::write_snapshot).
    ///
    /// # Cancel safety
    /// As [`append_events`](StreamStore::append_events).
    async fn write_snapshots(
        &self,
        connection: &mut Self::Connection,
        snapshots: &[(&StreamName, StoredSnapshot)],
    ) -> Result<(), Error> {
        batch::write_each(self, connection, snapshots).await
    }
}

/// Keeps how far the rebuilds of projections are, in the database of the streams.
#[async_trait]
pub trait RebuildStore: StreamStore {
    /// The database that holds the streams.
    type Database: Transactions<Connection = <Self as StreamStore>::Connection>;

    /// The database that holds the streams.
    fn database(&self) -> &Self::Database;

    /// Locks a rebuild until the transaction ends, and says how far it is. One that was never begun
    /// is made, with shape 0.
    ///
    /// # Behaviour
    /// - Of two transactions, the later one waits for the end of the first one, and reads what that
    ///   committed.
    ///
    /// # Errors
    /// [`Error::Database`]; the transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// As [`append_events`](StreamStore::append_events).
    async fn lock_rebuild(
        &self,
        connection: &mut Self::Connection,
        projection: &str,
    ) -> Result<RebuildState, Error>;

    /// Keeps how far a rebuild is that this transaction has locked.
    ///
    /// # Errors
    /// As [`lock_rebuild`](Self::lock_rebuild).
    ///
    /// # Cancel safety
    /// As [`lock_rebuild`](Self::lock_rebuild).
    async fn save_rebuild(
        &self,
        connection: &mut Self::Connection,
        projection: &str,
        state: &RebuildState,
    ) -> Result<(), Error>;
}

/// A time as tables have it: microseconds since 1970.
#[must_use]
pub fn time(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}
