//! Flags of `commerce outbox`.

use clap::{Args, Subcommand};

use super::dead_letters::{Reference, Signed, Target};
use crate::config::SERVICES;

/// See and act on messages that the broker refused, and on those held behind them or delayed.
///
/// A message is named SERVICE/POSITION, as `list` shows it.
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
    Retry(DeferredAct),
    /// Remove a message that is not to be published; its key goes on, and the act keeps it
    Discard(DeferredAct),
    /// Who did what, and why
    Audit(ActsArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DeferredArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only those of this service
    #[arg(long, value_name = "NAME", value_parser = SERVICES)]
    pub(crate) service: Option<String>,
    /// Held and delayed messages, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Behind this position; needs --service
    #[arg(long, value_name = "POSITION", requires = "service")]
    pub(crate) after: Option<i64>,
    /// Messages of each service at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Args, Debug)]
pub(crate) struct DeferredAct {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The message, as SERVICE/POSITION
    pub(crate) message: Reference,
    #[command(flatten)]
    pub(crate) signed: Signed,
}

#[derive(Args, Debug)]
pub(crate) struct ActsArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only those of this service
    #[arg(long, value_name = "NAME", value_parser = SERVICES)]
    pub(crate) service: Option<String>,
    /// Acts of each service at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}
