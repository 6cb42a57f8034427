//! What operators ask for, and what they are shown.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{Error, RunId, state::Status};

/// Who does something, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Signature {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

impl Signature {
    /// `operator` acts for `reason`.
    #[must_use]
    pub fn new(operator: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            operator: operator.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let empty = |text: &str| text.trim().is_empty() || text.contains('\0');
        if empty(&self.operator) {
            return Err(Error::Unsigned("a name"));
        }
        if empty(&self.reason) {
            return Err(Error::Unsigned("a reason"));
        }
        Ok(())
    }
}

/// Which runs. What is not set matches all of them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Query {
    /// Of this saga.
    pub saga: Option<String>,
    /// With this business key.
    pub key: Option<String>,
    /// In this status.
    pub status: Option<Status>,
    /// At this step.
    pub step: Option<String>,
    /// Overdue or not.
    pub is_overdue: Option<bool>,
}

impl Query {
    /// All runs.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Runs whose reply or end is overdue.
    #[must_use]
    pub fn overdue() -> Self {
        let is_overdue = Some(true);
        Self {
            is_overdue,
            ..Self::default()
        }
    }

    /// Runs that stand still until an operator acts.
    #[must_use]
    pub fn broken() -> Self {
        Self::default().status(Status::Broken)
    }

    /// Of one saga.
    #[must_use]
    pub fn saga(mut self, saga: impl Into<String>) -> Self {
        self.saga = Some(saga.into());
        self
    }

    /// With one business key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// In one status.
    #[must_use]
    pub const fn status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }

    /// At one step.
    #[must_use]
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }
}

/// One run in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct RunSummary {
    /// The saga's name.
    pub saga: String,
    /// Its id.
    pub run: RunId,
    /// Its business key.
    pub key: String,
    /// The version of its definition.
    pub version: u32,
    /// Its status.
    pub status: Status,
    /// Whether it is overdue.
    pub is_overdue: bool,
    /// The step that it is at.
    pub step: Option<String>,
    /// When it began.
    #[serde(serialize_with = "crate::time::write")]
    pub started_at: SystemTime,
    /// When it last changed.
    #[serde(serialize_with = "crate::time::write")]
    pub saved_at: SystemTime,
    /// When its timer is due.
    #[serde(serialize_with = "crate::time::write_option")]
    pub wake_at: Option<SystemTime>,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[non_exhaustive]
pub struct Page {
    /// The runs.
    pub items: Vec<RunSummary>,
    /// Where the next part begins; none: this was the last one.
    pub next: Option<RunId>,
}
