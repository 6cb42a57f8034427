//! The way to the database.

use async_trait::async_trait;
use mainstay_database::memory::{CommitFault, Fault, Link, Outcome};

use super::Process;
use crate::plan::{CallFault, Port, Reach};

#[async_trait]
impl Link for Process {
    async fn begin(&self) -> bool {
        let fault = self.pass(Port::Begin).await;
        !self.is_cut(Reach::Database) && fault.is_none()
    }

    async fn statement(&self) -> Option<Fault> {
        let fault = self.pass(Port::Statement).await;
        if self.is_cut(Reach::Database) {
            return Some(Fault::Unavailable);
        }
        Some(match fault? {
            CallFault::Conflict => Fault::Serialization,
            CallFault::LockTimeout => Fault::LockTimeout,
            _ => Fault::Unavailable,
        })
    }

    async fn commit(&self) -> Option<CommitFault> {
        let fault = self.pass(Port::Commit).await;
        self.travel().await;
        if self.is_cut(Reach::Database) {
            return Some(CommitFault::Unknown(Outcome::NotApplied));
        }
        let by = self.life_of();
        self.world.shared.lock().committing = Some(by);
        Some(CommitFault::Unknown(match fault? {
            CallFault::Conflict => return Some(CommitFault::Serialization),
            CallFault::AnswerLost => Outcome::Applied,
            CallFault::AppliedLater(time) => {
                self.world.settle_later(by, time, true);
                Outcome::AppliedLater
            }
            CallFault::DiscardedLater(time) => {
                self.world.settle_later(by, time, false);
                Outcome::AppliedLater
            }
            _ => Outcome::NotApplied,
        }))
    }

    fn lingers(&self) -> bool {
        let linger = self.world.shared.lock().linger;
        if let Some(place) = linger {
            self.world.struck(place);
        }
        linger.is_some() || self.host.state.lock().paused
    }
}
