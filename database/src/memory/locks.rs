//! Row locks: strengths, holders and queues.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::sync::oneshot;

/// A session of the server: one open transaction.
pub(super) type Session = u64;

/// One row from its insertion to its deletion, through all its versions.
pub(super) type RowId = u64;

/// How strongly a row is locked, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "PostgreSQL has had these four since 9.3"
)]
pub enum Strength {
    /// `FOR KEY SHARE`: conflicts with `Update` alone, so the row may be updated but not deleted.
    KeyShare,
    /// `FOR SHARE`: conflicts with `NoKeyUpdate` and `Update`.
    Share,
    /// `FOR NO KEY UPDATE`, what an update takes: conflicts with all but `KeyShare`.
    NoKeyUpdate,
    /// `FOR UPDATE`, what a delete takes: conflicts with all.
    Update,
}

impl Strength {
    pub(super) const fn conflicts_with(self, other: Self) -> bool {
        match self {
            Self::KeyShare => matches!(other, Self::Update),
            Self::Share => matches!(other, Self::NoKeyUpdate | Self::Update),
            Self::NoKeyUpdate => !matches!(other, Self::KeyShare),
            Self::Update => true,
        }
    }
}

/// Holders of rows, and queues of waiting sessions.
#[derive(Default, Debug)]
pub(super) struct Locks {
    rows: BTreeMap<RowId, Row>,
    held: BTreeMap<Session, BTreeSet<RowId>>,
    waiting: BTreeMap<Session, RowId>,
}

#[derive(Default, Debug)]
struct Row {
    holders: BTreeMap<Session, Strength>,
    queue: VecDeque<Request>,
}

#[derive(Debug)]
struct Request {
    session: Session,
    strength: Strength,
    granted: oneshot::Sender<()>,
}

impl Row {
    /// The other holders that conflict.
    fn conflicting(&self, session: Session, strength: Strength) -> impl Iterator<Item = Session> {
        self.holders
            .iter()
            .filter(move |&(&holder, &held)| holder != session && held.conflicts_with(strength))
            .map(|(&holder, _)| holder)
    }

    /// The earlier requests that conflict. A holder of the row passes them: otherwise
    /// it would wait for sessions that wait for it.
    fn ahead(&self, session: Session, strength: Strength) -> impl Iterator<Item = Session> {
        let passes = self.holders.contains_key(&session);
        self.queue
            .iter()
            .take_while(move |request| request.session != session)
            .filter(move |request| !passes && request.strength.conflicts_with(strength))
            .map(|request| request.session)
    }
}

impl Locks {
    /// Takes the lock unless a holder conflicts. It passes waiting requests, as PostgreSQL does: a
    /// stream of key-share lockers starves a waiting `FOR UPDATE`.
    pub(super) fn try_acquire(&mut self, session: Session, row: RowId, strength: Strength) -> bool {
        let entry = self.rows.entry(row).or_default();
        if entry.conflicting(session, strength).next().is_some() {
            return false;
        }
        self.hold(session, row, strength);
        true
    }

    fn hold(&mut self, session: Session, row: RowId, strength: Strength) {
        let entry = self.rows.entry(row).or_default();
        let held = entry.holders.entry(session).or_insert(strength);
        *held = strength.max(*held);
        self.held.entry(session).or_default().insert(row);
    }

    /// Waits in the queue; the receiver is notified when the lock is held.
    pub(super) fn enqueue(
        &mut self,
        session: Session,
        row: RowId,
        strength: Strength,
    ) -> oneshot::Receiver<()> {
        let (granted, receiver) = oneshot::channel();
        self.waiting.insert(session, row);
        self.rows.entry(row).or_default().queue.push_back(Request {
            session,
            strength,
            granted,
        });
        receiver
    }

    /// Whether another session waits for a row that this one holds.
    pub(super) fn is_waited_for(&self, session: Session) -> bool {
        let held = self.held.get(&session).into_iter().flatten();
        let mut rows = held.filter_map(|row| self.rows.get(row));
        rows.any(|row| !row.queue.is_empty())
    }

    /// The sessions that a waiting session waits for.
    pub(super) fn blockers(&self, session: Session) -> Vec<Session> {
        let Some(row) = self
            .waiting
            .get(&session)
            .and_then(|row| self.rows.get(row))
        else {
            return Vec::new();
        };
        let Some(request) = row.queue.iter().find(|request| request.session == session) else {
            return Vec::new();
        };
        let holders = row.conflicting(session, request.strength);
        holders
            .chain(row.ahead(session, request.strength))
            .collect()
    }

    /// Leaves the queue, if the session is in one.
    pub(super) fn cancel(&mut self, session: Session) {
        if let Some(row) = self.waiting.remove(&session) {
            if let Some(entry) = self.rows.get_mut(&row) {
                entry.queue.retain(|request| request.session != session);
            }
            self.grant(row);
        }
    }

    /// What the session holds.
    pub(super) fn held_by(&self, session: Session) -> BTreeMap<RowId, Strength> {
        let held = self.held.get(&session).into_iter().flatten();
        let strength = |row: &RowId| Some((*row, *self.rows.get(row)?.holders.get(&session)?));
        held.filter_map(strength).collect()
    }

    /// Releases what the session holds beyond `kept`, which it held earlier.
    pub(super) fn release_all_but(&mut self, session: Session, kept: &BTreeMap<RowId, Strength>) {
        for (row, held) in self.held_by(session) {
            let kept = kept.get(&row).copied();
            if kept == Some(held) {
                continue;
            }
            if let Some(entry) = self.rows.get_mut(&row) {
                match kept {
                    Some(strength) => entry.holders.insert(session, strength),
                    None => entry.holders.remove(&session),
                };
            }
            if kept.is_none()
                && let Some(rows) = self.held.get_mut(&session)
            {
                rows.remove(&row);
            }
            self.grant(row);
        }
    }

    /// Releases everything that the session holds or waits for.
    pub(super) fn release(&mut self, session: Session) {
        self.cancel(session);
        for row in self.held.remove(&session).unwrap_or_default() {
            if let Some(entry) = self.rows.get_mut(&row) {
                entry.holders.remove(&session);
            }
            self.grant(row);
        }
    }

    /// Grants what can be granted, first come, first served.
    fn grant(&mut self, row: RowId) {
        while let Some(entry) = self.rows.get_mut(&row) {
            let next = entry.queue.iter().position(|request| {
                let (session, strength) = (request.session, request.strength);
                entry.conflicting(session, strength).next().is_none()
                    && entry.ahead(session, strength).next().is_none()
            });
            let Some(request) = next.and_then(|next| entry.queue.remove(next)) else {
                if entry.holders.is_empty() && entry.queue.is_empty() {
                    self.rows.remove(&row);
                }
                return;
            };
            self.waiting.remove(&request.session);
            self.hold(request.session, row, request.strength);
            // A receiver that is gone belongs to a statement that was dropped: its transaction
            // keeps the lock until it ends, as the server's would.
            let _: Result<(), ()> = request.granted.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_conflict_as_the_manual_says() {
        use Strength::{KeyShare, NoKeyUpdate, Share, Update};
        let all = [KeyShare, Share, NoKeyUpdate, Update];
        // PostgreSQL manual, table "Conflicting Row-Level Locks"; rows and columns weakest first.
        let conflicts = [
            [false, false, false, true],
            [false, false, true, true],
            [false, true, true, true],
            [true, true, true, true],
        ];
        for (requested, row) in all.into_iter().zip(conflicts) {
            for (held, expected) in all.into_iter().zip(row) {
                assert_eq!(
                    requested.conflicts_with(held),
                    expected,
                    "{requested:?} {held:?}"
                );
            }
        }
    }

    #[test]
    fn a_table_without_locks_keeps_no_entries() {
        let mut locks = Locks::default();
        assert!(locks.try_acquire(1, 7, Strength::Update));
        assert!(!locks.try_acquire(2, 7, Strength::KeyShare));
        let mut second = locks.enqueue(2, 7, Strength::KeyShare);
        assert_eq!(locks.blockers(2), [1]);
        locks.release(1);
        assert!(second.try_recv().is_ok());
        locks.release(2);
        assert!(locks.rows.is_empty() && locks.held.is_empty() && locks.waiting.is_empty());
    }
}
