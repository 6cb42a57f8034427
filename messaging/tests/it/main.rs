//! The conformance suite on every broker, and what is particular to each.

mod sqlite;
