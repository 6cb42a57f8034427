//! Several streams in one statement.

use std::collections::HashSet;

use mainstay_database::postgres::classify;
use sqlx::PgConnection;

use super::PostgresEventStore;
use crate::{
    Error,
    sql::{self, PlacedColumns, signed},
    store::{Appended, StoredEvent, StoredSnapshot, StreamAppend, StreamName},
};

/// The first event of each stream decides, as for one stream alone. They are inserted in the order of
/// the streams, so that two transactions never wait for each other.
pub(super) const APPEND: &str = "WITH given AS MATERIALIZED (
       SELECT * FROM UNNEST($1::text[], $2::int8[], $3::int8[], $4::text[], $5::int4[], $6::text[])
         AS g (stream, expected, n, kind, schema_version, payload)),
     first AS (
       INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
       SELECT g.stream, g.expected + 1, g.kind, g.schema_version, g.payload, {now} FROM given AS g
       WHERE g.n = 1 AND g.expected =
         (SELECT coalesce(max(h.version), 0) FROM {ns}eventstore_events AS h WHERE h.stream = g.stream)
       ORDER BY g.stream COLLATE \"C\"
       ON CONFLICT DO NOTHING RETURNING stream, recorded_at),
     others AS (
       INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
       SELECT g.stream, g.expected + g.n, g.kind, g.schema_version, g.payload, f.recorded_at
       FROM given AS g JOIN first AS f ON f.stream = g.stream WHERE g.n > 1)
     SELECT stream FROM first";

pub(super) const READ: &str = "WITH wanted AS MATERIALIZED (
       SELECT w.place, w.stream, s.version, s.state
       FROM UNNEST($1::text[]) WITH ORDINALITY AS w (stream, place)
       LEFT JOIN {ns}eventstore_snapshots AS s ON s.stream = w.stream AND s.shape = $2)
     SELECT place - 1, version, NULL AS kind, 0 AS schema_version, state, 0::int8 AS recorded_at
     FROM wanted WHERE version IS NOT NULL
     UNION ALL
     SELECT w.place - 1, e.version, e.kind, e.schema_version, e.payload, e.recorded_at
     FROM wanted AS w CROSS JOIN LATERAL (
       SELECT * FROM {ns}eventstore_events AS e
       WHERE e.stream = w.stream AND e.version > coalesce(w.version, 0) ORDER BY e.version) AS e
     ORDER BY 1, 2";

pub(super) const WRITE: &str =
    "INSERT INTO {ns}eventstore_snapshots (stream, version, shape, state)
     SELECT * FROM UNNEST($1::text[], $2::int8[], $3::int8[], $4::text[]) AS s (stream, version, shape, state)
     ORDER BY s.stream COLLATE \"C\"
     ON CONFLICT (stream) DO UPDATE
     SET version = excluded.version, shape = excluded.shape, state = excluded.state";

impl PostgresEventStore {
    pub(super) async fn append_batch(
        &self,
        connection: &mut PgConnection,
        appends: &[StreamAppend<'_>],
    ) -> Result<Vec<Appended>, Error> {
        let columns = Columns::of(appends);
        let written: Vec<String> = sqlx::query_scalar(self.append_to_streams.clone())
            .persistent(self.database.keeps_statements())
            .bind(columns.streams)
            .bind(columns.expected)
            .bind(columns.places)
            .bind(columns.kinds)
            .bind(columns.schemas)
            .bind(columns.payloads)
            .fetch_all(&mut *connection)
            .await
            .map_err(classify)?;
        let written: HashSet<String> = written.into_iter().collect();
        let mut outcomes = Vec::with_capacity(appends.len());
        for StreamAppend { stream, .. } in appends {
            outcomes.push(if written.contains(stream.as_str()) {
                Appended::Written
            } else {
                let actual = self.head_of(connection, stream).await?;
                let actual = u64::try_from(actual).unwrap_or(0);
                Appended::Conflict { actual }
            });
        }
        Ok(outcomes)
    }

    pub(super) async fn read_batch(
        &self,
        connection: &mut PgConnection,
        streams: &[&StreamName],
        shape: u32,
    ) -> Result<Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)>, Error> {
        let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
        let rows: Vec<PlacedColumns> = sqlx::query_as(self.read_from_snapshots.clone())
            .persistent(self.database.keeps_statements())
            .bind(names)
            .bind(i64::from(shape))
            .fetch_all(connection)
            .await
            .map_err(classify)?;
        Ok(sql::from_snapshots(rows, streams.len(), shape))
    }

    pub(super) async fn write_batch(
        &self,
        connection: &mut PgConnection,
        snapshots: &[(&StreamName, StoredSnapshot)],
    ) -> Result<(), Error> {
        let kept = || snapshots.iter();
        let streams: Vec<&str> = kept().map(|(stream, _)| stream.as_str()).collect();
        let versions: Vec<i64> = kept().map(|(_, kept)| signed(kept.version)).collect();
        let shapes: Vec<i64> = kept().map(|(_, kept)| i64::from(kept.shape)).collect();
        let states: Vec<&str> = kept().map(|(_, kept)| &*kept.state).collect();
        sqlx::query(self.write_snapshots.clone())
            .persistent(self.database.keeps_statements())
            .bind(streams)
            .bind(versions)
            .bind(shapes)
            .bind(states)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }

    pub(super) async fn head_of(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
    ) -> Result<i64, Error> {
        let head = sqlx::query_scalar(self.head.clone())
            .persistent(self.database.keeps_statements())
            .bind(stream.as_str())
            .fetch_one(connection)
            .await;
        Ok(head.map_err(classify)?)
    }
}

/// Events of several streams, column by column.
#[derive(Default)]
struct Columns<'a> {
    streams: Vec<&'a str>,
    expected: Vec<i64>,
    /// Within its stream, from 1.
    places: Vec<i64>,
    kinds: Vec<&'a str>,
    schemas: Vec<i32>,
    payloads: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(appends: &[StreamAppend<'a>]) -> Self {
        let mut columns = Self::default();
        for append in appends {
            for (place, event) in (1..).zip(append.events) {
                columns.streams.push(append.stream.as_str());
                columns.expected.push(signed(append.expected));
                columns.places.push(place);
                columns.kinds.push(event.kind);
                columns.schemas.push(sql::schema(event));
                columns.payloads.push(&event.payload);
            }
        }
        columns
    }
}
