//! What all hosts of a run share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mainstay_clock::{Clock as _, TokioClock};
use mainstay_database::memory::{Database, PendingCommit};
use mainstay_messaging::{Group, Message, Topic, memory::Broker};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{Report, host::Host, plan::Plan};

/// More events than any run needs.
const MOST: u64 = 2_000_000;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) clock: TokioClock,
    pub(crate) database: Database,
    pub(crate) broker: Broker,
    pub(crate) runtime: Handle,
    pub(crate) plan: Plan,
    pub(crate) report: Mutex<Report>,
    pub(crate) shared: Mutex<Shared>,
    /// Told of a group when one of its members has committed offsets.
    pub(crate) on_stored: OnceLock<OnStored>,
    /// Which message of the scenario a message is.
    pub(crate) numbering: OnceLock<Numbering>,
}

pub(crate) type OnStored = Box<dyn Fn(&Group) + Send + Sync>;
pub(crate) type Numbering = Box<dyn Fn(&Message) -> Option<usize> + Send + Sync>;

/// One life of one host: its index, and which life.
pub(crate) type LifeOf = (u64, u64);

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) hosts: Vec<Host>,
    /// Whether no fault strikes any more.
    pub(crate) healed: bool,
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

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn number_of(&self, message: &Message) -> Option<usize> {
        self.numbering.get()?(message)
    }

    /// Writes an event down: into the hash, and in words if anybody wants to read them.
    pub(crate) fn note(&self, number: u64, words: impl FnOnce() -> String) {
        let now = self.clock.monotonic().as_micros().unsigned_abs();
        let mut report = self.report.lock();
        report.events += 1;
        report.simulated = Duration::from_micros(now);
        for value in [now, number] {
            // One round of a multiply-and-rotate hash: enough to tell two runs apart.
            report.hash = (report.hash ^ value)
                .wrapping_mul(0xFF51_AFD7_ED55_8CCD)
                .rotate_left(29);
        }
        if let Some(trace) = &mut report.trace {
            trace.push(format!("{:>7} {}", now / 1_000, words()));
        }
    }

    /// This fault of the plan has struck.
    pub(crate) fn struck(&self, place: usize) {
        if let Some(times) = self.report.lock().struck.get_mut(place) {
            *times += 1;
        }
        self.note(0x57 + place as u64, || {
            let fault = self.plan.faults.get(place).map(ToString::to_string);
            format!("        STRUCK {}", fault.unwrap_or_default())
        });
    }

    /// Whether more has happened than in any run that comes to its end.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.report.lock().events > MOST
    }

    /// Something that may not happen.
    pub(crate) fn broken(&self, what: String) {
        self.report.lock().violations.push(what);
    }

    /// Ends all faults but what handlers refuse.
    pub(crate) fn heal(&self) {
        self.note(0x4EA1, || "HEALED".to_owned());
        let mut shared = self.shared.lock();
        shared.healed = true;
        shared.linger = None;
        shared.broker_down = None;
        let hosts = shared.hosts.clone();
        drop(shared);
        self.broker.faults().heal();
        self.database.faults().clear();
        for (nth, pending) in self.database.faults().pending().into_iter().enumerate() {
            self.settle(pending, nth % 2 == 0);
        }
        self.end_lingering();
        hosts.iter().for_each(Host::heal);
    }

    /// Decides, after a while, about the oldest commit that is under way.
    pub(crate) fn settle_later(self: &Arc<Self>, by: LifeOf, after: Duration, apply: bool) {
        let world = Arc::clone(self);
        let before = self.pending();
        self.runtime.spawn(async move {
            // The new one is meant: commits of other hosts may be under way.
            let mine = world
                .pending()
                .into_iter()
                .find(|name| !before.contains(name));
            let Some(mine) = mine else { return };
            world.shared.lock().under_way.insert(mine.clone(), by);
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
        let mut shared = self.shared.lock();
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
