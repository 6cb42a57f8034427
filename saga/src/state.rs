//! What is known of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::raw_reply::{Payload, RawReply};

use crate::{
    Attempt, Error, definition::Shape, document::Document, operator::Signature, store::StoredRun,
};

/// The form that this build writes states in. Raise it with a change that older builds cannot read:
/// they then leave the run to newer ones.
const FORMAT: u32 = 1;

/// The state of one run, as its row keeps it. Times are what is left of them since it was saved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    #[serde(default)]
    format: u32,
    /// Where it goes.
    pub phase: Phase,
    /// Its steps, in the order of the definition.
    pub steps: Vec<StepState>,
    /// What is left until the saga's deadline.
    #[serde(default, with = "micros", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Whether the deadline has passed, and nothing could be undone any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_past_deadline: bool,
    /// An operator wants it cancelled, and the pivot is undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Signature>,
    /// Why it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Why it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Where a run goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these four")]
pub enum Phase {
    /// Forward.
    Running,
    /// Back: its steps are undone in reverse order.
    Undoing,
    /// It has ended, all steps are done.
    Completed,
    /// It has ended, all steps are undone.
    Undone,
}

/// What a run is to those who look at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "stores keep each of them")]
pub enum Status {
    /// It goes forward.
    Running,
    /// Its steps are being undone.
    Undoing,
    /// It stands still until an operator acts: a reply could not be read, or a step's code failed.
    Broken,
    /// It has ended, all steps are done.
    Completed,
    /// It has ended, all steps are undone.
    Undone,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Undoing,
        Self::Broken,
        Self::Completed,
        Self::Undone,
    ];

    /// Its name, as stores keep it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Undoing => "undoing",
            Self::Broken => "broken",
            Self::Completed => "completed",
            Self::Undone => "undone",
        }
    }

    /// Reads back what [`as_str`](Self::as_str) wrote.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the run has ended: its business key is free.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Undone)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepState {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub progress: Progress,
    /// The number of its latest attempt, from 1.
    #[serde(default)]
    pub attempt: u32,
    /// What is left until it is overdue, or until its next attempt.
    #[serde(default, with = "micros", skip_serializing_if = "Option::is_none")]
    pub left: Option<Duration>,
    /// Whether its reply is overdue, and it can only be waited for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_overdue: bool,
    /// Its command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Document>,
    /// The key of its messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Document>,
}

/// How far a step is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these")]
pub enum Progress {
    /// Not begun.
    Pending,
    /// Its command was sent.
    Sent,
    /// It was refused for now: the next attempt waits for its time.
    Waiting,
    /// Done.
    Done,
    /// Refused for good.
    Refused,
    /// Its undo was sent.
    Undoing,
    /// Undone.
    Undone,
}

/// Why a run is undone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// A participant refused a step.
    Refused {
        /// The step.
        step: String,
        /// Its refusal.
        refusal: Document,
    },
    /// A step did not answer in time.
    TimedOut {
        /// The step.
        step: String,
    },
    /// The saga's deadline passed.
    DeadlineExceeded,
    /// An operator or the service cancelled it.
    Cancelled {
        /// Who, and why.
        by: Signature,
    },
}

/// Why a run stands still, with the replies that it has not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Broken {
    /// What failed.
    pub why: String,
    /// The replies that came, as they were.
    pub replies: Vec<RawReply>,
}

impl State {
    /// A run that has not begun.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        let step = |name: &String| StepState {
            name: name.clone(),
            progress: Progress::Pending,
            attempt: 0,
            left: None,
            is_overdue: false,
            command: None,
            key: None,
            result: None,
        };
        Self {
            format: FORMAT,
            phase: Phase::Running,
            steps: shape.steps.iter().map(|shape| step(&shape.name)).collect(),
            deadline: shape.deadline,
            is_past_deadline: false,
            cancel: None,
            reason: None,
            broken: None,
        }
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`Error::NewerState`], [`Error::Damaged`].
    pub(crate) fn read(stored: &StoredRun) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Form {
            #[serde(default)]
            format: u32,
        }
        let read = serde_json::from_str::<Self>(&stored.state);
        let format = match &read {
            Ok(state) => state.format,
            Err(_) => serde_json::from_str(&stored.state).map_or(0, |form: Form| form.format),
        };
        if format > FORMAT {
            let (run, key) = (stored.run.clone(), stored.key.clone());
            return Err(Error::NewerState { run, key });
        }
        let mut state = read.map_err(|source| Error::Damaged {
            run: stored.run.clone(),
            source: source.into(),
        })?;
        state.format = FORMAT;
        Ok(state)
    }

    /// What it is to those who look at it.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (&self.broken, self.phase) {
            (Some(_), _) => Status::Broken,
            (None, Phase::Running) => Status::Running,
            (None, Phase::Undoing) => Status::Undoing,
            (None, Phase::Completed) => Status::Completed,
            (None, Phase::Undone) => Status::Undone,
        }
    }

    /// Whether something takes longer than it should, and cannot be undone.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        !self.status().is_ended()
            && (self.is_past_deadline || self.steps.iter().any(|step| step.is_overdue))
    }

    /// When its timer is due, from when it was saved; none: it waits for replies only.
    #[must_use]
    pub fn wake_in(&self) -> Option<Duration> {
        if self.status().is_ended() || self.broken.is_some() {
            return None;
        }
        let steps = self.steps.iter().filter_map(|step| step.left);
        steps.chain(self.deadline).min()
    }

    /// Whether it waits for the reply to this attempt of a step.
    #[must_use]
    pub fn expects(&self, step: usize, attempt: Attempt) -> bool {
        self.steps
            .get(step)
            .is_some_and(|step| match (step.progress, attempt) {
                (Progress::Sent, Attempt::Do(number)) => step.attempt == number,
                (Progress::Undoing, Attempt::Undo) => true,
                _ => false,
            })
    }

    /// The step that it is at: the first one that is in flight, or waits for its next attempt.
    #[must_use]
    pub fn at(&self) -> Option<&StepState> {
        let active = |step: &&StepState| {
            matches!(
                step.progress,
                Progress::Sent | Progress::Waiting | Progress::Undoing
            )
        };
        self.steps.iter().find(active)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Durations as whole microseconds.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(
        left: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let micros = left.map(|left| u64::try_from(left.as_micros()).unwrap_or(u64::MAX));
        micros.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_micros))
    }
}
