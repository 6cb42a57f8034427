//! Flags of `commerce outbox`.

use clap::{Args, Subcommand};

use super::dead_letters::{Listing, OneArguments};

/// See and act on messages that the broker refused, and on those held behind them or delayed
///
/// A message is named SERVICE/NUMBER, as `list` shows it.
#[derive(Args, Debug)]
pub(crate) struct OutboxArguments {
    #[command(subcommand)]
    pub(crate) command: OutboxCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum OutboxCommand {
    /// The refused message of each blocked key; with --all everything that waits
    List(DeferredArguments),
    /// Have a refused message tried again, or a delayed one delivered, now
    Retry(OneArguments),
    /// Remove a message that is not to be published; its key goes on, and the act keeps it
    Discard(OneArguments),
    /// Who did what, and why
    Audit(Listing),
}

#[derive(Args, Debug)]
pub(crate) struct DeferredArguments {
    #[command(flatten)]
    pub(crate) listing: Listing,
    /// Held and delayed messages, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Behind this number; needs --service
    #[arg(long, value_name = "NUMBER", requires = "service")]
    pub(crate) after: Option<i64>,
}
