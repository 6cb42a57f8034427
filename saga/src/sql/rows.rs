//! Rows as values.

use std::{collections::HashMap, time::Duration};

use mainstay_messaging::envelope::time_of;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::{
    Error, RunId,
    definition::Fingerprint,
    journal::JournalEntry,
    operator::RunSummary,
    state::Status,
    store::{Begun, LiveDefinition, StoredRun, Unbegun},
};

type Damage = Box<dyn std::error::Error + Send + Sync>;

/// What `read` makes of the row of a run.
fn read<'r, R: Row, T>(
    row: &'r R,
    read: impl FnOnce(RunId) -> Result<T, Damage>,
) -> Result<T, Error>
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let run = row.try_get::<String, _>("run").map_err(|error| {
        // Not a column of this row: the statement and this build do not fit together.
        mainstay_database::Error::Failed(error.into())
    })?;
    let run = RunId::new(run);
    read(run.clone()).map_err(|source| Error::Damaged { run, source })
}

/// Reads what was stored of a run.
pub(crate) fn stored_of<'r, R: Row>(row: &'r R) -> Result<StoredRun, Error>
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    read(row, |run| {
        let elapsed: i64 = row.try_get("elapsed")?;
        Ok(StoredRun {
            run,
            key: row.try_get("business_key")?,
            version: row.try_get::<i64, _>("version")?.try_into()?,
            fingerprint: Fingerprint(row.try_get("fingerprint")?),
            state: row.try_get("state")?,
            input: row.try_get("input")?,
            elapsed: Duration::from_micros(u64::try_from(elapsed).unwrap_or(0)),
        })
    })
}

/// Reads what a run looks like.
pub(crate) fn summary_of<'r, R: Row>(row: &'r R) -> Result<RunSummary, Error>
where
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    summary(row, |_, status| {
        Err(format!("this build does not know the status {status:?}; use the newer one").into())
    })
}

/// As [`summary_of`], in a list: a run whose status this build does not know is shown as broken, so
/// that it hides no other.
pub(crate) fn listed_of<'r, R: Row>(row: &'r R) -> Result<RunSummary, Error>
where
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    summary(row, |run, status| {
        tracing::warn!(%run, status, "this build does not know the status of a run, and lists it as broken; use the newer one");
        Ok(Status::Broken)
    })
}

fn summary<'r, R: Row>(
    row: &'r R,
    unknown: impl FnOnce(&RunId, &str) -> Result<Status, Damage>,
) -> Result<RunSummary, Error>
where
    &'static str: ColumnIndex<R>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    read(row, |run| {
        let status: String = row.try_get("status")?;
        let status = Status::named(&status).map_or_else(|| unknown(&run, &status), Ok)?;
        Ok(RunSummary {
            saga: row.try_get("saga")?,
            run,
            key: row.try_get("business_key")?,
            version: row.try_get::<i64, _>("version")?.try_into()?,
            status,
            is_overdue: row.try_get("is_overdue")?,
            step: row.try_get("step")?,
            started_at: time_of(row.try_get("started_at")?),
            saved_at: time_of(row.try_get("saved_at")?),
            wake_at: row.try_get::<Option<i64>, _>("wake_at")?.map(time_of),
        })
    })
}

/// Reads the journal beside a run, which is null if it has no entry.
pub(crate) fn journal_of<'r, R: Row>(row: &'r R) -> Result<Vec<JournalEntry>, Error>
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    read(row, |_run| {
        let text: Option<String> = row.try_get("journal")?;
        let Some(text) = text else {
            return Ok(Vec::new());
        };
        let rows: Vec<(i64, i64, String)> = serde_json::from_str(&text)?;
        let entry = |(number, at, entry): (i64, i64, String)| {
            Ok(JournalEntry {
                number,
                at: time_of(at),
                entry: serde_json::from_str(&entry)?,
            })
        };
        rows.into_iter().map(entry).collect()
    })
}

/// Reads a definition with live runs.
pub(crate) fn live_of<'r, R: Row>(row: &'r R) -> Result<LiveDefinition, Error>
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    read(row, |example| {
        Ok(LiveDefinition {
            version: row.try_get::<i64, _>("version")?.try_into()?,
            fingerprint: Fingerprint(row.try_get("fingerprint")?),
            runs: row.try_get::<i64, _>("runs")?.try_into()?,
            example,
        })
    })
}

/// How often the do came, this time included, and how often the undo.
pub(crate) const fn begun((begins, undos): (i32, i32)) -> Begun {
    match (begins, undos) {
        (1, 0) => Begun::First,
        (_, 0) => Begun::Again,
        _ => Begun::Undone,
    }
}

/// The same, for each of `steps`: databases answer in an order of their own.
pub(crate) fn begun_of(steps: &[&str], rows: &[(String, i32, i32)]) -> Vec<Begun> {
    let rows = rows
        .iter()
        .map(|(step, begins, undos)| (&**step, (*begins, *undos)));
    let counts: HashMap<&str, (i32, i32)> = rows.collect();
    // The statement inserts or updates each.
    let counts = steps.iter().filter_map(|step| counts.get(step));
    counts.map(|counts| begun(*counts)).collect()
}

/// How often the do came, and how often the undo, this time included.
pub(crate) const fn unbegun((begins, undos): (i32, i32)) -> Unbegun {
    match (begins, undos) {
        (0, 1) => Unbegun::Never,
        (_, 1) => Unbegun::Begun,
        _ => Unbegun::Again,
    }
}
