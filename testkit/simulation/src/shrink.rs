//! From a plan that fails to the shortest one that still does.

use std::fmt;

use crate::{Report, Settings, run};

/// A seed that failed, and the shortest plan that was found for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What came of the whole plan.
    pub report: Report,
    /// The places, in the whole plan, of the faults that suffice.
    pub places: Vec<usize>,
    /// What came of these.
    pub shortest: Report,
    /// How many runs it took to find them.
    pub tries: u32,
}

/// Drops faults of a failed run as long as it still fails, in at most so many runs.
#[must_use]
pub fn shrink(report: Report, most: u32) -> Failure {
    let seed = report.seed;
    shrink_by(report, most, &|places| {
        run(seed, &Settings::new().keep(places.to_vec()))
    })
}

fn shrink_by(report: Report, most: u32, run: &dyn Fn(&[usize]) -> Report) -> Failure {
    let every: Vec<usize> = (0..report.plan.faults.len()).collect();
    let mut failure = Failure {
        shortest: report.clone(),
        report,
        places: every,
        tries: 0,
    };
    // What did not strike is rarely missed.
    let struck = failure.places.iter().copied();
    let struck = struck.filter(|place| failure.report.struck.get(*place) > Some(&0));
    let struck: Vec<usize> = struck.collect();
    failure.take(struck, run);
    let mut chunk = failure.places.len().div_ceil(2);
    while chunk > 0 {
        let mut begin = 0;
        while begin < failure.places.len() && failure.tries < most {
            let end = (begin + chunk).min(failure.places.len());
            let mut fewer = failure.places.clone();
            fewer.drain(begin..end);
            if !failure.take(fewer, run) {
                begin = end;
            }
        }
        chunk /= 2;
    }
    failure
}

impl Failure {
    /// Makes do with these, if they suffice.
    fn take(&mut self, places: Vec<usize>, run: &dyn Fn(&[usize]) -> Report) -> bool {
        if places.len() == self.places.len() {
            return false;
        }
        self.tries += 1;
        let shorter = run(&places);
        let fails = shorter.has_failed();
        if fails {
            (self.places, self.shortest) = (places, shorter);
        }
        fails
    }

    /// The command that runs the shortest plan again.
    #[must_use]
    pub fn command(&self) -> String {
        let seed = self.report.seed;
        if self.places.is_empty() {
            return format!("cargo xtask simulate --seed {seed} --plan none --trace");
        }
        let places: Vec<String> = self.places.iter().map(ToString::to_string).collect();
        let places = places.join(",");
        format!("cargo xtask simulate --seed {seed} --plan {places} --trace")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED: {}", self.report)?;
        writeln!(
            f,
            "the shortest plan found in {} runs, {} of {} faults:",
            self.tries,
            self.places.len(),
            self.report.plan.faults.len()
        )?;
        for (place, fault) in self.places.iter().zip(&self.shortest.plan.faults) {
            writeln!(f, "{place:>4}  {fault}")?;
        }
        for violation in &self.shortest.violations {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        writeln!(f, "again: {}", self.command())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if, and only if, the third and the eighth fault are there.
    fn fake(places: &[usize]) -> Report {
        let mut report = run(1, &Settings::new().keep(Vec::new()));
        report.violations.clear();
        if places.contains(&3) && places.contains(&8) {
            report.violations.push("both".to_owned());
        }
        report
    }

    #[test]
    fn what_is_not_needed_is_dropped() {
        let mut whole = run(1, &Settings::new());
        let faults = whole.plan.faults.clone();
        whole.plan.faults = faults.into_iter().cycle().take(20).collect();
        whole.struck = vec![1; 20];
        whole.violations = vec!["both".to_owned()];
        let failure = shrink_by(whole, 200, &fake);
        assert_eq!(failure.places, [3, 8]);
        assert_eq!(
            failure.command(),
            "cargo xtask simulate --seed 1 --plan 3,8 --trace"
        );
    }
}
