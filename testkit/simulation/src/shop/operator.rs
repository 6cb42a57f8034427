//! The operator of the dead letter queue, who reaches the database without faults of calls.

use mainstay_dlq::{DeadLetterQueue, Desk, Error, Query, Signature, memory::MemoryDeadLetters};
use mainstay_inbox::MemoryInbox;

use super::{Failure, Shop};
use crate::Sim;

impl Shop {
    async fn desk(sim: &Sim) -> Result<Desk<MemoryInbox, MemoryDeadLetters>, Error> {
        let queue = DeadLetterQueue::builder(MemoryInbox::new(sim.database()));
        Ok(queue.open().await?.desk())
    }

    /// Has everything replayed that is in the queue now, in the background. The database may be down.
    pub(super) async fn replay_all(&self, sim: &Sim) -> Result<(), Failure> {
        if !self.has_queue {
            return Ok(());
        }
        let by = Signature::new("operator", "perhaps it has healed");
        let desk = Self::desk(sim).await?;
        let asked = desk.replay_all(Query::dead(), Some(20.0), &by);
        match asked.await {
            Err(error) if !error.is_retryable() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Has each dead letter replayed that no one tries by itself. Whether the queue is empty.
    pub(super) async fn empty_queue(&self, sim: &Sim) -> Result<bool, Failure> {
        if !self.has_queue {
            return Ok(true);
        }
        let letters = MemoryDeadLetters::new(sim.database());
        let kept = letters.committed().into_iter();
        let kept: Vec<_> = kept.filter(|letter| letter.state.is_kept()).collect();
        let by = Signature::new("operator", "the cause is fixed");
        for letter in &kept {
            let is_dead = letter.state == mainstay_dlq::State::Dead;
            if !is_dead || letter.due_at.is_some() {
                continue;
            }
            match Self::desk(sim).await?.replay(letter.id, &by).await {
                // A replayer, or a message that came first, was faster.
                Ok(()) | Err(Error::WrongState { .. } | Error::NotFirst { .. }) => {}
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(kept.is_empty() && letters.blocked_keys().is_empty())
    }
}
