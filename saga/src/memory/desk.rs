//! What operators see.

use std::{collections::BTreeMap, ops::Bound};

use async_trait::async_trait;

use super::{
    MemorySagas,
    records::{EntryRow, RunRow},
};
use crate::{
    Error, RunId,
    operator::{Query, RunSummary},
    store::{DeskStore, JournalEntry, LiveDefinition, ShownRun},
};

fn matches(query: &Query, run: &RunSummary) -> bool {
    let Query {
        saga,
        key,
        status,
        step,
        is_overdue,
    } = query;
    saga.as_ref().is_none_or(|saga| *saga == run.saga)
        && key.as_ref().is_none_or(|key| *key == run.key)
        && status.is_none_or(|status| status == run.status)
        && (step.is_none() || *step == run.step)
        && is_overdue.is_none_or(|is_overdue| is_overdue == run.is_overdue)
}

#[async_trait]
impl DeskStore for MemorySagas {
    async fn list(
        &self,
        query: &Query,
        before: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let below = before.cloned().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = statement.select::<RunRow>((Bound::Unbounded, below), usize::MAX, |row| {
            matches(query, &row.summary)
        });
        let newest = rows.into_iter().rev().map(|row| row.summary);
        Ok(newest
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect())
    }

    async fn count(&self, query: &Query, cap: u32) -> Result<u64, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let rows = statement.select::<RunRow>(.., cap, |row| matches(query, &row.summary));
        Ok(rows.len() as u64)
    }

    async fn show(&self, run: &RunId) -> Result<Option<ShownRun>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let Some(row) = statement.get::<RunRow>(run) else {
            return Ok(None);
        };
        let range = (run.clone(), i64::MIN)..=(run.clone(), i64::MAX);
        let journal = statement.scan::<EntryRow>(range).into_iter();
        let journal = journal.map(|row| JournalEntry {
            number: row.number,
            at: row.at,
            entry: row.entry,
        });
        Ok(Some(ShownRun {
            journal: journal.collect(),
            summary: row.summary.clone(),
            stored: row.stored(statement.now()),
        }))
    }

    async fn live(&self, saga: &str, cap: u32) -> Result<Vec<LiveDefinition>, Error> {
        let mut tx = self.database.begin().await?;
        let statement = tx.statement().await?;
        let is_live = |row: &RunRow| row.summary.saga == saga && !row.summary.status.is_ended();
        let mut found = BTreeMap::new();
        for row in statement.select::<RunRow>(.., usize::MAX, is_live) {
            let (version, fingerprint) = (row.summary.version, row.fingerprint);
            let entry = found.entry((version, fingerprint));
            let live: &mut LiveDefinition = entry.or_insert_with(|| LiveDefinition {
                version,
                fingerprint,
                runs: 0,
                example: row.summary.run,
            });
            live.runs = (live.runs + 1).min(u64::from(cap));
        }
        Ok(found.into_values().collect())
    }
}
