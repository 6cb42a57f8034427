//! Members that look at the group themselves, at each tick of their lease.

use std::time::Duration;

use mainstay_clock::Monotonic;

use super::{Claim, Holdings};
use crate::{Error, broker::Position};

/// The group, as the log has it after a member's tick.
#[derive(Debug)]
pub(crate) struct View<K> {
    /// Claims that are this member's.
    pub(crate) held: Vec<Claim<K>>,
    /// Those of them that are to move to another member.
    pub(crate) wanted_elsewhere: Vec<K>,
}

impl<K: Ord + Clone> Holdings<K> {
    /// Compares the log's view with what is held and queues events: lost, then assigned, then
    /// revoked. Returns the partitions whose revocation timed out; [`take_away`](Self::take_away)
    /// those.
    pub(crate) fn observe(
        &mut self,
        view: View<K>,
        now: Monotonic,
        revocation: Duration,
    ) -> Result<Vec<K>, Error> {
        let lost: Vec<K> = self
            .held
            .iter()
            .filter(|(id, held)| {
                !view
                    .held
                    .iter()
                    .any(|claim| claim.id == **id && claim.epoch == held.epoch)
            })
            .map(|(id, _)| id.clone())
            .collect();
        self.take_away(&lost);
        let (mut assigned, mut out_of_range) = (Vec::new(), None);
        for claim in view.held {
            let at = self.held.get(&claim.id).map(|held| held.next);
            match claim.check(at, &self.group) {
                Err(error) => out_of_range = Some(error),
                Ok(()) if at.is_none() => assigned.push(claim),
                Ok(()) => {}
            }
        }
        self.assign(assigned);
        self.revoke(&view.wanted_elsewhere, now, revocation);
        out_of_range.map_or_else(|| Ok(self.overdue(now)), Err)
    }

    /// Notes that the record at `offset` is delivered, and returns its position. None if it is not
    /// the next one: records before it are gone, and skipping them silently would lose them.
    pub(crate) fn hand_out(&mut self, id: &K, offset: i64) -> Option<Position> {
        let held = self.held.get_mut(id).filter(|held| held.next == offset)?;
        held.next += 1;
        Some(Position {
            partition: held.partition.clone(),
            offset,
        })
    }
}
