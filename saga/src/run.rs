//! Identities: of a run of a saga, and of the commands that it sends.

use std::{fmt, str::FromStr};

use mainstay_clock::IdGenerator;
use serde::{Deserialize, Serialize};

/// Identity of one run of a saga, minted when it starts. A business key that is used again gets a
/// new one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    pub(crate) fn minted_by(ids: &(impl IdGenerator + ?Sized)) -> Self {
        Self(ids.uuid().hyphenated().to_string())
    }

    /// Wraps the text of a run id.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The do of a step, by the number of its attempt, or its undo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these two")]
pub enum Attempt {
    /// The do; from 1. It rises only after a known refusal.
    Do(u32),
    /// The undo.
    Undo,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Do(number) => write!(f, "{number}"),
            Self::Undo => f.write_str("undo"),
        }
    }
}

/// Identity of a command: `run:step:attempt`, the id of its message and the causation id of its
/// replies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub struct CommandId {
    /// The run that sent it.
    pub run: RunId,
    /// The step's name.
    pub step: String,
    /// Do or undo.
    pub attempt: Attempt,
}

impl CommandId {
    /// An identity of its parts.
    #[must_use]
    pub fn new(run: RunId, step: impl Into<String>, attempt: Attempt) -> Self {
        let step = step.into();
        Self { run, step, attempt }
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.run, self.step, self.attempt)
    }
}

/// A text that is no command id.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is not the id of a saga's command, which is run:step:attempt")]
pub struct NotACommandId(String);

impl FromStr for CommandId {
    type Err = NotACommandId;

    fn from_str(text: &str) -> Result<Self, NotACommandId> {
        let parts = || {
            let (run, rest) = text.split_once(':')?;
            // A kind may contain a colon, a number does not.
            let (step, attempt) = rest.rsplit_once(':')?;
            let attempt = match attempt {
                "undo" => Attempt::Undo,
                number => Attempt::Do(number.parse().ok().filter(|number| *number > 0)?),
            };
            let is_complete = !run.is_empty() && !step.is_empty();
            is_complete.then(|| Self::new(RunId::new(run), step, attempt))
        };
        parts().ok_or_else(|| NotACommandId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_id_reads_back_what_it_writes() {
        for attempt in [Attempt::Do(1), Attempt::Do(12), Attempt::Undo] {
            let id = CommandId::new(RunId::new("r-1"), "urn:shop:Charge", attempt);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in [
            "", "r", "r:s", "r:s:", "r:s:0", "r:s:-1", "r::1", ":s:1", "r:s:x",
        ] {
            assert!(text.parse::<CommandId>().is_err(), "{text}");
        }
    }
}
