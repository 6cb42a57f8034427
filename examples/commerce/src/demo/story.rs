//! What a scenario tells, and whether its expectations held.

use std::time::Duration;

use mainstay_clock::{Clock as _, SystemClock};

use crate::error::Failure;

/// No step of a healthy deployment takes that long.
const LONGEST: Duration = Duration::from_secs(180);
/// Interval between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Who hears a story, line by line.
pub(crate) type Listener = Box<dyn Fn(&str) -> Result<(), Failure> + Send + Sync>;

/// The steps so far.
pub(crate) struct Story {
    steps: u32,
    broken: u32,
    tell: Listener,
}

impl Story {
    pub(crate) fn told_to(tell: Listener) -> Self {
        Self {
            steps: 0,
            broken: 0,
            tell,
        }
    }

    /// Starts a step.
    pub(super) fn step(&mut self, what: &str) -> Result<(), Failure> {
        self.steps += 1;
        (self.tell)(&format!("{}. {what}", self.steps))
    }

    /// A line below the step: what is seen, or what to type.
    pub(super) fn note(&self, line: &str) -> Result<(), Failure> {
        (self.tell)(&format!("     {line}"))
    }

    /// Says whether an expectation held.
    pub(super) fn expect(&mut self, what: &str, holds: bool) -> Result<(), Failure> {
        self.broken += u32::from(!holds);
        let mark = if holds { "ok  " } else { "NOT " };
        self.note(&format!("{mark} {what}"))
    }

    /// Waits until `look` finds something; nothing after three minutes is a broken expectation.
    pub(super) async fn wait_for<T>(
        &mut self,
        what: &str,
        look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let found = look_for(look).await?;
        self.expect(what, found.is_some())?;
        Ok(found)
    }

    /// Says how it ended; whether every expectation held.
    pub(super) fn end(&self) -> Result<bool, Failure> {
        let kept = self.broken == 0;
        (self.tell)(&match self.broken {
            0 => "every expectation held".to_owned(),
            broken => format!("{broken} expectations did not hold"),
        })?;
        Ok(kept)
    }
}

/// Looks until there is something, at most for three minutes.
pub(super) async fn look_for<T>(
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let clock = SystemClock::new();
    let until = clock.monotonic() + LONGEST;
    loop {
        let found = look().await?;
        if found.is_some() || until.has_passed_at(clock.monotonic()) {
            return Ok(found);
        }
        tokio::time::sleep(LOOK).await;
    }
}
