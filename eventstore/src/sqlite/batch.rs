//! Sets of rows as one parameter, and as one row.

use serde::Serialize;

use crate::{
    Error,
    sql::PlacedColumns,
    store::{NewEvent, StoredSnapshot, StreamAppend, StreamName},
};

/// `[[kind, version of its schema, payload], …]`.
pub(super) fn events(events: &[NewEvent]) -> Result<String, Error> {
    let rows = events.iter();
    let rows: Vec<_> = rows
        .map(|event| (event.kind, event.schema_version, &event.payload))
        .collect();
    json(&rows)
}

/// `[[stream, version, kind, version of its schema, payload], …]`, and `[[stream, expected], …]`.
pub(super) fn rows(appends: &[StreamAppend<'_>]) -> Result<(String, String), Error> {
    let (mut rows, mut heads) = (Vec::new(), Vec::with_capacity(appends.len()));
    for append in appends {
        let (stream, first) = (append.stream.as_str(), append.expected + 1);
        heads.push((stream, append.expected));
        for (version, event) in (first..).zip(append.events) {
            let (kind, schema) = (event.kind, event.schema_version);
            rows.push((stream, version, kind, schema, &event.payload));
        }
    }
    Ok((json(&rows)?, json(&heads)?))
}

/// `[stream, …]`.
pub(super) fn names(streams: &[&StreamName]) -> Result<String, Error> {
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    json(&names)
}

/// `[[stream, version, shape, state], …]`.
pub(super) fn snapshots(snapshots: &[(&StreamName, StoredSnapshot)]) -> Result<String, Error> {
    let rows = snapshots.iter();
    let rows: Vec<_> = rows
        .map(|(stream, kept)| (stream.as_str(), kept.version, kept.shape, &kept.state))
        .collect();
    json(&rows)
}

pub(super) fn read(rows: &str) -> Result<Vec<PlacedColumns>, Error> {
    serde_json::from_str(rows).map_err(failed)
}

fn json(set: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(set).map_err(failed)
}

fn failed(error: serde_json::Error) -> Error {
    mainstay_database::Error::Failed(error.into()).into()
}
