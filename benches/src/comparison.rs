//! Interleaved rounds of several ways to do the same thing.

use std::{fmt, time::Duration};

use crate::Took;

/// One way to do it.
pub struct Side<'a> {
    /// What it is called in the output.
    pub(crate) name: &'static str,
    run: Box<dyn FnMut() -> Took + 'a>,
}

impl<'a> Side<'a> {
    /// A side whose `run` does one round and says how long the part that counts took.
    pub fn new(name: &'static str, run: impl FnMut() -> Took + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    pub(crate) fn round(&mut self) -> Took {
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
    targets: Vec<(&'static str, f64)>,
}

impl Comparison {
    /// A comparison of rounds of `operations` operations each; 31 rounds after one that is thrown away: many short ones feel the machine's moods alike.
    pub fn new(name: impl Into<String>, operations: usize) -> Self {
        Self {
            name: name.into(),
            operations: operations as u64,
            rounds: 31,
            targets: Vec::new(),
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
    pub fn target(mut self, against: &'static str, ratio: f64) -> Self {
        self.targets.push((against, ratio));
        self
    }

    /// Times of each side, round by round. The side that begins changes with the round.
    pub(crate) fn run(
        &self,
        quick: bool,
        sides: &mut [Side<'_>],
    ) -> Vec<(&'static str, Vec<Took>)> {
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

    pub(crate) fn print(&self, times: &[(&'static str, Vec<Took>)]) {
        println!("\n{} ({} operations a round)", self.name, self.operations);
        for (name, took) in times {
            #[expect(clippy::cast_precision_loss, reason = "a figure with three digits")]
            let rates = took
                .iter()
                .map(|took| self.operations as f64 / took.wall.as_secs_f64());
            let rate = Spread::of(rates);
            println!(
                "  {name:<28} {:>10.0}/s  (half of them {:.0} … {:.0})",
                rate.median, rate.lower, rate.upper
            );
        }
        let Some(((_, ours), others)) = times.split_first() else {
            return;
        };
        for (name, theirs) in others {
            let by =
                |clock: fn(&Took) -> Duration| {
                    let pairs = theirs.iter().zip(ours);
                    Spread::of(pairs.map(|(theirs, ours)| {
                        clock(theirs).as_secs_f64() / clock(ours).as_secs_f64()
                    }))
                };
            let (wall, processor) = (by(|took| took.wall), by(|took| took.processor));
            println!(
                "  ratio to {name}: {wall}, {} pairs{}",
                ours.len(),
                self.verdict(name, wall.median)
            );
            // Nobody counts the time of other processes.
            if processor.median.is_finite() {
                println!("  … in processor time: {processor}");
            }
        }
    }

    fn verdict(&self, name: &str, ratio: f64) -> String {
        match self.targets.iter().find(|(against, _)| *against == name) {
            Some((_, target)) => {
                let met = if ratio >= *target { "met" } else { "MISSED" };
                format!("; target {target:.2}: {met}")
            }
            None => String::new(),
        }
    }
}

/// Median, quartiles and extremes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
    pub(crate) most: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            least,
            lower,
            median,
            upper,
            most,
        } = self;
        write!(
            f,
            "{median:.2} (half of them {lower:.2} … {upper:.2}, all {least:.2} … {most:.2})"
        )
    }
}

impl Spread {
    /// Of no figures it is all zero.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        // The figure `quarters` quarters of the way up, between two of them if need be.
        let at = |quarters: usize| {
            let (place, rest) = (
                quarters * sorted.len().saturating_sub(1) / 4,
                quarters * sorted.len().saturating_sub(1) % 4,
            );
            let here = sorted.get(place).copied().unwrap_or_default();
            let above = sorted.get(place + 1).copied().unwrap_or(here);
            let share = [0.0, 0.25, 0.5, 0.75][rest];
            here + (above - here) * share
        };
        Self {
            least: at(0),
            lower: at(1),
            median: at(2),
            upper: at(3),
            most: at(4),
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
                Took::default()
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
    fn quartiles_lie_between_figures_where_they_have_to() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
        let text = |figure: f64| format!("{figure:.2}");
        let figures = [
            spread.least,
            spread.lower,
            spread.median,
            spread.upper,
            spread.most,
        ];
        assert_eq!(figures.map(text), ["1.00", "1.75", "2.50", "3.25", "4.00"]);
        assert_eq!(text(Spread::of([7.0].into_iter()).upper), "7.00");
        assert_eq!(text(Spread::of([].into_iter()).median), "0.00");
    }
}
