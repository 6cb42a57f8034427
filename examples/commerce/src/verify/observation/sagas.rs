//! The runs of sagas.

use std::collections::{BTreeSet, HashMap};

use commerce_chassis::Snapshot;
use mainstay_saga::{CommandId, RunId, journal::Entry};

use super::Observation;
use crate::error::{Failure, cannot_check};

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) order_id: String,
    /// running, undoing, broken, completed or undone.
    pub(crate) status: String,
    pub(crate) is_overdue: bool,
    pub(crate) step: Option<String>,
    /// The ids of the commands that it has sent.
    pub(crate) sent: BTreeSet<String>,
    /// Those whose answers it has taken.
    pub(crate) answered: BTreeSet<String>,
}

impl Run {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&*self.status, "completed" | "undone")
    }
}

impl Observation {
    pub(super) async fn read_runs(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        type Row = (String, String, String, bool, Option<String>);
        let runs = "SELECT run, business_key, status, is_overdue, step FROM saga_runs";
        let runs: Vec<Row> = snapshot.all(runs).await.map_err(cannot_check)?;
        for (id, order_id, status, is_overdue, step) in runs {
            let run = Run {
                id: id.clone(),
                order_id,
                status,
                is_overdue,
                step,
                sent: BTreeSet::new(),
                answered: BTreeSet::new(),
            };
            self.runs.insert(id, run);
        }
        let journal = "SELECT run, entry FROM saga_journal ORDER BY number";
        let journal: Vec<(String, String)> = snapshot.all(journal).await.map_err(cannot_check)?;
        // The newest command of each step.
        let mut open: HashMap<(String, String), String> = HashMap::new();
        for (id, entry) in journal {
            let entry: Entry = serde_json::from_str(&entry).map_err(|error| {
                Failure::new(format!("cannot check: the journal of run {id}"), &error)
            })?;
            let Some(run) = self.runs.get_mut(&id) else {
                continue;
            };
            match entry {
                Entry::Sent { step, attempt } => {
                    let command = CommandId::new(RunId::new(&*id), &*step, attempt).to_string();
                    run.sent.insert(command.clone());
                    open.insert((id, step), command);
                }
                // An operator gave the answer.
                Entry::Skipped { step, .. } => drop(open.remove(&(id, step))),
                Entry::Done { step, .. }
                | Entry::Refused { step, .. }
                | Entry::StepUndone { step } => {
                    run.answered.extend(open.remove(&(id, step)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
