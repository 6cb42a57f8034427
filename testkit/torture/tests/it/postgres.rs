//! What happens to processes on PostgreSQL, by who is struck.

mod connections;
mod relays;
mod server;
mod transactions;
mod workers;
