//! What all hosts of a run share.

mod record;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mainstay_clock::{Clock as _, TokioClock};
use mainstay_database::memory::{Database, PendingCommit};
use mainstay_messaging::{Group, Message, Topic, memory::Broker};
use tokio::runtime::Handle;

use crate::{host::Host, plan::Plan};
pub(crate) use record::Record;

/// Which message of the scenario a message is.
pub(crate) type Numbering = Arc<dyn Fn(&Message) -> Option<usize> + Send + Sync>;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) clock: TokioClock,
    pub(crate) database: Database,
    pub(crate) broker: Broker,
    pub(crate) runtime: Handle,
    pub(crate) plan: Plan,
    record: Mutex<Record>,
    shared: Mutex<Shared>,
    healed: AtomicBool,
    /// Told of a group when one of its members has committed offsets.
    pub(crate) on_stored: OnceLock<OnStored>,
}

/// Who is told that a group may have stored offsets.
pub(crate) type OnStored = Box<dyn Fn(&Group) + Send + Sync>;

/// One life of one host: its index, and which life.
pub(crate) type LifeOf = (u64, u64);

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) hosts: Vec<Host>,
    pub(crate) numbering: Option<Numbering>,
    /// The fault that keeps transactions open whose clients are gone.
    pub(crate) linger: Option<usize>,
    /// The fault that keeps everybody from the broker.
    pub(crate) broker_down: Option<usize>,
    /// Groups, and what they read.
    pub(crate) readers: BTreeMap<Group, BTreeSet<Topic>>,
    /// Whose commit is about to be applied.
    pub(crate) committing: Option<LifeOf>,
    /// Whose the commits are that may yet be applied, by their names.
    pub(crate) under_way: BTreeMap<String, LifeOf>,
    /// What handlers refuse, and by which fault.
    pub(crate) poison: Vec<(usize, usize)>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(
        seed: u64,
        plan: Plan,
        (clock, database, broker): (TokioClock, Database, Broker),
        runtime: Handle,
        traced: bool,
    ) -> Self {
        Self {
            seed,
            clock,
            database,
            broker,
            runtime,
            record: Mutex::new(Record::new(plan.faults.len(), traced)),
            plan,
            shared: Mutex::default(),
            healed: AtomicBool::new(false),
            on_stored: OnceLock::new(),
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event down: into the hash, and in words if anybody wants to read them.
    pub(crate) fn note(&self, number: u64, words: impl FnOnce() -> String) {
        let now = self.clock.monotonic().as_micros();
        self.record().note(now, number, words);
    }

    /// This fault of the plan has struck.
    pub(crate) fn struck(&self, place: usize) {
        let now = self.clock.monotonic().as_micros();
        let mut record = self.record();
        record.struck(place);
        record.note(now, 0x57 + place as u64, || {
            format!(
                "        STRUCK {}",
                self.plan
                    .faults
                    .get(place)
                    .map_or_else(String::new, ToString::to_string)
            )
        });
    }

    /// Something that may not happen.
    pub(crate) fn broken(&self, what: String) {
        self.record().broken.push(what);
    }

    /// Whether faults still strike.
    pub(crate) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_healed(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    /// Decides, after a while, about the oldest commit that is under way.
    pub(crate) fn settle_later(self: &Arc<Self>, by: LifeOf, after: Duration, apply: bool) {
        let world = Arc::clone(self);
        let before = self.pending();
        self.runtime.spawn(async move {
            // The one that has come since is the one that was spoken of: others may be under way, of other hosts.
            let mine = world
                .pending()
                .into_iter()
                .find(|name| !before.contains(name));
            let Some(mine) = mine else { return };
            world.shared().under_way.insert(mine.clone(), by);
            tokio::time::sleep(after).await;
            let mut pending = world.database.faults().pending().into_iter();
            if let Some(pending) = pending.find(|pending| format!("{pending:?}") == mine) {
                world.settle(pending, apply);
            }
        });
    }

    /// Decides about a commit that is under way.
    pub(crate) fn settle(&self, pending: PendingCommit, apply: bool) {
        let name = format!("{pending:?}");
        self.note(0x5E + u64::from(apply), || {
            format!("{name}: applied = {apply}")
        });
        let mut shared = self.shared();
        shared.committing = shared.under_way.remove(&name);
        drop(shared);
        if apply {
            pending.apply();
        } else {
            pending.discard();
        }
    }

    /// The names of commits that may yet be applied.
    fn pending(&self) -> Vec<String> {
        let pending = self.database.faults().pending().into_iter();
        pending.map(|pending| format!("{pending:?}")).collect()
    }

    /// The server notices whose clients are gone.
    pub(crate) fn end_lingering(&self) {
        for lingering in self.database.faults().lingering() {
            lingering.end();
        }
    }
}
