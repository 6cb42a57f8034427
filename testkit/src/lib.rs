//! Private servers for tests, and what must hold of a run.
//!
//! The suites of this workspace run on real servers as well as in memory. `cargo xtask services` starts
//! a server and leaves it running, `cargo xtask test` starts one for its run, and a fault test starts
//! one of its own, to kill it.
//!
//! | guaranteed | by |
//! |---|---|
//! | A server that was started lets clients in. | One asked for a login. |
//! | A server ends with the process that started it, even by `kill -9`, and its data goes. | A watcher waits for the end of a pipe. |
//! | A start that fails says which step failed, and what the server said last. | [`Error`] |
//! | Two tests never share a database. | Names of process id and random bits. |
//! | A suite whose server is missing says so, and fails where it must run. | [`left_out`] |
//!
//! A simulation, or real processes under faults, leave a [`History`]. [`check::violations`] judges it by
//! the invariants of [`check::ALL`].
//!
//! ```
//! use mainstay_testkit::{History, check, history::{Entry, Published}};
//!
//! let entry = Entry { key: Some("order 7".to_owned()), id: "7-1".to_owned(), ..Entry::default() };
//! let published = Published { topic: "orders".to_owned(), partition: 0, offset: 0, entry };
//! // It is in the log, and no writer has committed it.
//! let history = History { published: vec![published], ..History::default() };
//! let told = check::violations(&history);
//! assert!(told.iter().any(|violation| violation.invariant == "no phantom"));
//! ```
//!
//! | feature | what |
//! |---|---|
//! | `postgres` | databases and servers for tests, through sqlx |
//! | `wire` | a wire before a server, which can be cut, fall silent and lose commits |
#![allow(
    clippy::must_use_candidate,
    reason = "it is not published: its users change with it"
)]

pub mod check;
pub mod crash;
mod daemon;
mod directory;
mod disk;
mod error;
pub mod history;
pub mod postgres;
mod process;
mod suites;
#[cfg(feature = "wire")]
mod wire;

pub use directory::Directory;
pub use disk::SmallDisk;
pub use error::Error;
pub use history::History;
pub use process::within;
pub use suites::{LEFT_OUT, left_out, must_run};
#[cfg(feature = "wire")]
pub use wire::{Lost, Wire};
