//! The way to the database.

use async_trait::async_trait;
use mainstay_database::memory::{CommitFault, Fault as DatabaseFault, Link, Outcome};

use super::Process;
use crate::plan::{CallFault, Port, Reach};

#[derive(Debug)]
pub(super) struct HostLink {
    process: Process,
}

impl HostLink {
    pub(super) const fn new(process: Process) -> Self {
        Self { process }
    }
}

#[async_trait]
impl Link for HostLink {
    async fn begin(&self) -> bool {
        let fault = self.process.pass(Port::Begin).await;
        !self.process.is_cut(Reach::Database) && fault.is_none()
    }

    async fn statement(&self) -> Option<DatabaseFault> {
        let fault = self.process.pass(Port::Statement).await;
        if self.process.is_cut(Reach::Database) {
            return Some(DatabaseFault::Unavailable);
        }
        Some(match fault? {
            CallFault::Conflict => DatabaseFault::Serialization,
            CallFault::LockTimeout => DatabaseFault::LockTimeout,
            _ => DatabaseFault::Unavailable,
        })
    }

    async fn commit(&self) -> Option<CommitFault> {
        let fault = self.process.pass(Port::Commit).await;
        self.process.travel().await;
        if self.process.is_cut(Reach::Database) {
            return Some(CommitFault::Unknown(Outcome::NotApplied));
        }
        let by = self.process.life_of();
        self.process.world.shared().committing = Some(by);
        Some(CommitFault::Unknown(match fault? {
            CallFault::Conflict => return Some(CommitFault::Serialization),
            CallFault::AnswerLost => Outcome::Applied,
            CallFault::AppliedLater(time) => {
                self.process.world.settle_later(by, time, true);
                Outcome::AppliedLater
            }
            CallFault::DiscardedLater(time) => {
                self.process.world.settle_later(by, time, false);
                Outcome::AppliedLater
            }
            _ => Outcome::NotApplied,
        }))
    }

    fn lingers(&self) -> bool {
        let world = &self.process.world;
        let linger = world.shared().linger;
        if let Some(place) = linger {
            world.struck(place);
        }
        linger.is_some() || self.process.host.is_paused()
    }
}
