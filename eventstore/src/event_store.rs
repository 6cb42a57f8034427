//! What an application does with streams.

mod batch;

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
                Some(snapshots) => {
                    let stream = &loaded.stream;
                    let reading = self.read_from_snapshot(connection, stream, snapshots.shape);
                    let read = reading.await?;
                    from_snapshot(self, connection, snapshots, read, &mut loaded).await?
                }
            };
            fold_onto(&mut loaded, &events)?;
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

    /// Loads several aggregates, in the order of their ids: one statement for all of them.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    ///
    /// # Cancel safety
    /// As [`load`](Self::load).
    fn load_batch<A: Aggregate>(
        &self,
        connection: &mut Self::Connection,
        ids: &[&str],
    ) -> impl Future<Output = Result<Vec<Loaded<A>>, Error>> + Send {
        batch::load(self, connection, ids)
    }

    /// Appends to several aggregates, each behind the version at which it was loaded, and applies the
    /// events: one statement for all of them, and one for the snapshots that are due.
    ///
    /// # Behaviour
    /// - As [`append`](Self::append) for each. One that is in a conflict is as it was loaded, and the
    ///   others are written: their versions have grown. For all or none, roll back.
    /// - One without events is left alone.
    ///
    /// # Errors
    /// [`Error::Conflict`] names the first one whose stream has another version by now; the others
    /// without a conflict were written, so decide again only for those whose version has not grown.
    /// [`Error::Twice`]: nothing was written. Others as [`append`](Self::append).
    ///
    /// # Cancel safety
    /// As [`append`](Self::append).
    fn append_batch<A: Aggregate>(
        &self,
        connection: &mut Self::Connection,
        appends: &mut [(Loaded<A>, Vec<A::Event>)],
    ) -> impl Future<Output = Result<(), Error>> + Send {
        batch::append(self, connection, appends)
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

/// Takes the state of the snapshot that was read; returns the events above it.
async fn from_snapshot<S: SnapshotStore + ?Sized, A: Aggregate>(
    store: &S,
    connection: &mut S::Connection,
    snapshots: Snapshots<A>,
    (snapshot, events): (Option<StoredSnapshot>, Vec<StoredEvent>),
    loaded: &mut Loaded<A>,
) -> Result<Vec<StoredEvent>, Error> {
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
            let stream = &loaded.stream;
            telemetry::undecodable_snapshot(stream, snapshot.shape, &*error);
            store.read_events(connection, stream, 0, u64::MAX).await
        }
    }
}

/// Applies what was read.
fn fold_onto<A: Aggregate>(loaded: &mut Loaded<A>, events: &[StoredEvent]) -> Result<(), Error> {
    for event in events {
        loaded.state.apply(&decode(&loaded.stream, event)?);
        loaded.version = event.version;
    }
    Ok(())
}

async fn append<S: SnapshotStore + ?Sized, A: Aggregate>(
    store: &S,
    connection: &mut S::Connection,
    loaded: &mut Loaded<A>,
    events: Vec<A::Event>,
) -> Result<(), Error> {
    let encoded = encode::<A>(&events)?;
    let written = store
        .append_events(connection, &loaded.stream, loaded.version, &encoded)
        .await;
    telemetry::appended(A::STREAM, encoded.len(), &written);
    written?;
    apply(loaded, &events);
    if let Some(snapshot) = due_snapshot(loaded)? {
        store
            .write_snapshot(connection, &loaded.stream, &snapshot)
            .await?;
        loaded.snapshot = loaded.version;
    }
    Ok(())
}

fn encode<A: Aggregate>(events: &[A::Event]) -> Result<Vec<NewEvent>, EncodeError> {
    events.iter().map(Events::encode).collect()
}

/// The events were appended.
fn apply<A: Aggregate>(loaded: &mut Loaded<A>, events: &[A::Event]) {
    for event in events {
        loaded.state.apply(event);
        loaded.version += 1;
    }
}

/// The snapshot to write, if one is due.
fn due_snapshot<A: Aggregate>(loaded: &Loaded<A>) -> Result<Option<StoredSnapshot>, Error> {
    let Some(snapshots) = A::SNAPSHOTS else {
        return Ok(None);
    };
    if loaded.version - loaded.snapshot < snapshots.every {
        return Ok(None);
    }
    let state = (snapshots.encode)(&loaded.state).map_err(|source| Error::Snapshot {
        stream: loaded.stream.to_string(),
        source,
    })?;
    let snapshot = StoredSnapshot::new(loaded.version, snapshots.shape, state);
    Ok(Some(snapshot))
}

fn decode<E: Events>(stream: &StreamName, event: &StoredEvent) -> Result<E, Error> {
    E::decode(&event.kind, event.schema_version, &event.payload).map_err(|source| {
        Error::Unreadable {
            stream: stream.to_string(),
            version: event.version,
            source: source.into(),
        }
    })
}
