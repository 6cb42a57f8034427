//! What happens to processes on PostgreSQL, by who is struck.

mod aborts;
mod connections;
mod dead_letters;
mod keys;
mod relays;
mod restore;
mod rollbacks;
mod server;
mod transactions;
mod workers;
