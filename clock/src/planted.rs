//! Bugs planted on purpose, one of which is chosen at run time: what a test bed finds that finds them.
//!
//! This module exists with `--cfg mainstay_planted` only, which `cargo xtask mutants` sets and which no optimised build
//! without debug assertions accepts.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

#[cfg(not(debug_assertions))]
compile_error!("bugs are planted for tests; a release has none");

mod bug;

pub use bug::Bug;

thread_local! {
    static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    static REACHED: Cell<u64> = const { Cell::new(0) };
    static CURSORS: RefCell<BTreeMap<u64, i64>> = const { RefCell::new(BTreeMap::new()) };
}

/// From now on this thread has this bug, or none. A simulation runs in one thread.
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
    REACHED.set(0);
    CURSORS.take();
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

/// The highest number kept for `of`, for bugs that remember one.
#[must_use]
pub fn cursor(of: impl Into<u64>) -> i64 {
    let of = of.into();
    CURSORS.with_borrow(|cursors| cursors.get(&of).copied().unwrap_or(i64::MIN))
}

/// Keeps a number for `of`, if it is higher than the one before.
pub fn raise(of: impl Into<u64>, number: i64) {
    CURSORS.with_borrow_mut(|cursors| {
        let cursor = cursors.entry(of.into()).or_insert(number);
        *cursor = number.max(*cursor);
    });
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
