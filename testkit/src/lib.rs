//! Private servers and fresh databases for tests.
//!
//! The suites of this workspace run on real servers as well as in memory. `cargo xtask services`
//! starts a server and leaves it running, `cargo xtask test` starts one for its run, and a test that
//! kills its server starts one of its own. This crate does that for them.
//!
//! # What is guaranteed
//!
//! | guaranteed | because |
//! |---|---|
//! | A server that was started accepts logins. | The start logs in once. |
//! | A server that a process started goes away with it, even by `kill -9`, and so does its data. | A watcher process waits for the end of a pipe. |
//! | A failed start names the step that failed and the server's last words. | [`Error`] |
//! | Two tests never share a database. | Database names have a process id and random bits. |
//!
//! A suite without its server does not run. [`skipped`] prints which one and why, and fails where
//! it must run.
//!
//! Checks of what happened in a run are in the crate mainstay-history, which this one re-exports.
//!
//! Locks are judged by a [`register`] that is written under them.
//!
//! # How it works
//!
//! An instance has a fresh temporary directory. If root started it, it belongs to an unprivileged
//! user, since PostgreSQL refuses to run as root. The server is a child in a process group of its
//! own, so that Ctrl-C reaches the tests and not the server. If the process that started it dies, its
//! watcher stops the server and removes the directory. If the watcher dies as well, the directory
//! names its owner, and the next `cargo xtask services up` or `test` removes it.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `postgres` | databases and servers of PostgreSQL for tests, through sqlx |
//! | `redis` | servers of Redis for tests |
//! | `kafka` | servers of Kafka for tests |
//! | `http` | a client for services that run as processes |
//! | `wire` | a proxy before a server, which can cut connections, stop forwarding and lose commits |
#![allow(clippy::must_use_candidate, reason = "it is not published")]

mod background;
#[cfg(any(feature = "kafka", feature = "postgres", feature = "redis"))]
mod blocking;
pub mod crash;
mod daemon;
mod directory;
mod disk;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod install;
pub mod kafka;
pub mod postgres;
mod process;
pub mod redis;
pub mod register;
mod suites;
#[cfg(feature = "wire")]
mod wire;

pub use background::Background;
pub use directory::Directory;
pub use disk::SmallDisk;
pub use error::Error;
pub use mainstay_history::{self as history, History, check};
pub use process::{stop, within};
pub use suites::{SKIPPED, must_run, skipped};
#[cfg(feature = "wire")]
pub use wire::{Lost, Wire};
