//! One small program per pattern, and what the README shows.
//!
//! | program | what it shows |
//! |---|---|
//! | `outbox` | an order and its event commit together, or neither does |
//! | `inbox` | each order has one invoice, however often its event comes |
//! | `idempotency` | an HTTP service that processes each request once, however often it is sent |
//! | `eventstore` | eight clerks sell one scarce item, whose stock is the fold of its events |
//! | `leader` | one process of many sweeps, and a former leader's writes are refused |
//! | `dlq` | a poison message: its key waits in order, and goes on once it is corrected |
//! | `saga` | an order over three services that goes through, one that is undone, and one that needs an operator |
//! | `dual_write` | what a crash loses or invents with and without an outbox |
//! | `axum_service` | an HTTP service with outbox and inbox on a `PgPool` that exists |

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
