//! What happened to a run, entry by entry.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Attempt, document::Document, operator::Signature, state::Reason};

/// One entry of a run's journal. Entries are written in the transition's transaction, and never
/// changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// The run began.
    Started,
    /// A command was sent.
    Sent {
        /// The step.
        step: String,
        /// Do or undo.
        attempt: Attempt,
    },
    /// A step is done.
    Done {
        /// The step.
        step: String,
        /// Its result.
        result: Document,
    },
    /// A step was refused.
    Refused {
        /// The step.
        step: String,
        /// The refusal.
        refusal: Document,
        /// When the next attempt is, in microseconds; none: it is refused for good.
        retry_in: Option<u64>,
    },
    /// The steps so far are undone from here on.
    Undoing {
        /// Why.
        reason: Reason,
    },
    /// A step is undone.
    StepUndone {
        /// The step.
        step: String,
    },
    /// A reply is overdue, and the run can only wait for it.
    Overdue {
        /// The step; none: the saga's deadline passed.
        step: Option<String>,
    },
    /// A reply could not be read, or a step's code failed. The run stands still.
    Broken {
        /// What failed.
        why: String,
    },
    /// An operator let a broken run go on.
    Mended {
        /// Who, and why.
        by: Signature,
    },
    /// An operator sent a command again, or had a waiting attempt made at once.
    Retried {
        /// The step.
        step: String,
        /// Who, and why.
        by: Signature,
    },
    /// An operator supplied the result of a step.
    Skipped {
        /// The step.
        step: String,
        /// Who, and why.
        by: Signature,
    },
    /// Somebody asked to cancel the run.
    CancelRequested {
        /// Who, and why.
        by: Signature,
    },
    /// The run has ended, all steps are done.
    Completed,
    /// The run has ended, all steps are undone.
    Undone,
}

impl Entry {
    pub(crate) fn refused(step: String, refusal: Document, retry: Option<Duration>) -> Self {
        let micros = |delay: Duration| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        Self::Refused {
            step,
            refusal,
            retry_in: retry.map(micros),
        }
    }
}

/// An entry and when it was written, by the store's clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct JournalEntry {
    /// Its number in the run's journal; rises.
    pub number: i64,
    /// When.
    #[serde(serialize_with = "crate::time::write")]
    pub at: SystemTime,
    /// What.
    pub entry: Entry,
}
