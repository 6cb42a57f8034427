//! A service's own scenario, with many seeds.

use std::{
    any::Any,
    fmt::Write as _,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use mainstay_database::memory::Statement;
use mainstay_messaging::{Delivery, Message, broker::Content};
use mainstay_testkit::{
    History, check,
    history::{Entry, Published, Reader},
};

use crate::{Plan, Sim, Topology, shrink::shorten};

/// What a failed scenario names to be run alone.
const SEED: &str = "MAINSTAY_SEED";

/// A scenario that takes longer in its world has not ended.
const LONGEST: Duration = Duration::from_secs(3_600);

#[doc = include_str!("scenario.md")]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a closure at the place of the call"
)]
pub fn simulate(
    seeds: Range<u64>,
    topology: &Topology,
    scenario: impl AsyncFn(&Sim) -> Vec<String>,
) {
    let seeds = chosen(std::env::var(SEED).ok().as_deref()).unwrap_or(seeds);
    for seed in seeds {
        let plan = Plan::draw(seed, topology);
        let failed = |places: &[usize]| {
            let told = match Sim::planned(seed, plan.keep(places)) {
                Ok(sim) => {
                    let mut told = play(&sim, scenario(&sim));
                    told.extend(strangers(&sim, topology));
                    told
                }
                Err(error) => vec![error.to_string()],
            };
            (!told.is_empty()).then_some(told)
        };
        let every: Vec<usize> = (0..plan.faults.len()).collect();
        if let Some(told) = failed(&every) {
            let (places, told) = shorten(every, told, failed);
            fail(seed, &plan, &plan.keep(&places), &told);
        }
    }
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn chosen(seed: Option<&str>) -> Option<Range<u64>> {
    let seed = seed?;
    match seed.parse::<u64>() {
        Ok(seed) => Some(seed..seed.saturating_add(1)),
        Err(error) => panic!("{SEED}={seed:?} names no seed: {error}"),
    }
}

/// Lets a scenario come to its end; answers what does not hold, panics and broken hosts included.
pub(crate) fn play(sim: &Sim, scenario: impl Future<Output = Vec<String>>) -> Vec<String> {
    let playing = || sim.run(async { tokio::time::timeout(LONGEST, scenario).await });
    // A scenario that asserts shall name its seed as well as one that answers.
    let mut told = match catch_unwind(AssertUnwindSafe(playing)) {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => vec![format!("the scenario has not ended after {LONGEST:?}")],
        Err(panicked) => vec![format!("the scenario panicked: {}", words(&*panicked))],
    };
    told.extend(sim.broken());
    told
}

fn words(panicked: &(dyn Any + Send)) -> &str {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panicked.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

/// Hosts that the plan speaks of and nobody has put into the world.
fn strangers(sim: &Sim, topology: &Topology) -> impl Iterator<Item = String> {
    let hosts = sim.hosts();
    let mut names = topology.hosts();
    names.retain(|name| !hosts.iter().any(|host| host.name() == &**name));
    let told = |name| format!("no host is called {name}: what the plan does to it never strikes");
    names.into_iter().map(told)
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn fail(seed: u64, plan: &Plan, shortest: &Plan, told: &[String]) -> ! {
    let mut text = format!("seed {seed}, plan:\n{plan}the shortest plan found:\n{shortest}");
    for line in told {
        let _ = writeln!(text, "VIOLATION: {line}");
    }
    panic!("{text}again: {SEED}={seed} cargo test …, with the name of this test");
}

/// A message as a [`History`] has it: ordered by topic and key, told apart by source and id.
pub fn entry(message: &Message) -> Entry {
    let topic = &message.topic;
    Entry {
        key: message.key.as_ref().map(|key| format!("{topic}/{key}")),
        number: 0,
        id: format!("{} {}", message.source, message.id),
        attempt: format!("{} {:?}", message.kind, message.payload),
    }
}

/// A record of the log, if it is a message.
pub(crate) fn published(record: &Delivery, entry: impl Fn(&Message) -> Entry) -> Option<Published> {
    let Content::Message(message) = &record.content else {
        return None;
    };
    let partition = &record.position.partition;
    Some(Published {
        topic: partition.topic.to_string(),
        partition: partition.number,
        offset: record.position.offset,
        entry: entry(message),
    })
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

    /// The log and its readers: a history to which the service adds what it has committed and done.
    pub fn history(&self) -> History {
        let mut history = History::default();
        for partition in self.broker().partitions() {
            let log = self.broker().records(&partition, 0).into_iter();
            let log = log.filter_map(|record| published(&record, entry));
            history.published.extend(log);
        }
        for (group, topics) in &self.world.shared.lock().readers {
            history.readers.extend(topics.iter().map(|topic| Reader {
                consumer: group.to_string(),
                topic: topic.to_string(),
            }));
        }
        history
    }
}

/// What does not hold of a history, in words.
pub fn judge(history: &History) -> Vec<String> {
    let told = check::violations(history).into_iter();
    told.map(|violation| violation.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something does not hold whenever a fault of this kind struck.
    fn failure(kind: &'static str) -> Option<String> {
        let topology = Topology {
            workers: vec!["worker".into()],
            within: Duration::from_secs(2),
            ..Topology::default()
        };
        let scenario = async |sim: &Sim| {
            let idle = sim.host("worker", |process| async move {
                process.shutdown().cancelled().await;
                Ok::<(), String>(())
            });
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(idle.name(), "worker");
            let struck = sim.struck();
            let faults = sim.plan().faults.iter().zip(&struck);
            let bad = faults.filter(|(fault, times)| fault.kind() == kind && **times > 0);
            bad.map(|(fault, _)| format!("{fault} struck")).collect()
        };
        let failed = catch_unwind(|| simulate(0..20, &topology, scenario)).err()?;
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

    fn told(topology: &Topology, scenario: impl AsyncFn(&Sim) -> Vec<String>) -> String {
        let failed =
            catch_unwind(AssertUnwindSafe(|| simulate(5..6, topology, scenario))).unwrap_err();
        words(&*failed).to_owned()
    }

    #[test]
    fn a_scenario_that_asserts_names_its_seed() {
        let text = told(&Topology::default(), async |sim: &Sim| {
            assert_eq!(sim.hosts().len(), 1, "of hosts");
            Vec::new()
        });
        assert!(text.starts_with("seed 5, plan:"), "{text}");
        assert!(
            text.contains("VIOLATION: the scenario panicked: "),
            "{text}"
        );
        assert!(text.contains("of hosts"), "{text}");
    }

    #[test]
    fn a_scenario_without_end_is_ended() {
        let text = told(&Topology::default(), async |_: &Sim| {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        assert!(
            text.contains("VIOLATION: the scenario has not ended"),
            "{text}"
        );
    }

    /// Else a host that is spelt otherwise is never struck, and the test passes for ever.
    #[test]
    fn a_topology_that_names_a_host_that_is_not_there_fails() {
        let topology = Topology {
            workers: vec!["wroker".into()],
            ..Topology::default()
        };
        let text = told(&topology, async |_: &Sim| Vec::new());
        assert!(text.contains("no host is called wroker"), "{text}");
    }

    #[test]
    fn a_seed_that_is_no_number_is_told() {
        assert_eq!(chosen(Some("17")), Some(17..18));
        assert_eq!(chosen(None), None);
        assert!(catch_unwind(|| chosen(Some("x"))).is_err());
    }

    #[test]
    fn what_never_strikes_fails_nothing() {
        assert_eq!(failure("Comet"), None);
    }

    /// Else two messages of one process get one id, and consumers take the second for the first.
    #[test]
    fn whoever_asks_a_process_for_ids_goes_on_where_another_ended() {
        simulate(0..1, &Topology::default(), async |sim: &Sim| {
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
