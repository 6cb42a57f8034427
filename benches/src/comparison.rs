//! Interleaved rounds of several ways to do the same thing.

use std::{fmt, time::Duration};

/// One way to do it.
pub struct Side<'a> {
    /// What it is called in the output.
    pub(crate) name: &'static str,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Side<'a> {
    /// A side whose `run` does one round and says how long the part that counts took.
    pub fn new(name: &'static str, run: impl FnMut() -> Duration + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    pub(crate) fn round(&mut self) -> Duration {
        (self.run)()
    }
}

impl fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is compared. The first side is ours; ratios are its throughput by that of each other side.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub(crate) name: String,
    /// Operations of one round.
    pub(crate) operations: u64,
    pub(crate) rounds: usize,
    target: Option<(&'static str, f64)>,
}

impl Comparison {
    /// A comparison of rounds of `operations` operations each; 7 rounds after one that is thrown away.
    pub fn new(name: impl Into<String>, operations: usize) -> Self {
        Self {
            name: name.into(),
            operations: operations as u64,
            rounds: 7,
            target: None,
        }
    }

    /// Sets how many rounds are counted.
    #[must_use]
    pub const fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// The ratio to the side called `against` that is wanted.
    #[must_use]
    pub const fn target(mut self, against: &'static str, ratio: f64) -> Self {
        self.target = Some((against, ratio));
        self
    }

    /// Times of each side, round by round. The side that begins changes with the round.
    pub(crate) fn run(
        &self,
        quick: bool,
        sides: &mut [Side<'_>],
    ) -> Vec<(&'static str, Vec<Duration>)> {
        let rounds = if quick { 2 } else { self.rounds };
        let mut times: Vec<_> = sides.iter().map(|side| (side.name, Vec::new())).collect();
        for round in 0..=rounds {
            for turn in 0..sides.len() {
                let at = (turn + round) % sides.len();
                let took = sides[at].round();
                if round > 0 {
                    times[at].1.push(took);
                }
            }
        }
        times
    }

    pub(crate) fn print(&self, times: &[(&'static str, Vec<Duration>)]) {
        println!("\n{} ({} operations a round)", self.name, self.operations);
        for (name, took) in times {
            #[expect(clippy::cast_precision_loss, reason = "a figure with three digits")]
            let rates = took
                .iter()
                .map(|took| self.operations as f64 / took.as_secs_f64());
            let rate = Spread::of(rates);
            println!(
                "  {name:<28} {:>10.0}/s  ({:.0} … {:.0})",
                rate.median, rate.least, rate.most
            );
        }
        let Some(((_, ours), others)) = times.split_first() else {
            return;
        };
        for (name, theirs) in others {
            let ratio = Spread::of(
                theirs
                    .iter()
                    .zip(ours)
                    .map(|(theirs, ours)| theirs.as_secs_f64() / ours.as_secs_f64()),
            );
            let verdict = match self.target {
                Some((against, target)) if against == *name => {
                    format!(
                        "; target {target:.2}: {}",
                        if ratio.median >= target {
                            "met"
                        } else {
                            "MISSED"
                        }
                    )
                }
                _ => String::new(),
            };
            println!(
                "  ratio to {name}: {:.2} ({:.2} … {:.2}, {} pairs){verdict}",
                ratio.median,
                ratio.least,
                ratio.most,
                ours.len()
            );
        }
    }
}

/// Median and extremes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of no figures it is all zero.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Self {
            least: sorted.first().copied().unwrap_or_default(),
            median,
            most: sorted.last().copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_and_the_first_round_does_not_count() {
        let order = std::cell::RefCell::new(Vec::new());
        let side = |name: &'static str| {
            let order = &order;
            Side::new(name, move || {
                order.borrow_mut().push(name);
                Duration::from_secs(1)
            })
        };
        let times = Comparison::new("c", 1)
            .rounds(2)
            .run(false, &mut [side("a"), side("b")]);
        assert_eq!(
            times
                .iter()
                .map(|(_, times)| times.len())
                .collect::<Vec<_>>(),
            [2, 2]
        );
        assert_eq!(order.into_inner(), ["a", "b", "b", "a", "a", "b"]);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
        assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.5, 4.0));
    }
}
