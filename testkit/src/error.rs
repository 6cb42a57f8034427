//! Why there is no server.

use std::fmt::Display;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be had on this machine: a suite may be skipped.
    #[error("{0}")]
    Unavailable(String),

    /// A server that should be there did not come up, or did not go down.
    #[error("{step} failed: {why}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What went wrong, and the server's own last lines.
        why: String,
    },
}

impl Error {
    pub(crate) fn step(step: &'static str, why: impl Display) -> Self {
        let why = why.to_string();
        Self::Step { step, why }
    }

    /// With as much as a reader wants to see of a server's log.
    pub(crate) fn with_log(mut self, log: &str) -> Self {
        const LINES: usize = 15;
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let last = lines.get(lines.len().saturating_sub(LINES)..);
        if let (Self::Step { why, .. }, Some(last @ [_, ..])) = (&mut self, last) {
            why.push_str("; its last lines:\n  ");
            why.push_str(&last.join("\n  "));
        }
        self
    }
}

/// Names the step at which something failed.
pub(crate) trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Error>;
}

impl<T, E: Display> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error::step(step, error))
    }
}

#[test]
fn the_last_lines_are_the_last_and_no_more() {
    let said = |log: &str| Error::step("it", "no").with_log(log).to_string();
    let log: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
    let tail = said(&(log.join("\n") + "\n"));
    assert!(
        tail.starts_with("it failed: no; its last lines:\n  line 26\n")
            && tail.ends_with("\n  line 40"),
        "{tail}"
    );
    assert_eq!(said("one\n"), "it failed: no; its last lines:\n  one");
    assert_eq!(said("\n"), "it failed: no");
}
