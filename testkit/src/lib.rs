//! Private servers for tests, and what must hold of a run.
//!
//! A guarantee that was only seen on an in-memory database is a hope. The suites of this workspace run on real servers as well, and this
//! crate is where those come from: `cargo xtask services` starts one and leaves it running, `cargo xtask test` starts one for its run, and
//! a fault test starts one of its own, to kill it.
//!
//! # What is guaranteed
//!
//! | guaranteed | on what it rests |
//! |---|---|
//! | A server that was started lets clients in. | One asked for a login. |
//! | A server started for a process goes away with the process, `kill -9` included, and its data with it. | A watcher of its own waits for the end of a pipe. |
//! | A start that fails says which step failed, and what the server said last. | [`Error`] |
//! | Two tests never share a database. | Names of process id and random bits. |
//!
//! That a server can be had is not guaranteed: [`left_out`] says which suite did not run, and fails where it must run.
//!
//! # What must hold of a run
//!
//! A simulation, or real processes that somebody struck, leave a [`History`]: plain data, each section in the order of the one place that orders
//! it. [`check::violations`] judges it, by the invariants of [`check::ALL`], and says what does not hold, and where.
//!
//! ```
//! use mainstay_testkit::{History, check, history::{Entry, Published}};
//!
//! let entry = Entry { key: Some("order 7".to_owned()), id: "7-1".to_owned(), ..Entry::default() };
//! let published = Published { topic: "orders".to_owned(), partition: 0, offset: 0, entry };
//! // It is in the log, and nobody has committed it.
//! let history = History { published: vec![published], ..History::default() };
//! let told = check::violations(&history);
//! assert!(told.iter().any(|violation| violation.invariant() == "no phantom"));
//! ```
//!
//! # How it works
//!
//! An instance lives in a fresh temporary directory and belongs to an unprivileged user when it was started by root, since PostgreSQL refuses
//! to run as root. Redis gets the same. The server is a child with a process group of its own, so that Ctrl-C reaches the tests and not the server. If the process
//! that started it dies, its watcher stops the server and removes the directory. If the watcher dies as well, the directory says whose it was,
//! and the next `cargo xtask services up` or `test` removes it.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `postgres` | databases and servers of PostgreSQL for tests, through sqlx |
//! | `redis` | servers of Redis for tests |
//! | `http` | a client for services that run as processes |
//! | `wire` | a wire before a server, which can be cut, fall silent and lose commits |
#![allow(
    clippy::must_use_candidate,
    reason = "it is not published: its users change with it"
)]

#[cfg(any(feature = "postgres", feature = "redis"))]
mod blocking;
pub mod check;
pub mod crash;
mod daemon;
mod directory;
mod disk;
mod error;
pub mod history;
#[cfg(feature = "http")]
pub mod http;
mod install;
pub mod postgres;
mod process;
pub mod redis;
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
