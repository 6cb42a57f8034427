//! Several aggregates at once.

use std::collections::HashSet;

use super::{apply, due_snapshot, encode, fold_onto, from_snapshot};
use crate::{
    Aggregate, Error, Loaded,
    store::{Appended, NewEvent, SnapshotStore, StreamAppend, StreamName},
    telemetry,
};

/// No snapshot has this shape.
const NO_SHAPE: u32 = 0;

pub(super) async fn load<S: SnapshotStore + ?Sized, A: Aggregate>(
    store: &S,
    connection: &mut S::Connection,
    ids: &[&str],
) -> Result<Vec<Loaded<A>>, Error> {
    let named = ids
        .iter()
        .map(|id| Ok(Loaded::new(StreamName::of::<A>(id)?)));
    let mut all: Vec<Loaded<A>> = named.collect::<Result<_, Error>>()?;
    if all.is_empty() {
        return Ok(all);
    }
    let streams: Vec<&StreamName> = all.iter().map(|loaded| &loaded.stream).collect();
    let shape = A::SNAPSHOTS.map_or(NO_SHAPE, |snapshots| snapshots.shape);
    let reading = store.read_from_snapshots(connection, &streams, shape);
    let all_read = reading.await?;
    for (loaded, read) in all.iter_mut().zip(all_read) {
        let events = match A::SNAPSHOTS {
            None => read.1,
            Some(snapshots) => from_snapshot(store, connection, snapshots, read, loaded).await?,
        };
        fold_onto(loaded, &events)?;
    }
    Ok(all)
}

pub(super) async fn append<S: SnapshotStore + ?Sized, A: Aggregate>(
    store: &S,
    connection: &mut S::Connection,
    appends: &mut [(Loaded<A>, Vec<A::Event>)],
) -> Result<(), Error> {
    let mut changed: Vec<&mut (Loaded<A>, Vec<A::Event>)> = (appends.iter_mut())
        .filter(|(_, events)| !events.is_empty())
        .collect();
    refuse_twice(&changed)?;
    let encoded = changed.iter().map(|(_, events)| encode::<A>(events));
    let encoded: Vec<Vec<NewEvent>> = encoded.collect::<Result<_, _>>()?;
    if encoded.is_empty() {
        return Ok(());
    }
    let given = changed.iter().zip(&encoded);
    let given: Vec<StreamAppend<'_>> = given
        .map(|(change, events)| StreamAppend {
            stream: &change.0.stream,
            expected: change.0.version,
            events,
        })
        .collect();
    let outcomes = store.append_to_streams(connection, &given).await?;
    let (mut written, mut conflicts, mut first) = (0, 0, None);
    let mut snapshots = Vec::new();
    for ((loaded, events), outcome) in changed.iter_mut().map(|change| &mut **change).zip(outcomes)
    {
        if let Appended::Conflict { actual } = outcome {
            conflicts += 1;
            first.get_or_insert_with(|| conflict(loaded, actual));
            continue;
        }
        written += events.len();
        apply(loaded, events);
        if let Some(snapshot) = due_snapshot(loaded)? {
            loaded.snapshot = loaded.version;
            snapshots.push((&loaded.stream, snapshot));
        }
    }
    telemetry::counted(A::STREAM, written, conflicts);
    if !snapshots.is_empty() {
        store.write_snapshots(connection, &snapshots).await?;
    }
    first.map_or(Ok(()), Err)
}

/// The second of two changes of one stream does not know of the first.
fn refuse_twice<A: Aggregate>(changed: &[&mut (Loaded<A>, Vec<A::Event>)]) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(changed.len());
    for (loaded, _) in changed.iter().map(|change| &**change) {
        if !seen.insert(&loaded.stream) {
            let stream = loaded.stream.to_string();
            return Err(Error::Twice { stream });
        }
    }
    Ok(())
}

fn conflict<A>(loaded: &Loaded<A>, actual: u64) -> Error {
    Error::Conflict {
        stream: loaded.stream.to_string(),
        expected: loaded.version,
        actual,
    }
}
