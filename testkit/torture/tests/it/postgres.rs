//! What happens to processes on PostgreSQL, by who is struck.

mod relays;
mod server;
