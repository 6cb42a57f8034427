//! What a store does with several streams, unless it can do it with one statement.

use super::{NewEvent, SnapshotStore, StoredEvent, StoredSnapshot, StreamName, StreamStore};
use crate::Error;

/// Events for one of several streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a store must obey each part")]
pub struct StreamAppend<'a> {
    /// The stream.
    pub stream: &'a StreamName,
    /// The version behind which they belong; the first one gets the next.
    pub expected: u64,
    /// At least one.
    pub events: &'a [NewEvent],
}

/// What became of the events for one of several streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the events may have been refused"]
#[expect(clippy::exhaustive_enums, reason = "they are written or not")]
pub enum Appended {
    /// All of them were written.
    Written,
    /// None of them was written: the stream has this version, and another one was expected.
    Conflict {
        /// The version that the stream has.
        actual: u64,
    },
}

pub(crate) async fn append_to_each<S: StreamStore + ?Sized>(
    store: &S,
    connection: &mut S::Connection,
    appends: &[StreamAppend<'_>],
) -> Result<Vec<Appended>, Error> {
    // In one order, so that two transactions never wait for each other.
    let mut order: Vec<usize> = (0..appends.len()).collect();
    order.sort_unstable_by_key(|at| appends[*at].stream);
    let mut all = vec![Appended::Written; appends.len()];
    for at in order {
        let append = appends[at];
        let (stream, expected) = (append.stream, append.expected);
        let appending = store.append_events(connection, stream, expected, append.events);
        match appending.await {
            Ok(()) => {}
            Err(Error::Conflict { actual, .. }) => all[at] = Appended::Conflict { actual },
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

pub(crate) async fn read_each<S: SnapshotStore + ?Sized>(
    store: &S,
    connection: &mut S::Connection,
    streams: &[&StreamName],
    shape: u32,
) -> Result<Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)>, Error> {
    let mut all = Vec::with_capacity(streams.len());
    for stream in streams {
        let reading = store.read_from_snapshot(connection, stream, shape);
        all.push(reading.await?);
    }
    Ok(all)
}

pub(crate) async fn write_each<S: SnapshotStore + ?Sized>(
    store: &S,
    connection: &mut S::Connection,
    snapshots: &[(&StreamName, StoredSnapshot)],
) -> Result<(), Error> {
    for (stream, snapshot) in snapshots {
        let writing = store.write_snapshot(connection, stream, snapshot);
        writing.await?;
    }
    Ok(())
}
