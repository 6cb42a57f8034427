//! Crashes at every point of a run: it is repeated, and each time ends one point further on.
//!
//! - [`after_polls`] drops a future when it suspends for the k-th time: at every `await` of one task.
//! - [`Points`] are calls of ports, by any task: before, within and after the k-th.
//!   [`Points::until_struck`] drops the run there; [`Points::aborting`] ends the process.

mod points;
mod polls;

pub use points::Points;
pub use polls::after_polls;

/// Runs `run` for the 1st, 2nd, … point until runs get to their end. Answers with the last point at
/// which one was struck; a run that fails prints its own.
///
/// One run alone may have met fewer points than others, because another thread had answered before
/// it would have suspended.
///
/// # Panics
/// After 100,000 points.
pub async fn at_every_point(what: &str, run: impl AsyncFn(usize) -> Reached) -> usize {
    const ENDS: usize = 3;
    let mut last = 0;
    for point in 1..=100_000 {
        let failing = Failing { what, point };
        let reached = run(point).await;
        drop(failing);
        if reached == Reached::Point {
            last = point;
        } else if point - last >= ENDS {
            return last;
        }
    }
    #[expect(clippy::panic, reason = "a run without end proves nothing")]
    {
        panic!("{what}: no run gets to its end")
    }
}

/// How far a run came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the last run is the one that got to its end"]
pub enum Reached {
    /// It was struck.
    Point,
    /// It ended by itself.
    End,
}

impl Reached {
    /// What the answer of [`after_polls`] or [`Points::until_struck`] says.
    pub const fn of<T>(output: Option<&T>) -> Self {
        match output {
            Some(_) => Self::End,
            None => Self::Point,
        }
    }
}

/// Says at which point a run failed, when its panic drops it.
struct Failing<'a> {
    what: &'a str,
    point: usize,
}

impl Drop for Failing<'_> {
    #[expect(clippy::print_stderr, reason = "for whoever reads the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: failed when struck at point {}", self.what, self.point);
        }
    }
}

#[cfg(test)]
mod tests;
