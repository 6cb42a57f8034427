//! The rows.

use std::time::SystemTime;

use mainstay_database::memory::Record;

use crate::{
    RunId, definition::Fingerprint, journal::Entry, operator::RunSummary, state::Status,
    store::NewRun,
};

/// A run.
#[derive(Clone, Debug)]
pub(super) struct RunRow {
    pub(super) summary: RunSummary,
    pub(super) fingerprint: Fingerprint,
    pub(super) state: String,
    pub(super) input: String,
}

impl RunRow {
    pub(super) fn new(run: &NewRun<'_>, now: SystemTime) -> Self {
        Self {
            summary: RunSummary {
                saga: run.saga.to_owned(),
                run: run.run.clone(),
                key: run.key.to_owned(),
                version: run.version,
                status: Status::Running,
                is_overdue: false,
                step: None,
                started_at: now,
                saved_at: now,
                wake_at: None,
            },
            fingerprint: run.fingerprint,
            state: String::new(),
            input: run.input.to_owned(),
        }
    }
}

impl Record for RunRow {
    const TABLE: &'static str = "saga_runs";
    type Key = RunId;

    fn key(&self) -> RunId {
        self.summary.run.clone()
    }
}

/// A business key whose run has not ended: the partial unique index of an SQL store.
#[derive(Clone, Debug)]
pub(super) struct KeyRow {
    pub(super) saga: String,
    pub(super) key: String,
    pub(super) run: RunId,
}

impl Record for KeyRow {
    const TABLE: &'static str = "saga_keys";
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        (self.saga.clone(), self.key.clone())
    }
}

/// An entry of a journal.
#[derive(Clone, Debug)]
pub(super) struct EntryRow {
    pub(super) run: RunId,
    pub(super) number: i64,
    pub(super) at: SystemTime,
    pub(super) entry: Entry,
}

impl Record for EntryRow {
    const TABLE: &'static str = "saga_journal";
    type Key = (RunId, i64);

    fn key(&self) -> Self::Key {
        (self.run.clone(), self.number)
    }
}

/// A step of a participant.
#[derive(Clone, Debug)]
pub(super) struct StepRow {
    pub(super) step: String,
    pub(super) is_undone: bool,
    pub(super) at: SystemTime,
}

impl Record for StepRow {
    const TABLE: &'static str = "saga_steps";
    type Key = String;

    fn key(&self) -> String {
        self.step.clone()
    }
}
