//! A definition without its code: what the engine runs on.

use std::{fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};

/// The stages and steps of a definition, as plain data.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Shape {
    /// The saga's name.
    pub name: &'static str,
    /// The version of the definition.
    pub version: u32,
    /// How long a run may take.
    pub deadline: Option<Duration>,
    /// The steps, by stage.
    pub steps: Vec<StepShape>,
}

/// One step of a definition.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StepShape {
    /// Its name: the kind of its command, with a number if the saga has it several times.
    pub name: String,
    /// The kind of its command.
    pub kind: &'static str,
    /// The topic of its command, and of its undo.
    pub topic: &'static str,
    /// The kind of its undo.
    pub undo: Option<&'static str>,
    /// Where it stands.
    pub role: Role,
    /// The stage that it belongs to; steps of one stage run in parallel.
    pub stage: usize,
    /// Whether its participant may refuse it.
    pub is_refusable: bool,
    /// Whether it runs in the saga's own database, in the transition's transaction.
    pub is_local: bool,
    /// How long to wait for a reply.
    pub timeout: Duration,
}

/// Where a step stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these three")]
pub enum Role {
    /// Before the pivot: it can be undone.
    Compensable,
    /// The point of no return.
    Pivot,
    /// Behind the pivot: it is never refused.
    Retriable,
}

/// A number that differs between shapes that cannot run each other's instances.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "stores keep the number")]
pub struct Fingerprint(pub i64);

impl Shape {
    /// FNV-1a over version, stages, names, kinds, undos and roles; not over timeouts.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = self.version.to_string();
        for step in &self.steps {
            let StepShape {
                name, kind, stage, ..
            } = step;
            let undo = step.undo.unwrap_or("-");
            // Writing to a text cannot fail.
            let _ = write!(
                text,
                "\n{stage} {:?} {} {name} {kind} {undo}",
                step.role, step.is_local
            );
        }
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Fingerprint(hash.cast_signed())
    }

    /// The place of a step.
    #[must_use]
    pub fn find(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|shape| shape.name == step)
    }

    /// The steps of a stage, with their places.
    pub fn stage(&self, stage: usize) -> impl Iterator<Item = (usize, &StepShape)> {
        let steps = self.steps.iter().enumerate();
        steps.filter(move |(_, step)| step.stage == stage)
    }

    /// How many stages there are.
    #[must_use]
    pub fn stages(&self) -> usize {
        self.steps.last().map_or(0, |step| step.stage + 1)
    }
}
