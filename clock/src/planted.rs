//! Bugs planted on purpose, one of which is chosen at run time: what a test bed finds that finds them.
//!
//! This module exists with `--cfg mainstay_planted` only, which `cargo xtask mutants` sets and which no optimised build
//! without debug assertions accepts.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[cfg(not(debug_assertions))]
compile_error!("bugs are planted for tests; a release has none");

mod bug;

pub use bug::Bug;

thread_local! {
    static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    static REACHED: Cell<u64> = const { Cell::new(0) };
    static KEPT: RefCell<BTreeMap<String, i64>> = const { RefCell::new(BTreeMap::new()) };
}

/// From now on this thread has this bug, or none. A simulation runs in one thread.
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
    REACHED.set(0);
    KEPT.take();
}

/// What this thread has chosen.
#[must_use]
pub fn chosen() -> Option<Bug> {
    CHOSEN.get()
}

/// How often the chosen bug's place was come by since it was chosen: never, and surviving says nothing.
#[must_use]
pub fn reached() -> u64 {
    REACHED.get()
}

/// The number that was kept under this name last, for bugs that remember one.
#[must_use]
pub fn kept(name: impl ToString) -> Option<i64> {
    let name = name.to_string();
    KEPT.with_borrow(|kept| kept.get(&name).copied())
}

/// Keeps a number under a name.
pub fn keep(name: impl ToString, number: i64) {
    KEPT.with_borrow_mut(|kept| kept.insert(name.to_string(), number));
}

/// Says what time it is on the node of this name.
pub fn tell_time(node: &str, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    keep(node, i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
}

/// What time it was on the node of this name when it last told.
#[must_use]
pub fn time(node: &str) -> SystemTime {
    let micros = kept(node).and_then(|micros| u64::try_from(micros).ok());
    UNIX_EPOCH + Duration::from_micros(micros.unwrap_or(0))
}

/// What [`planted!`](crate::planted) expands to.
#[must_use]
pub fn is_chosen(bug: Bug) -> bool {
    let chosen = CHOSEN.get() == Some(bug);
    if chosen {
        REACHED.set(REACHED.get() + 1);
    }
    chosen
}

/// Whether this bug was chosen for this run; with `bad, else good`, what follows from it.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_chosen($crate::planted::Bug::$bug)
    };
    ($bug:ident: $bad:expr) => {
        if $crate::planted!($bug) {
            $bad;
        }
    };
    ($bug:ident: $bad:expr, else $good:expr) => {
        if $crate::planted!($bug) { $bad } else { $good }
    };
}
