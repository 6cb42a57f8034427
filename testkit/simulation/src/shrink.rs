//! From a plan that fails to the shortest one that still does.

use crate::{Report, Settings, run};

/// How many runs may go into the shortest plan of one failure.
const TRIES: u32 = 300;

/// Drops faults of a failed run as long as it still fails; answers what to tell of it.
pub fn shrink(report: &Report) -> String {
    let again = |places: &[usize]| {
        let settings = Settings {
            keep: Some(places.to_vec()),
            ..Settings::default()
        };
        Some(run(report.seed, &settings)).filter(Report::has_failed)
    };
    // A fault that did not strike is rarely missed.
    let places = 0..report.plan.faults.len();
    let struck: Vec<usize> = places.clone().filter(|at| report.struck[*at] > 0).collect();
    let (places, shortest) = match again(&struck) {
        Some(shorter) => (struck, shorter),
        None => (places.collect(), report.clone()),
    };
    let (places, shortest) = shorten(places, shortest, again);
    let again = command(report.seed, &places);
    format!("FAILED: {report}the shortest plan found:\n{shortest}again: {again}\n")
}

/// The command that runs a plan again.
fn command(seed: u64, places: &[usize]) -> String {
    let places: Vec<String> = places.iter().map(ToString::to_string).collect();
    let places = places.join(",");
    format!("cargo xtask simulate seed {seed} --trace --plan {places}")
}

/// Drops places, halves first, as long as `again` says that the others fail as well.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_dropped() {
        // Fails if, and only if, the third and the eighth fault are there.
        let both = |places: &[usize]| (places.contains(&3) && places.contains(&8)).then_some(());
        let (places, ()) = shorten((0..20).collect(), (), both);
        assert_eq!(places, [3, 8]);
        assert_eq!(
            command(1, &places),
            "cargo xtask simulate seed 1 --trace --plan 3,8"
        );
    }
}
