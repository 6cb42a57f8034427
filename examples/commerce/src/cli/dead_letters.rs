//! Flags of `commerce dlq`.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;
use mainstay_dlq::{DeadLetterId, State};

use super::operator::{Signed, Target};
use crate::config::SERVICES;

/// See and act on messages that a service could not handle, and on those held behind them
///
/// Acts write rows; the service's replayer does the rest, at once or when it is started next. A
/// message is named SERVICE/NUMBER, as `list` shows it; its key is the id of its order.
///
/// A message is dead (its handler failed, and its key stands still), held (it waits behind a dead
/// one), replayed (handled in the end) or discarded (given up). Give --data, or set `COMMERCE_DATA`,
/// as for `serve`.
#[derive(Args, Debug)]
#[command(after_help = FROM_ALARM_TO_FIXED)]
pub(crate) struct DlqArguments {
    #[command(subcommand)]
    pub(crate) command: DlqCommand,
}

const FROM_ALARM_TO_FIXED: &str = "\
From the alarm to fixed:
  commerce dlq groups                                         which causes, how often, since when
  commerce dlq list --fingerprint HEX                         the messages of one cause in one service
  commerce dlq show inventory/17                              body, headers, failures
  commerce dlq show inventory/17 --body > FILE                its body, to be mended
  commerce dlq edit inventory/17 --payload FILE --reason TEXT if the message is at fault
  commerce dlq replay inventory/17 --reason TEXT --wait       once message or service is mended
  commerce dlq replay --fingerprint HEX --reason TEXT --wait  all messages of the cause
  commerce verify                                             whether all is well";

#[derive(Subcommand, Debug)]
pub(crate) enum DlqCommand {
    /// Dead letters by cause: start here
    Groups(Listing),
    /// Messages, newest first, without bodies
    List(ListArguments),
    /// One message with its headers, body and failures
    Show(ShowArguments),
    /// Try a dead letter again, or all that match; what is held behind it follows in order
    Replay(ReplayArguments),
    /// Give a message another body, as a new revision; the original is kept
    Edit(EditArguments),
    /// Give a message up, or all that match; it can be restored
    Discard(ManyArguments),
    /// Make a discarded message a dead letter again
    Restore(OneArguments),
    /// Who did what, and why
    Audit(AuditArguments),
    /// Acts on many messages, and how far they are
    Jobs(Listing),
    /// End an act on many messages before it has come to all of them
    Cancel(CancelArguments),
}

/// Which messages.
#[derive(Args, Debug, Default)]
pub(crate) struct Filter {
    /// Service that could not handle them
    #[arg(long, value_name = "NAME", value_parser = SERVICES)]
    pub(crate) service: Option<String>,
    /// Their topic
    #[arg(long, value_name = "NAME")]
    pub(crate) topic: Option<String>,
    /// Their key: the id of an order
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Their kind of event
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Their message id
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// The cause that they have in common, as `groups` shows it; each service has its own
    #[arg(long, value_name = "HEX")]
    pub(crate) fingerprint: Option<String>,
    /// In the queue since this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// In the queue since before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
}

/// A list of what services have.
#[derive(Args, Debug)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only those of this service
    #[arg(long, value_name = "NAME", value_parser = SERVICES)]
    pub(crate) service: Option<String>,
    /// Rows of each service at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// An act on a job.
#[derive(Args, Debug)]
pub(crate) struct CancelArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Which job, as `jobs` shows it
    #[arg(value_name = "SERVICE/NUMBER")]
    pub(crate) job: Reference,
    #[command(flatten)]
    pub(crate) signed: Signed,
}

/// An act on one message.
#[derive(Args, Debug)]
pub(crate) struct OneArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Which, as the list shows it
    #[arg(value_name = "SERVICE/NUMBER")]
    pub(crate) object: Reference,
    #[command(flatten)]
    pub(crate) signed: Signed,
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// dead, held, replayed or discarded [default: dead and held]
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<State>,
    /// Below this number; needs --service
    #[arg(long, value_name = "NUMBER", requires = "service")]
    pub(crate) before: Option<i64>,
    /// Messages of each service at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Which, as the list shows it
    #[arg(value_name = "SERVICE/NUMBER")]
    pub(crate) message: Reference,
    /// Its body as it came (0), or as a later edit made it [default: the newest]
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
    /// Print the body alone, byte for byte, as the start of an edit
    #[arg(long, conflicts_with = "json")]
    pub(crate) body: bool,
}

/// One message, or all that match.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).multiple(true)
    .args(["message", "all", "service", "topic", "key", "kind", "message_id", "fingerprint", "since", "until"]))]
pub(crate) struct Which {
    /// One message
    #[arg(value_name = "SERVICE/NUMBER", conflicts_with_all = ["all", "Filter", "rate"])]
    pub(crate) message: Option<Reference>,
    /// All messages
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Messages a second at most [default: as fast as possible]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Do not ask before an act on many messages
    #[arg(long)]
    pub(crate) yes: bool,
}

/// An act on one message, or on all that match.
#[derive(Args, Debug)]
pub(crate) struct ManyArguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) signed: Signed,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    pub(crate) many: ManyArguments,
    /// Wait for the outcome, and exit with 1 if a message failed again
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Args, Debug)]
pub(crate) struct EditArguments {
    #[command(flatten)]
    pub(crate) one: OneArguments,
    /// File with the new body; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: PathBuf,
    /// File with the new envelope, as `show --json` prints it; needed for a record that is no message
    #[arg(long, value_name = "FILE")]
    pub(crate) envelope: Option<PathBuf>,
    /// The revision that the edit is based on [default: the newest]
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct AuditArguments {
    /// Only acts on this message
    #[arg(value_name = "SERVICE/NUMBER")]
    pub(crate) message: Option<Reference>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=100_000.0).contains(rate))
        .ok_or_else(|| "expected messages a second, from 0.001 to 100000".to_owned())
}

/// A message or a job of one service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    pub(crate) service: &'static str,
    pub(crate) number: i64,
}

impl Reference {
    pub(crate) const fn letter(self) -> DeadLetterId {
        DeadLetterId(self.number)
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(service, number)| {
            let service = SERVICES.into_iter().find(|known| *known == service)?;
            let number = number.parse().ok()?;
            Some(Self { service, number })
        });
        parts.ok_or_else(|| "expected SERVICE/NUMBER, such as inventory/17".to_owned())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.number)
    }
}
