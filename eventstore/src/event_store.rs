//! What an application does with streams.

use std::sync::Arc;

use mainstay_messaging::event::EncodeError;

use crate::{
    Aggregate, Error, Events, Loaded, Recorded, Snapshots,
    store::{NewEvent, SnapshotStore, StoredEvent, StoredSnapshot, StreamName},
    telemetry,
};

/// Loads aggregates and appends their events, in the caller's transaction. Every store has it.
///
/// Nothing is committed here, and nothing is seen by others before the caller commits. What only
/// reads needs no transaction: any connection will do, such as one of `db.reader()` on SQLite.
pub trait EventStore: SnapshotStore {
    /// Loads an aggregate: folds its events, from its newest snapshot on. One that has no events is
    /// the default, at version 0.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names stream and version of an event that cannot be read;
    /// [`Error::InvalidId`], [`Error::Database`].
    ///
    /// # Cancel safety
    /// Cancel safe, but the transaction may have to be rolled back.
    fn load<A: Aggregate>(
        &self,
        connection: &mut Self::Connection,
        id: &str,
    ) -> impl Future<Output = Result<Loaded<A>, Error>> + Send {
        async move {
            let mut loaded = Loaded::new(StreamName::of::<A>(id)?);
            let events = match A::SNAPSHOTS {
                None => {
                    self.read_events(connection, &loaded.stream, 0, u64::MAX)
                        .await?
                }
                Some(snapshots) => from_snapshot(self, connection, snapshots, &mut loaded).await?,
            };
            for event in &events {
                loaded.state.apply(&decode(&loaded.stream, event)?);
                loaded.version = event.version;
            }
            Ok(loaded)
        }
    }

    /// Appends events to the aggregate with this id, behind the version at which it was loaded, and
    /// applies them. Without events it does nothing.
    ///
    /// # Behaviour
    /// - All events are written, or none.
    /// - A conflict is told here, before the commit. The transaction stays usable: load again and
    ///   decide again, or do something else.
    /// - If a snapshot is due, it is written as well.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the stream has another version by now: nothing was written, and
    /// `loaded` is as it was. [`Error::OtherStream`], [`Error::Encode`]: the same. After
    /// [`Error::Database`] or [`Error::Snapshot`], roll back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was written: roll the transaction back.
    fn append<A: Aggregate>(
        &self,
        connection: &mut Self::Connection,
        id: &str,
        loaded: &mut Loaded<A>,
        events: impl IntoIterator<Item: Into<A::Event>>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let events: Vec<A::Event> = events.into_iter().map(Into::into).collect();
        async move {
            if id != loaded.stream.id() {
                return Err(Error::OtherStream {
                    loaded: loaded.stream.to_string(),
                    given: StreamName::of::<A>(id)?.to_string(),
                });
            }
            append(self, connection, loaded, events).await
        }
    }

    /// Appends the first events of an aggregate, without loading it: one statement.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the aggregate exists; else as [`append`](Self::append).
    ///
    /// # Cancel safety
    /// As [`append`](Self::append).
    fn create<A: Aggregate>(
        &self,
        connection: &mut Self::Connection,
        id: &str,
        events: impl IntoIterator<Item: Into<A::Event>>,
    ) -> impl Future<Output = Result<Loaded<A>, Error>> + Send {
        let events: Vec<A::Event> = events.into_iter().map(Into::into).collect();
        async move {
            let mut loaded = Loaded::new(StreamName::of::<A>(id)?);
            append(self, connection, &mut loaded, events).await?;
            Ok(loaded)
        }
    }

    /// The events of an aggregate above version `after`, in order, at most `limit`: for a page that
    /// shows what happened.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    ///
    /// # Cancel safety
    /// As [`load`](Self::load).
    fn history<A: Aggregate>(
        &self,
        connection: &mut Self::Connection,
        id: &str,
        after: u64,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<Recorded<A::Event>>, Error>> + Send {
        async move {
            let stream = StreamName::of::<A>(id)?;
            let events = self.read_events(connection, &stream, after, limit).await?;
            let id: Arc<str> = id.into();
            let recorded = events.iter().map(|event| {
                Ok(Recorded {
                    id: Arc::clone(&id),
                    version: event.version,
                    recorded_at: event.recorded_at,
                    event: decode(&stream, event)?,
                })
            });
            recorded.collect()
        }
    }
}

impl<S: SnapshotStore + ?Sized> EventStore for S {}

/// Takes the state of the newest snapshot; returns the events above it.
async fn from_snapshot<S: SnapshotStore + ?Sized, A: Aggregate>(
    store: &S,
    connection: &mut S::Connection,
    snapshots: Snapshots<A>,
    loaded: &mut Loaded<A>,
) -> Result<Vec<StoredEvent>, Error> {
    let stream = &loaded.stream;
    let (snapshot, events) = store
        .read_from_snapshot(connection, stream, snapshots.shape)
        .await?;
    let Some(snapshot) = snapshot else {
        return Ok(events);
    };
    match (snapshots.decode)(&snapshot.state) {
        Ok(state) => {
            loaded.state = state;
            loaded.version = snapshot.version;
            loaded.snapshot = snapshot.version;
            Ok(events)
        }
        // It is only a cache: the stream has everything.
        Err(error) => {
            telemetry::undecodable_snapshot(stream, snapshot.shape, &*error);
            store.read_events(connection, stream, 0, u64::MAX).await
        }
    }
}

async fn append<S: SnapshotStore + ?Sized, A: Aggregate>(
    store: &S,
    connection: &mut S::Connection,
    loaded: &mut Loaded<A>,
    events: Vec<A::Event>,
) -> Result<(), Error> {
    let encoded: Vec<NewEvent> = events
        .iter()
        .map(Events::encode)
        .collect::<Result<_, EncodeError>>()?;
    let written = store
        .append_events(connection, &loaded.stream, loaded.version, &encoded)
        .await;
    telemetry::appended(A::STREAM, encoded.len(), &written);
    written?;
    for event in &events {
        loaded.state.apply(event);
        loaded.version += 1;
    }
    let Some(snapshots) = A::SNAPSHOTS else {
        return Ok(());
    };
    if loaded.version - loaded.snapshot < snapshots.every {
        return Ok(());
    }
    let state = (snapshots.encode)(&loaded.state).map_err(|source| Error::Snapshot {
        stream: loaded.stream.to_string(),
        source,
    })?;
    let snapshot = StoredSnapshot::new(loaded.version, snapshots.shape, state);
    store
        .write_snapshot(connection, &loaded.stream, &snapshot)
        .await?;
    loaded.snapshot = loaded.version;
    Ok(())
}

fn decode<E: Events>(stream: &StreamName, event: &StoredEvent) -> Result<E, Error> {
    E::decode(event).map_err(|source| Error::Unreadable {
        stream: stream.to_string(),
        version: event.version,
        source: source.into(),
    })
}
