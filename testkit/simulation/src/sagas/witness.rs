//! Looks at runs when they begin and end, and at everything at the end, and says what may not be.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Inserted};
use mainstay_inbox::HandlerError;
use mainstay_messaging::{Partition, broker::Content};
use mainstay_saga::{Attempt, CommandId, Observer, Status, Transition, operator::RunSummary};

use super::{
    messages::{Order, STEPS},
    rows::{Act, Complaint, Deed, Live, Placed},
};
use crate::Sim;

/// Looks in the transaction of each begin and end of a run: how many its key has, and whether the
/// effects are there.
pub(super) struct Witness;

#[async_trait]
impl Observer<Order, Connection> for Witness {
    async fn observe(
        &self,
        tx: &mut Connection,
        transition: &Transition<'_, Order>,
    ) -> Result<(), HandlerError> {
        let by = match transition.before {
            None => 1,
            Some(_) if transition.after.is_ended() => -1,
            Some(_) => return Ok(()),
        };
        let mut complaints = Vec::new();
        let live = Live {
            key: transition.key.to_owned(),
            runs: by,
        };
        let mut statement = tx.statement().await?;
        let _: Inserted = statement
            .upsert(live, |live| {
                live.runs += by;
                if live.runs > 1 {
                    complaints.push(format!("one live run per key; {} has more", live.key));
                }
            })
            .await?;
        drop(statement);
        let mut statement = tx.statement().await?;
        if transition.after.is_ended() {
            let (run, status) = (transition.run.as_str(), transition.after);
            let of_run = (format!("{run}:"), i64::MIN)..(format!("{run};"), i64::MIN);
            complaints.extend(mismatches(run, status, &statement.scan::<Act>(of_run)));
        }
        for text in complaints {
            let number = statement.next_value("complaints");
            let _: Inserted = statement.insert(Complaint { number, text }).await?;
        }
        Ok(())
    }
}

/// Steps whose effects are not those of a run that has ended so.
fn mismatches<'a>(
    run: &str,
    status: Status,
    acts: impl IntoIterator<Item = &'a Act>,
) -> Vec<String> {
    let mut done = BTreeSet::new();
    for act in acts {
        if act.deed == Deed::Done {
            done.insert(&*act.step);
        } else {
            done.remove(&*act.step);
        }
    }
    let steps = STEPS.iter().filter(|step| {
        let is_done = done.contains(&*format!("{run}:{step}"));
        !status.is_ended() || is_done != (status == Status::Completed)
    });
    let said = steps.map(|step| {
        format!("all done or all undone; run {run} is {status}, and its effect of {step} is not so")
    });
    said.collect()
}

/// What does not hold at the end, of all runs that there are.
pub(super) fn judge(sim: &Sim, runs: &[RunSummary]) -> Vec<String> {
    let database = sim.database();
    let complaints = database.committed::<Complaint>().into_iter();
    let mut told: Vec<String> = complaints.map(|complaint| complaint.text.clone()).collect();
    let placed = database.committed::<Placed>();
    let placed: BTreeSet<&str> = placed.iter().map(|placed| &*placed.run).collect();
    let there: BTreeSet<&str> = runs.iter().map(|run| run.run.as_str()).collect();
    for run in placed.symmetric_difference(&there) {
        told.push(format!(
            "a run exists if and only if its start committed; {run}"
        ));
    }
    let acts = database.committed::<Act>();
    let mut steps: BTreeMap<&str, Vec<&Act>> = BTreeMap::new();
    for act in &acts {
        steps.entry(&act.step).or_default().push(act);
    }
    for run in runs {
        let is_of_run = |act: &&&Act| act.step.starts_with(run.run.as_str());
        let acts = steps.values().flatten().filter(is_of_run).copied();
        told.extend(mismatches(run.run.as_str(), run.status, acts));
    }
    for (step, acts) in &steps {
        let acts: Vec<_> = acts.iter().map(|act| (&*act.command, act.deed)).collect();
        if !is_lawful(&acts) {
            told.push(format!(
                "an attempt more only after a refusal, an effect once; {step}: {acts:?}"
            ));
        }
    }
    told.extend(overtaken(sim));
    told
}

/// Refusals for now, each of the next attempt; then at most one effect or refusal; then at most one
/// undo.
fn is_lawful(acts: &[(&str, Deed)]) -> bool {
    let is_retryable = true;
    let refusals = acts.iter();
    let refusals = refusals.take_while(|(_, deed)| *deed == Deed::Refused { is_retryable });
    let refusals = refusals.count();
    let (refused, rest) = acts.split_at(refusals);
    let is_next = |(nth, (command, deed)): (u32, &(&str, Deed))| {
        let attempt = command.parse().map(|id: CommandId| id.attempt);
        *deed == Deed::Undone || attempt == Ok(Attempt::Do(nth))
    };
    (1..).zip(refused.iter().chain(rest.first())).all(is_next)
        && match rest {
            [] | [_] => true,
            [(_, first), (_, last)] => *first != Deed::Undone && *last == Deed::Undone,
            _ => false,
        }
}

/// Undos that lie in the log in front of their dos, or in another partition.
fn overtaken(sim: &Sim) -> Vec<String> {
    let first = commands(sim);
    let mut told = Vec::new();
    for (command, (partition, offset)) in &first {
        let undo = CommandId::new(command.run.clone(), &*command.step, Attempt::Undo);
        if let Some((behind, later)) = first.get(&undo)
            && (behind != partition || later < offset)
        {
            told.push(format!("no undo overtakes its do; {command}"));
        }
    }
    told.sort();
    told
}

/// Where each command was published first.
fn commands(sim: &Sim) -> HashMap<CommandId, (Partition, i64)> {
    let mut first = HashMap::new();
    for partition in sim.broker().partitions() {
        for record in sim.broker().records(&partition, 0) {
            if let Content::Message(message) = &record.content
                && let Ok(command) = message.id.as_str().parse()
            {
                let place = (partition.clone(), record.position.offset);
                first.entry(command).or_insert(place);
            }
        }
    }
    first
}
