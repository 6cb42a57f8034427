//! One table: the versions of its rows.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use super::{
    locks::RowId,
    snapshot::{Snapshot, TransactionId},
};

/// A row type; its table is found by name.
///
/// A name belongs to the first type that is written under it.
pub trait Record: Clone + Send + Sync + 'static {
    /// The table's name.
    const TABLE: &'static str;

    /// The primary key.
    type Key: Ord + Clone + Debug + Send + Sync + 'static;

    /// The key of this record; a change may not alter it.
    fn key(&self) -> Self::Key;
}

/// Who did something, and in which of its statements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) by: TransactionId,
    pub(super) command: u32,
}

#[derive(Debug)]
pub(super) struct Version<R> {
    pub(super) row: RowId,
    pub(super) record: Arc<R>,
    pub(super) created: Stamp,
    /// Set by a delete, and by an update that made the next version.
    pub(super) ended: Option<Stamp>,
}

/// What a statement sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) own: Option<TransactionId>,
    pub(super) command: u32,
}

impl View<'_> {
    fn sees(&self, stamp: Stamp) -> bool {
        if Some(stamp.by) == self.own {
            stamp.command < self.command
        } else {
            self.snapshot.sees(stamp.by)
        }
    }

    fn shows<R>(&self, version: &Version<R>) -> bool {
        self.sees(version.created) && !version.ended.is_some_and(|ended| self.sees(ended))
    }
}

/// Aborted transactions leave nothing behind, so a version's transactions are in progress or
/// committed.
#[derive(Debug)]
pub(super) struct Table<R: Record> {
    /// Oldest version first.
    pub(super) rows: BTreeMap<R::Key, Vec<Version<R>>>,
    written: BTreeMap<TransactionId, Vec<R::Key>>,
    dead: VecDeque<(TransactionId, R::Key)>,
}

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            written: BTreeMap::new(),
            dead: VecDeque::new(),
        }
    }
}

impl<R: Record> Table<R> {
    pub(super) fn versions(&self, key: &R::Key) -> &[Version<R>] {
        self.rows.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn visible(&self, key: &R::Key, view: View<'_>) -> Option<&Version<R>> {
        let newest_first = self.versions(key).iter().rev();
        newest_first.into_iter().find(|version| view.shows(version))
    }

    /// Up to `limit` visible records in key order.
    pub(super) fn scan(
        &self,
        range: (Bound<R::Key>, Bound<R::Key>),
        view: View<'_>,
        limit: usize,
    ) -> Vec<(R::Key, Arc<R>)> {
        if is_empty(&range) {
            return Vec::new();
        }
        let rows = self.rows.range(range);
        let visible = rows.filter_map(|(key, versions)| {
            let version = versions.iter().rev().find(|version| view.shows(version))?;
            Some((key.clone(), Arc::clone(&version.record)))
        });
        visible.take(limit).collect()
    }

    /// Ends the newest version of a row, if it has one, and puts `next` after it.
    pub(super) fn write(&mut self, key: R::Key, row: RowId, stamp: Stamp, next: Option<R>) {
        let versions = self.rows.entry(key.clone()).or_default();
        let current = versions.iter_mut().rev().find(|version| version.row == row);
        if let Some(current) = current {
            current.ended = Some(stamp);
        }
        if let Some(next) = next {
            versions.push(Version {
                row,
                record: Arc::new(next),
                created: stamp,
                ended: None,
            });
        }
        self.written.entry(stamp.by).or_default().push(key);
    }
}

/// `BTreeMap::range` panics where SQL finds nothing: at a range that ends before it begins.
fn is_empty<K: Ord>((start, end): &(Bound<K>, Bound<K>)) -> bool {
    match (start, end) {
        (Bound::Excluded(start), Bound::Excluded(end)) => start >= end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end))
        | (Bound::Included(start), Bound::Excluded(end)) => start > end,
        _ => false,
    }
}

/// Owned bounds, so that a scan can go on from where it stopped.
pub(super) fn owned<K: Clone>(range: &impl RangeBounds<K>) -> (Bound<K>, Bound<K>) {
    (range.start_bound().cloned(), range.end_bound().cloned())
}

/// What the end of a transaction does to a table, whatever its records are.
pub(super) trait ErasedTable: Any + Send {
    fn commit(&mut self, transaction: TransactionId);
    fn roll_back(&mut self, transaction: TransactionId);
    /// Undoes what the statements after this one have written.
    fn roll_back_to(&mut self, transaction: TransactionId, command: u32);
    /// Removes versions that ended before every transaction that some statement does not see.
    fn vacuum(&mut self, horizon: TransactionId);
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<R: Record> ErasedTable for Table<R> {
    fn commit(&mut self, transaction: TransactionId) {
        let written = self.written.remove(&transaction).unwrap_or_default();
        self.dead
            .extend(written.into_iter().map(|key| (transaction, key)));
    }

    fn roll_back(&mut self, transaction: TransactionId) {
        self.roll_back_to(transaction, 0);
        self.written.remove(&transaction);
    }

    fn roll_back_to(&mut self, transaction: TransactionId, command: u32) {
        let undone = |stamp: Stamp| stamp.by == transaction && stamp.command > command;
        for key in self.written.get(&transaction).into_iter().flatten() {
            let Some(versions) = self.rows.get_mut(key) else {
                continue;
            };
            versions.retain(|version| !undone(version.created));
            for version in &mut *versions {
                version.ended = version.ended.filter(|ended| !undone(*ended));
            }
            if versions.is_empty() {
                self.rows.remove(key);
            }
        }
    }

    fn vacuum(&mut self, horizon: TransactionId) {
        while let Some((_, key)) = self.dead.pop_front_if(|(ended, _)| *ended < horizon) {
            let Some(versions) = self.rows.get_mut(&key) else {
                continue;
            };
            let written = &self.written;
            versions.retain(|version| {
                version
                    .ended
                    .is_none_or(|ended| ended.by >= horizon || written.contains_key(&ended.by))
            });
            if versions.is_empty() {
                self.rows.remove(&key);
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
