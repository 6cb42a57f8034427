//! The error of a command, as one line for a person.

use std::{error::Error, fmt};

/// A command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    line: String,
    exit_code: u8,
}

impl Failure {
    /// A failure with its error and all of that error's causes.
    pub(crate) fn new(what: impl fmt::Display, why: &dyn Error) -> Self {
        let mut line = format!("{what}: {why}");
        let mut cause = why.source();
        while let Some(error) = cause {
            // Some errors repeat their cause in their own text.
            let text = error.to_string();
            if !line.ends_with(&text) {
                line = format!("{line}: {text}");
            }
            cause = error.source();
        }
        Self::plain(line)
    }

    /// A failure without an error.
    pub(crate) fn plain(line: impl Into<String>) -> Self {
        Self {
            line: line.into().replace('\n', " "),
            exit_code: 1,
        }
    }

    /// Exits with 2: the command was invalid, or could not check.
    pub(crate) const fn unanswered(mut self) -> Self {
        self.exit_code = 2;
        self
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// An invariant could not be checked.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn cannot_check(error: commerce_chassis::Error) -> Failure {
    Failure::new("cannot check", &error)
}

impl From<commerce_chassis::Error> for Failure {
    fn from(error: commerce_chassis::Error) -> Self {
        Self::new("the command failed", &error)
    }
}
