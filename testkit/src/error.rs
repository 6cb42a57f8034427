//! Why there is no server.

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot be had on this machine: a suite may be left out.
    #[error("{0}")]
    Unavailable(String),

    /// A server that should be there did not come up, or did not go down.
    #[error("{step} failed: {why}{}", tail(log))]
    #[non_exhaustive]
    Step {
        /// What was being done.
        step: &'static str,
        /// What went wrong.
        why: String,
        /// The server's own last lines; empty if it said nothing.
        log: String,
    },
}

impl Error {
    pub(crate) fn step(step: &'static str, why: impl Into<String>) -> Self {
        Self::Step {
            step,
            why: why.into(),
            log: String::new(),
        }
    }

    pub(crate) fn with_log(self, lines: &str) -> Self {
        match self {
            Self::Step { step, why, .. } => Self::Step {
                step,
                why,
                log: last_lines(lines).to_owned(),
            },
            other @ Self::Unavailable(_) => other,
        }
    }
}

fn tail(log: &str) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!("; its last lines:\n  {}", log.replace('\n', "\n  "))
}

/// As much as a reader wants to see of a server's log.
fn last_lines(text: &str) -> &str {
    const LINES: usize = 15;
    let text = text.trim_end();
    let start = text
        .rmatch_indices('\n')
        .nth(LINES - 1)
        .map_or(0, |(at, _)| at + 1);
    text.get(start..).unwrap_or(text)
}

#[test]
fn the_last_lines_are_the_last_and_no_more() {
    let log: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
    let log = log.join("\n");
    let tail = last_lines(&log);
    assert!(
        tail.starts_with("line 26\n") && tail.ends_with("line 40"),
        "{tail}"
    );
    assert_eq!(last_lines("one\n"), "one");
}
