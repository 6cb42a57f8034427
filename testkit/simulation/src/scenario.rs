//! A service's own scenario, with many seeds.

use std::{fmt::Write as _, ops::Range, time::Duration};

use mainstay_database::{Transactions as _, memory::Statement};
use mainstay_messaging::{Content, Message};
use mainstay_testkit::{
    History, check,
    history::{Entry, Published, Reader},
};

use crate::{Crew, Plan, Sim};

/// What a failed scenario names to be run alone.
const SEED: &str = "MAINSTAY_SEED";

#[doc = include_str!("scenario.md")]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a closure at the place of the call"
)]
pub fn simulate(seeds: Range<u64>, crew: &Crew, scenario: impl AsyncFn(&Sim) -> Vec<String>) {
    let chosen = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seeds = chosen.map_or(seeds, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let plan = Plan::draw(seed, crew);
        let told = play(seed, &plan, &scenario);
        if !told.is_empty() {
            let (shortest, told) = shorten(seed, plan.clone(), told, &scenario);
            fail(seed, &plan, &shortest, &told);
        }
    }
}

fn play(seed: u64, plan: &Plan, scenario: &impl AsyncFn(&Sim) -> Vec<String>) -> Vec<String> {
    match Sim::planned(seed, plan.clone()) {
        Ok(sim) => {
            let mut told = sim.run(scenario(&sim));
            told.extend(sim.broken());
            told
        }
        Err(error) => vec![error.to_string()],
    }
}

/// Drops one fault after the other, as long as something does not hold all the same.
fn shorten(
    seed: u64,
    mut plan: Plan,
    mut told: Vec<String>,
    scenario: &impl AsyncFn(&Sim) -> Vec<String>,
) -> (Plan, Vec<String>) {
    let mut place = 0;
    while place < plan.strikes.len() {
        let mut shorter = plan.clone();
        shorter.strikes.remove(place);
        let told_then = play(seed, &shorter, scenario);
        if told_then.is_empty() {
            place += 1;
        } else {
            (plan, told) = (shorter, told_then);
        }
    }
    (plan, told)
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn fail(seed: u64, plan: &Plan, shortest: &Plan, told: &[String]) -> ! {
    let mut text = format!("seed {seed}, plan:\n{plan}the shortest plan found:\n{shortest}");
    for line in told {
        let _ = writeln!(text, "VIOLATION: {line}");
    }
    panic!("{text}again: {SEED}={seed} cargo test …, with the name of this test");
}

/// A message in the words of a [`History`]: ordered by its topic and key, told apart by its source and id.
#[must_use]
pub fn entry(message: &Message) -> Entry {
    let topic = &message.topic;
    Entry {
        key: message.key.as_ref().map(|key| format!("{topic}/{key}")),
        number: 0,
        id: format!("{} {}", message.source, message.id),
        attempt: format!("{} {:?}", message.kind, message.payload),
    }
}

impl Sim {
    /// Waits until `holds`, and says whether it did within so much simulated time.
    #[expect(clippy::future_not_send, reason = "a world has one thread")]
    pub async fn until(&self, patience: Duration, holds: impl AsyncFn() -> bool) -> bool {
        let looking = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(patience, looking).await.is_ok()
    }

    /// Reads tables, as they are now.
    ///
    /// # Errors
    /// When the database is down.
    pub async fn read<T>(
        &self,
        read: impl FnOnce(&Statement<'_>) -> T,
    ) -> Result<T, mainstay_database::Error> {
        let mut tx = self.database().begin().await?;
        let statement = tx.statement().await?;
        Ok(read(&statement))
    }

    /// The log of every topic, and who reads what: the begin of a history, to which the service adds what it has committed and done.
    #[must_use]
    pub fn history(&self) -> History {
        let mut history = History::default();
        for partition in self.broker().partitions() {
            for delivery in self.broker().records(&partition, 0) {
                let Content::Message(message) = &delivery.content else {
                    continue;
                };
                history.published.push(Published {
                    topic: partition.topic.to_string(),
                    partition: partition.number,
                    offset: delivery.position.offset,
                    entry: entry(message),
                });
            }
        }
        for (group, topics) in self.readers() {
            history.readers.extend(topics.iter().map(|topic| Reader {
                consumer: group.to_string(),
                topic: topic.to_string(),
            }));
        }
        history
    }
}

/// What does not hold of a history, in words.
#[must_use]
pub fn judge(history: &History) -> Vec<String> {
    let told = check::violations(history).into_iter();
    told.map(|violation| violation.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// Something does not hold whenever `fault` struck.
    fn failure(fault: &'static str) -> Option<String> {
        let crew = Crew {
            workers: vec!["worker".into()],
            within: Duration::from_secs(2),
            ..Crew::default()
        };
        let scenario = async |sim: &Sim| {
            let idle = sim.host("worker", |process| async move {
                process.shutdown().cancelled().await;
                Ok::<(), String>(())
            });
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(idle.name(), "worker");
            let struck = sim.struck();
            let strikes = sim.plan().strikes.iter().zip(&struck);
            let bad = strikes.filter(|(strike, times)| strike.kind() == fault && **times > 0);
            bad.map(|(strike, _)| format!("{strike} struck")).collect()
        };
        let failed = catch_unwind(|| simulate(0..20, &crew, scenario)).err()?;
        failed.downcast::<String>().ok().map(|text| *text)
    }

    #[test]
    fn a_failure_names_its_seed_and_the_one_fault_that_it_needs() {
        let text = failure("Kill").unwrap();
        let (_, shortest) = text.split_once("the shortest plan found:\n").unwrap();
        let lines: Vec<&str> = shortest.lines().collect();
        assert!(lines[0].contains("Kill(\"worker\""), "{text}");
        assert!(lines[1].starts_with("VIOLATION: at "), "{text}");
        assert!(lines[2].starts_with("again: MAINSTAY_SEED="), "{text}");
        assert!(text.starts_with("seed "), "{text}");
    }

    #[test]
    fn what_never_strikes_fails_nothing() {
        assert_eq!(failure("Comet"), None);
    }

    /// Else two messages of one process get one id, and consumers take the second for the first.
    #[test]
    fn whoever_asks_a_process_for_ids_goes_on_where_another_ended() {
        simulate(0..1, &Crew::default(), async |sim: &Sim| {
            let asked = sim.host("worker", |process| async move {
                let (first, second) = (process.ids().uuid(), process.ids().uuid());
                if first == second {
                    return Err("one id twice");
                }
                Ok(())
            });
            sim.until(Duration::from_secs(1), async || !asked.is_running())
                .await;
            Vec::new()
        });
    }
}
