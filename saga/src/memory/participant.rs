//! The participant's side.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Inserted, Record as _};

use super::{MemorySagas, records::StepRow};
use crate::{
    Error,
    store::{Begun, ParticipantStore, Unbegun},
};

#[async_trait]
impl ParticipantStore for MemorySagas {
    type Connection = Connection;

    async fn begin(&self, connection: &mut Connection, step: &str) -> Result<Begun, Error> {
        let mut statement = connection.statement().await?;
        let row = StepRow {
            step: step.to_owned(),
            is_undone: false,
            at: statement.now(),
        };
        let mut was_undone = false;
        // An update that changes nothing waits for the row as one that does.
        let inserted = statement
            .upsert(row, |row| was_undone = row.is_undone)
            .await?;
        Ok(match (inserted, was_undone) {
            (Inserted::New, _) => Begun::First,
            (Inserted::Exists, false) => Begun::Again,
            (Inserted::Exists, true) => Begun::Undone,
        })
    }

    async fn undo(&self, connection: &mut Connection, step: &str) -> Result<Unbegun, Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let row = StepRow {
            step: step.to_owned(),
            is_undone: true,
            at: now,
        };
        let mut was_undone = false;
        let change = |row: &mut StepRow| {
            was_undone = row.is_undone;
            row.is_undone = true;
            row.at = now;
        };
        let inserted = statement.upsert(row, change).await?;
        Ok(match (inserted, was_undone) {
            (Inserted::New, _) => Unbegun::Never,
            (Inserted::Exists, false) => Unbegun::Begun,
            (Inserted::Exists, true) => Unbegun::Again,
        })
    }

    async fn prune_steps(
        &self,
        connection: &mut Connection,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let is_old = |row: &StepRow| now.duration_since(row.at).unwrap_or_default() > retention;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut deleted = 0;
        for row in statement.select::<StepRow>(.., limit, is_old) {
            deleted += u64::from(statement.delete::<StepRow>(&row.key(), is_old).await?);
        }
        Ok(deleted)
    }
}
