//! From a plan that fails to the shortest one that still fails.

use std::fmt;

use crate::run::{Report, Settings, run};

/// How many runs the search for the shortest plan of one failure may take.
const TRIES: u32 = 300;

/// A seed that failed, and the shortest plan that was found for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The report of the whole plan.
    pub report: Report,
    /// The indices of the faults that suffice.
    pub places: Vec<usize>,
    /// The report of these faults alone.
    pub shortest: Report,
}

/// Removes faults of a failed run for as long as it still fails.
#[must_use]
pub fn shrink(report: Report) -> Failure {
    let again = |places: &[usize]| {
        let settings = Settings {
            keep: Some(places.to_vec()),
            ..Settings::default()
        };
        Some(run(report.seed, &settings)).filter(Report::has_failed)
    };
    // Faults without effect are rarely needed.
    let places = 0..report.plan.faults.len();
    let struck: Vec<usize> = places.clone().filter(|at| report.struck[*at] > 0).collect();
    let (places, shortest) = match again(&struck) {
        Some(shorter) => (struck, shorter),
        None => (places.collect(), report.clone()),
    };
    let (places, shortest) = shorten(places, shortest, again);
    Failure {
        report,
        places,
        shortest,
    }
}

/// Removes indices, halves first, for as long as `again` returns a failure of the others.
pub(crate) fn shorten<T>(
    mut places: Vec<usize>,
    mut failed: T,
    again: impl Fn(&[usize]) -> Option<T>,
) -> (Vec<usize>, T) {
    let (mut chunk, mut tries) = (places.len().div_ceil(2), 0);
    while chunk > 0 {
        let mut begin = 0;
        while begin < places.len() && tries < TRIES {
            let mut fewer = places.clone();
            fewer.drain(begin..places.len().min(begin + chunk));
            tries += 1;
            match again(&fewer) {
                Some(shorter) => (places, failed) = (fewer, shorter),
                None => begin += chunk,
            }
        }
        chunk /= 2;
    }
    (places, failed)
}

impl Failure {
    /// The command that runs the shortest plan again.
    #[must_use]
    pub fn command(&self) -> String {
        let places: Vec<String> = self.places.iter().map(ToString::to_string).collect();
        let places = match &*places {
            [] => "none".to_owned(),
            places => places.join(","),
        };
        let seed = self.report.seed;
        format!("cargo xtask simulate seed {seed} --plan {places} --trace")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (report, shortest, again) = (&self.report, &self.shortest, self.command());
        writeln!(
            f,
            "FAILED: {report}the shortest plan found:\n{shortest}again: {again}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_are_not_needed_are_removed() {
        // Fails if, and only if, the third and the eighth fault are there.
        let both = |places: &[usize]| (places.contains(&3) && places.contains(&8)).then_some(());
        let (places, ()) = shorten((0..20).collect(), (), both);
        assert_eq!(places, [3, 8]);
        let report = run(1, &Settings::default());
        let failure = Failure {
            shortest: report.clone(),
            report,
            places,
        };
        assert_eq!(
            failure.command(),
            "cargo xtask simulate seed 1 --plan 3,8 --trace"
        );
    }
}
