//! Crashes at every point at which a process can be struck, one run after the other.
//!
//! What a library does when its process dies between two statements is decided by which two: a suite that kills now and then
//! finds the wide gaps. Here a run is repeated, and each time it ends one point further on, until it gets to its end.
//!
//! - [`after_polls`] drops a future when it suspends for the k-th time: every `await` of one task, where the ports it uses
//!   suspend at each call.
//! - [`Points`] are calls of ports, by whichever task: before, in the midst of and after the k-th. The process ends
//!   there: [`Points::until_struck`] drops the run with everything it has, and no port is called any more; or it
//!   really ends, by [`Points::aborting`].
//!
//! What is behind the ports (a database, a broker) must not notice more of it than it does of a process that died.

mod points;
mod polls;

pub use points::Points;
pub use polls::after_polls;

/// Runs `run` for the 1st, 2nd, … point until it answers that its run got to its end. Answers with how many points there were.
///
/// The number at which a run failed is printed.
///
/// # Panics
/// After 100,000 points: then the run has none that is the last.
pub async fn at_every_point(what: &str, run: impl AsyncFn(usize) -> Reached) -> usize {
    for point in 1..=100_000 {
        let failing = Failing { what, point };
        let reached = run(point).await;
        drop(failing);
        if reached == Reached::End {
            return point - 1;
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
