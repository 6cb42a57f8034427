//! Columns of both SQL stores.

use std::pin::pin;

use futures_util::{Stream, TryStreamExt as _};

use crate::{
    Error,
    store::{
        NewEvent, Page, RebuildState, ScannedEvent, StoredEvent, StoredSnapshot, StreamName, Visit,
        time,
    },
};

/// Names the columns that this build needs, and reads no row.
pub(crate) const PROBES: [&str; 3] = [
    "SELECT stream, version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events WHERE false",
    "SELECT stream, version, shape, state FROM {ns}eventstore_snapshots WHERE false",
    "SELECT projection, shape, stream, version, events, total, is_done FROM {ns}eventstore_rebuilds WHERE false",
];

/// Version, kind, version of its schema, payload, time.
pub(crate) type EventColumns = (i64, String, i32, String, i64);

pub(crate) fn event((version, kind, schema, payload, at): EventColumns) -> StoredEvent {
    StoredEvent::new(unsigned(version), kind, small(schema), payload, time(at))
}

/// As [`EventColumns`], for an event or the snapshot, which has no kind.
pub(crate) type MixedColumns = (i64, Option<String>, i32, String, i64);

/// The snapshot, and the events above it.
pub(crate) fn from_snapshot(
    rows: Vec<MixedColumns>,
    shape: u32,
) -> (Option<StoredSnapshot>, Vec<StoredEvent>) {
    let mut snapshot = None;
    let mut events = Vec::with_capacity(rows.len());
    for (version, kind, schema, text, at) in rows {
        match kind {
            None => snapshot = Some(StoredSnapshot::new(unsigned(version), shape, text)),
            Some(kind) => events.push(event((version, kind, schema, text, at))),
        }
    }
    (snapshot, events)
}

/// As [`MixedColumns`], behind the stream's place among several.
pub(crate) type PlacedColumns = (i64, i64, Option<String>, i32, String, i64);

/// What [`from_snapshot`] reads, for each of so many streams.
pub(crate) fn from_snapshots(
    rows: Vec<PlacedColumns>,
    streams: usize,
    shape: u32,
) -> Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)> {
    let mut of_stream: Vec<Vec<MixedColumns>> = vec![Vec::new(); streams];
    for (place, version, kind, schema, text, at) in rows {
        if let Some(rows) = usize::try_from(place)
            .ok()
            .and_then(|at| of_stream.get_mut(at))
        {
            rows.push((version, kind, schema, text, at));
        }
    }
    let read = |rows| from_snapshot(rows, shape);
    of_stream.into_iter().map(read).collect()
}

/// As [`EventColumns`], behind the stream.
pub(crate) type ScannedColumns<'r> = (&'r str, i64, &'r str, i32, &'r str, i64);

/// Gives rows to `visit`, up to the page's bytes.
pub(crate) async fn visit<R>(
    rows: impl Stream<Item = Result<R, sqlx::Error>>,
    columns: impl for<'r> Fn(&'r R) -> Result<ScannedColumns<'r>, sqlx::Error>,
    classify: fn(sqlx::Error) -> mainstay_database::Error,
    page: Page<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let (mut rows, mut bytes) = (pin!(rows), 0);
    while let Some(row) = rows.try_next().await.map_err(classify)? {
        let (stream, version, kind, schema, payload, at) = columns(&row).map_err(classify)?;
        visit(ScannedEvent {
            stream,
            version: unsigned(version),
            kind,
            schema_version: small(schema),
            payload,
            recorded_at: time(at),
        })?;
        bytes += payload.len() as u64;
        if bytes >= page.bytes {
            break;
        }
    }
    Ok(())
}

/// Shape, stream, version, events, total, done.
pub(crate) type RebuildColumns = (i64, String, i64, i64, i64, bool);

pub(crate) fn rebuild(
    (shape, stream, version, events, total, is_done): RebuildColumns,
) -> RebuildState {
    RebuildState {
        shape: u32::try_from(shape).unwrap_or(u32::MAX),
        after: (stream, unsigned(version)),
        events: unsigned(events),
        total: unsigned(total),
        is_done,
    }
}

/// A version or count as tables have it. None of them gets there.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A version of a schema as tables have it. 0 is no version, so that reading it is refused.
fn small(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// The version of an event's schema as tables have it.
pub(crate) fn schema(event: &NewEvent) -> i32 {
    i32::try_from(event.schema_version).unwrap_or(i32::MAX)
}

pub(crate) fn conflict(stream: &StreamName, expected: u64, actual: i64) -> Error {
    Error::Conflict {
        stream: stream.to_string(),
        expected,
        actual: unsigned(actual),
    }
}
